"""Settings by name: overrides such as ``model.dim=40`` and YAML files become a :class:`TrainingConfig`."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from mambadfuse.components import component, is_component, name_components
from mambadfuse.models.checkpoints import load
from mambadfuse.models.config import FastFusionConfig, MambaDFuseConfig
from mambadfuse.training.config import TrainingConfig, flatten
from mambadfuse.training.yaml_text import parse_yaml, read_yaml

T = TypeVar("T")

_NETWORKS = (MambaDFuseConfig, FastFusionConfig)
_SWITCHES = {"on": True, "yes": True, "off": False, "no": False}


def configure(
    task: str = "ivf",
    budget: str = "laptop",
    file: str | Path | None = None,
    overrides: Iterable[str] = (),
) -> TrainingConfig:
    """The preset of a task and a budget, changed by a YAML file, then by overrides such as ``batch=8``.

    ``model`` and ``loss`` take the name of one of their presets (``model=published``, ``model=fast``, ``loss=med``);
    their own settings follow a dot (``model.dim=40``). A component of your own is named as
    ``model.mixer=attention:RowAttention`` or ``loss=my_module:MyLoss``, which imports its module. ``init_from`` also
    sets ``model`` and ``contrast`` as in those weights.

    >>> configure("ivf", "minutes", overrides=["loss=med", "loss.gradient=90", "steps=200"]).loss.gradient
    90.0

    Args:
        task: one of :data:`~mambadfuse.training.TASKS`.
        budget: one of :data:`~mambadfuse.training.BUDGETS`.
        file: YAML, names and values as :func:`as_yaml` writes them; any subset.
        overrides: ``name=value``, in any order.

    Raises:
        ValueError: an unknown name, with the closest known one; a value of the wrong type; or a file that is not a
            mapping of names to values; or a component that cannot be imported.
        OSError: the file cannot be read.
        CheckpointError: ``init_from`` names no weights.
    """
    changes: dict[str, Any] = {}
    for override in overrides:
        _add_override(changes, override)
    if file:
        changes = _merge(_read(Path(file)), changes)
    config = TrainingConfig.preset(task, budget)
    name_components(changes)
    if changes.get("init_from"):
        given = load(str(changes["init_from"]))
        config = replace(config, model=given.config, contrast=given.contrast)
    config = changed(config, changes)
    if is_component(config.loss.criterion):
        component(config.loss.criterion)
    return config


def changed(config: T, changes: Mapping[str, Any], prefix: str = "") -> T:
    """A copy of a configuration with nested changes, such as ``{"steps": 10, "model": {"dim": 8}}``.

    Raises:
        ValueError: an unknown name or a value of the wrong type.
    """
    kinds, values = get_type_hints(type(config)), {}
    for name, value in changes.items():
        if name not in kinds:
            raise ValueError(_unknown(config, name, prefix))
        current = getattr(config, name)
        if is_dataclass(current):
            nested = dict(value) if isinstance(value, Mapping) else {"preset": value}
            if name == "loss" and is_component(nested.get("preset")):
                nested["criterion"] = nested.pop("preset")
            if "preset" in nested:
                current = _preset(type(current), nested.pop("preset"), prefix + name)
            values[name] = changed(current, nested, f"{prefix}{name}.")
        else:
            values[name] = _converted(value, kinds[name], prefix + name)
    return replace(config, **values)  # type: ignore[type-var]  # T: a dataclass


def as_yaml(config: TrainingConfig) -> str:
    """All settings as YAML text that :func:`configure` reads back."""
    settings = asdict(config)
    if isinstance(config.model, FastFusionConfig):
        settings["model"] = {"preset": "fast", **settings["model"]}
    settings["crop_sizes"] = [f"{height}x{width}" for height, width in config.crop_sizes]
    return yaml.safe_dump(settings, sort_keys=False, default_flow_style=None)


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected names and values (steps: 100), found {type(content).__name__}")
    return content


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` updated by ``above``; a preset of ``model`` or ``loss`` replaces all their settings below it."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name, {})
        if isinstance(value, dict) and "preset" not in value:
            merged[name] = {**(under if isinstance(under, dict) else {"preset": under}), **value}
        else:
            merged[name] = value
    return merged


def _add_override(changes: dict[str, Any], override: str) -> None:
    """Add one ``name=value`` to nested changes."""
    path, equals, value = override.partition("=")
    if not equals:
        raise ValueError(f"expected name=value, found {override!r}")
    *outer, name = path.strip().split(".")
    for part in outer:
        inner = changes.get(part, {})
        changes[part] = inner if isinstance(inner, dict) else {"preset": inner}
        changes = changes[part]
    found = parse_yaml(value, f"{override:.200}: the value") if value else ""
    if isinstance(changes.get(name), dict) and not isinstance(found, dict):
        changes[name]["preset"] = found  # loss.gradient=40 came before loss=med
    else:
        changes[name] = found


def _unknown(config: Any, name: Any, prefix: str) -> str:
    known = [prefix + field for field in flatten(asdict(config))]
    wrong = f"{prefix}{name}"[:100]
    elsewhere = [name for name in known if name.rpartition(".")[2] == wrong.rpartition(".")[2]]
    closest = " or ".join(map(repr, elsewhere or get_close_matches(wrong, known, n=1, cutoff=0.0)))
    return f"unknown setting {wrong!r}: did you mean {closest}? Known are {', '.join(known)}"


def _preset(kind: type[Any], name: Any, path: str) -> Any:
    """What the classmethod of that name returns; "default" is the plain constructor."""
    presets: dict[str, Callable[[], Any]] = {"default": kind}
    for each in _NETWORKS if kind in _NETWORKS else (kind,):
        presets |= {
            n: getattr(each, n) for n, member in vars(each).items() if isinstance(member, classmethod)
        }
    if not isinstance(name, str) or name not in presets:
        raise ValueError(f"{path} must be one of {', '.join(presets)}, or settings of it, found {name!r}")
    return presets[name]()


def _converted(value: Any, kind: Any, path: str) -> Any:
    """The value as that type, if the conversion is unambiguous."""
    if get_origin(kind) is tuple:
        return _sizes(value, path)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{path} must be one of {', '.join(map(str, get_args(kind)))}, found {value!r}")
        return value
    if kind is bool and isinstance(value, str):
        value = _SWITCHES.get(value.lower(), value)
    fits = isinstance(value, bool) if kind is bool else not isinstance(value, bool)
    try:
        made = kind(value)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or (kind is int and made != value) or (kind is str and not isinstance(value, str)):
        expected = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
        raise ValueError(f"{path}: expected {expected}, found {value!r}")
    return made


def _sizes(value: Any, path: str) -> tuple[tuple[int, int], ...]:
    """ "64x64, 32x128", or a list of such sizes or of [64, 64], as ((64, 64), (32, 128))."""
    sizes = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    found = []
    for size in sizes if isinstance(sizes, list) else []:
        text = "x".join(map(str, size)) if isinstance(size, list) else str(size)
        found.append(re.fullmatch(r"(\d+)x(\d+)", text))
    if not found or None in found:
        raise ValueError(f"{path}: expected sizes such as 64x64,32x128 (height x width), found {value!r}")
    return tuple((int(size[1]), int(size[2])) for size in found if size)
