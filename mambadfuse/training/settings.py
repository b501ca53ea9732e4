"""Settings by name: words such as ``model.dim=40`` and YAML files become a :class:`TrainingConfig`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from mambadfuse.models.checkpoints import load
from mambadfuse.training.config import TrainingConfig, flat

T = TypeVar("T")


def configure(
    task: str = "ivf",
    budget: str = "laptop",
    file: str | Path | None = None,
    words: Iterable[str] = (),
) -> TrainingConfig:
    """The preset of a task and a budget, changed by a YAML file, changed by words such as ``batch=8``.

    ``model`` and ``loss`` take the name of one of their presets (``model=published``, ``loss=med``), and settings of
    their own behind a dot (``model.dim=40``). ``start`` brings the network of the weights along.

    Raises:
        ValueError: an unknown name, with the nearest known one; a value of another kind; or a file that is no
            mapping of names to values.
        OSError: the file cannot be read.
        CheckpointError: ``start`` names no weights.
    """
    spoken: dict[str, Any] = {}
    for word in words:
        _put(spoken, word)
    changes = _over(_read(Path(file)), spoken) if file else spoken
    config = TrainingConfig.preset(task, budget)
    if changes.get("start"):
        config = replace(config, model=load(str(changes["start"])).config)
    return changed(config, changes)


def changed(config: T, changes: Mapping[str, Any], above: str = "") -> T:
    """A copy of a configuration with the changes, nested as it is: ``{"steps": 10, "model": {"dim": 8}}``.

    Raises:
        ValueError: an unknown name or a value of another kind.
    """
    kinds, values = get_type_hints(type(config)), {}
    for name, value in changes.items():
        if name not in kinds:
            raise ValueError(_unknown(config, name, above))
        current = getattr(config, name)
        if is_dataclass(current):
            wanted = dict(value) if isinstance(value, Mapping) else {"preset": value}
            if "preset" in wanted:
                current = _preset(type(current), wanted.pop("preset"), above + name)
            values[name] = changed(current, wanted, f"{above}{name}.")
        else:
            values[name] = _converted(value, kinds[name], above + name)
    return replace(config, **values)  # type: ignore[type-var]  # T: a dataclass


def as_yaml(config: TrainingConfig) -> str:
    """All settings as a YAML text that :func:`configure` reads back."""
    settings = asdict(config)
    settings["windows"] = [f"{height}x{width}" for height, width in config.windows]
    return yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected names and values (steps: 100), found {type(content).__name__}")
    return content


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Changes on top of others; a network or loss that is named leaves nothing of the one below it."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name, {})
        if isinstance(value, dict) and "preset" not in value:
            merged[name] = {**(under if isinstance(under, dict) else {"preset": under}), **value}
        else:
            merged[name] = value
    return merged


def _put(changes: dict[str, Any], word: str) -> None:
    """Adds one ``name=value`` to nested changes."""
    path, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"expected name=value, found {word!r}")
    *outer, name = path.strip().split(".")
    for part in outer:
        inner = changes.get(part, {})
        changes[part] = inner if isinstance(inner, dict) else {"preset": inner}
        changes = changes[part]
    try:
        found = yaml.safe_load(value) if value else ""
    except yaml.YAMLError as error:
        raise ValueError(f"{word}: the value is not readable as YAML: {error}") from error
    if isinstance(changes.get(name), dict) and not isinstance(found, dict):
        changes[name]["preset"] = found  # a network or loss by name, after settings of its own
    else:
        changes[name] = found


def _unknown(config: Any, name: Any, above: str) -> str:
    known = [above + field for field in flat(asdict(config))]
    wrong = f"{above}{name}"
    nearest = get_close_matches(wrong, known, n=1, cutoff=0.0)
    return f"unknown setting {wrong!r}: did you mean {nearest[0]!r}? Known are {', '.join(known)}"


def _preset(kind: type[T], name: Any, path: str) -> T:
    """The object that a classmethod of that name makes; "default" is the plain one."""
    presets: dict[str, Callable[[], T]] = {"default": kind}
    presets |= {n: getattr(kind, n) for n, member in vars(kind).items() if isinstance(member, classmethod)}
    if not isinstance(name, str) or name not in presets:
        raise ValueError(f"{path} must be one of {', '.join(presets)}, or settings of it, found {name!r}")
    return presets[name]()


def _converted(value: Any, kind: Any, path: str) -> Any:
    """The value as that kind, if that can be done without a guess."""
    if get_origin(kind) is tuple:
        return _windows(value, path)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{path} must be one of {', '.join(map(str, get_args(kind)))}, found {value!r}")
        return value
    fits = isinstance(value, bool) if kind is bool else not isinstance(value, bool)
    try:
        made = kind(value)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or (kind is int and made != value) or (kind is str and not isinstance(value, str)):
        wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[kind]
        raise ValueError(f"{path}: expected {wanted}, found {value!r}")
    return made


def _windows(value: Any, path: str) -> tuple[tuple[int, int], ...]:
    """ "64x64, 32x128", or a list of such sizes or of [64, 64], as ((64, 64), (32, 128))."""
    sizes = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    found = []
    for size in sizes if isinstance(sizes, list) else []:
        word = "x".join(map(str, size)) if isinstance(size, list) else str(size)
        found.append(re.fullmatch(r"(\d+)x(\d+)", word))
    if not found or None in found:
        raise ValueError(f"{path}: expected sizes such as 64x64,32x128 (height x width), found {value!r}")
    return tuple((int(size[1]), int(size[2])) for size in found if size)
