"""The manifest of a folder of results: the settings each was made with, so that none is kept with other settings."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mambadfuse.files import atomic_write, make_folder

MANIFEST = ".fused_with.json"

Settings = dict[str, str | int | float | None]


@contextmanager
def manifest(folder: Path, names: Sequence[str], settings: Settings, overwrite: bool) -> Iterator[None]:
    """Wraps a run that writes ``folder/<name>.png``, and records the settings of each result it writes.

    The manifest is written at the start, so that a killed run can be resumed. Results that an interrupted
    ``overwrite`` did not reach are no longer recorded.

    Args:
        folder: of the results.
        names: of the results that the run is to write.
        settings: of the run.
        overwrite: whether the run replaces existing results.

    Raises:
        ValueError: without ``overwrite``, if a result exists that is not recorded with these settings.
        OSError: the folder cannot be created or written to.
    """
    recorded = _read(folder)
    existing = {name: stamp for name in names if (stamp := _stamp(folder, name))}
    differing = [name for name in existing if not _same_values(recorded.get(name), settings)]
    if differing and not overwrite:
        first = differing[0]
        raise ValueError(
            f"{folder}: {len(differing)} of {len(names)} results exist already, made with other or unknown settings "
            f"({first}.png {_difference(recorded.get(first), settings)}): choose another folder (--out), "
            "or replace them (--overwrite)"
        )
    recorded = {name: made for name, made in recorded.items() if name not in differing}
    recorded |= {name: settings for name in names if name not in existing}
    _write(folder, recorded)
    try:
        yield
    finally:
        recorded |= {
            name: settings for name in names if _stamp(folder, name) not in (None, existing.get(name))
        }
        _write(folder, recorded)


def _same_values(made: Settings | None, now: Settings) -> bool:
    """Whether both settings give the same pixels; the name of the weights does not matter, their digest does."""
    return made is not None and {**made, "model": None} == {**now, "model": None}


def _stamp(folder: Path, name: str) -> tuple[int, int] | None:
    """Time and inode of a result, which change when it is written again; None if there is none."""
    try:
        stat = (folder / f"{name}.png").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _difference(made: Settings | None, now: Settings) -> str:
    if made is None:
        return "has no record of its settings"
    differing = [key for key in {**made, **now} if made.get(key) != now.get(key)]
    then, today = (", ".join(f"{key} {settings.get(key)}" for key in differing) for settings in (made, now))
    return f"was made with {then}, now it is {today}"


def _read(folder: Path) -> dict[str, Settings]:
    """The settings of each result by its name; empty if there is no readable manifest."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    return {name: made for name, made in entries if isinstance(made, dict)}


def _write(folder: Path, recorded: dict[str, Settings]) -> None:
    make_folder(folder)
    with atomic_write(folder / MANIFEST) as file:
        file.write(json.dumps(recorded, indent=0, ensure_ascii=False).encode())
