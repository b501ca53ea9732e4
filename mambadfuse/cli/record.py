"""The record of a folder of results: what each was made with, so that a run never keeps those of other settings."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.files import atomic_write, make_folder

if TYPE_CHECKING:
    from torch import nn

FILE = ".fused_with.json"

Settings = dict[str, str | int | float | None]


def fingerprint(network: "nn.Module") -> str:
    """Twelve digits that are others for other weights, or for another configuration of the network."""
    digest = hashlib.sha256(repr(getattr(network, "config", None)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


@contextmanager
def recorded(folder: Path, names: Sequence[str], settings: Settings, overwrite: bool) -> Iterator[None]:
    """Around a run that makes ``folder/<name>.png``: each that it makes goes on record with the settings.

    The record is there from the beginning, so that a run may be killed and go on later. What an interrupted
    ``overwrite`` has not come to is on record no more.

    Raises:
        ValueError: without ``overwrite``, if a result is there already but not on record with these settings.
        OSError: the folder cannot be made or written to.
    """
    record = _read(folder)
    before = {name: stamp for name in names if (stamp := _stamp(folder, name))}
    others = [name for name in before if not _same(record.get(name), settings)]
    if others and not overwrite:
        raise ValueError(
            f"{folder}: {len(others)} of {len(names)} results are there already, but not of these settings "
            f"({others[0]}.png {_difference(record.get(others[0]), settings)}): choose another --out, or "
            "--overwrite makes them again"
        )
    record = {name: made for name, made in record.items() if name not in others}
    record |= {name: settings for name in names if name not in before}
    _write(folder, record)
    try:
        yield
    finally:
        record |= {name: settings for name in names if _stamp(folder, name) not in (None, before.get(name))}
        _write(folder, record)


def _same(made: Settings | None, now: Settings) -> bool:
    """Whether the values would be the same; the weights may go by another name."""
    return made is not None and {**made, "model": None} == {**now, "model": None}


def _stamp(folder: Path, name: str) -> tuple[int, int] | None:
    """What changes when a result is made again; None if there is none."""
    try:
        stat = (folder / f"{name}.png").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _difference(made: Settings | None, now: Settings) -> str:
    if made is None:
        return "has no record of its settings"
    others = [key for key in now if made.get(key) != now[key]]
    then, today = (", ".join(f"{key} {settings.get(key)}" for key in others) for settings in (made, now))
    return f"was made with {then}, now it is {today}"


def _read(folder: Path) -> dict[str, Settings]:
    """The record; empty if there is none that can be read."""
    try:
        record = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = record.items() if isinstance(record, dict) else ()
    return {name: made for name, made in entries if isinstance(made, dict)}


def _write(folder: Path, record: dict[str, Settings]) -> None:
    make_folder(folder)
    with atomic_write(folder / FILE) as file:
        file.write(json.dumps(record, indent=0, ensure_ascii=False).encode())
