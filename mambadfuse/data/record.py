"""The hidden files in which ``fuse`` and ``align`` record, beside their results, how each of them was made.

A line describes one result in JSON: its name relative to the folder, so that a folder can be moved, the SHA-256 of its
content, so that no other file is taken for it, and the settings it was made with.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDS = ".fused_with*.jsonl"
SOURCES = "sources"
OLD_RECORD = "is a record of an older version, which does not know the content of results, and is not read"


@dataclass(frozen=True)
class Made:
    """How one result was made.

    Attributes:
        name: of the file, relative to the folder of the record.
        sha256: of its content, in hexadecimal.
        settings: it was made with; "sources" are names relative to the same folder.
    """

    name: str
    sha256: str
    settings: dict[str, Any]

    def line(self) -> bytes:
        """The same in JSON, with the end of the line."""
        return json.dumps(vars(self)).encode() + b"\n"


Recorded = dict[str, list[Made]]


def read_record(folder: Path) -> Recorded:
    """What a folder records about each name, the latest last; empty if there is no readable record."""
    found = []
    for file in filter(Path.is_file, folder.glob(RECORDS)):
        with suppress(OSError):  # also where another process has just removed it
            found.append((file.stat().st_mtime_ns, file, file.read_bytes()))
    recorded: Recorded = defaultdict(list)
    for _, _, content in sorted(found, key=lambda one: one[:2]):
        for made in _lines(content):
            if made in recorded[made.name]:  # several files may hold one line
                recorded[made.name].remove(made)
            recorded[made.name].append(made)
    return dict(recorded)


def names_in(file: Path) -> set[str]:
    """The names of all results in one file of a record; empty if it cannot be read."""
    with suppress(OSError):
        if file.is_file():
            return {made.name for made in _lines(file.read_bytes())}
    return set()


def old_record(folder: Path) -> Path | None:
    """A record that an older version of this kit has left in a folder; None if there is none."""
    return min(folder.glob(".fused_with*.json"), default=None)


def _lines(content: bytes) -> Iterator[Made]:
    """The lines that can be read; a killed process may leave a part of one."""
    for line in content.splitlines():
        with suppress(ValueError, TypeError, RecursionError):
            made = Made(**json.loads(line))
            if isinstance(made.name, str) and isinstance(made.settings, dict):
                yield made


def made_as(file: Path, recorded: Iterable[Made]) -> Made | None:
    """The latest line that describes the content of a file; None if none does, or the file cannot be read."""
    recorded = list(recorded)
    if not recorded:
        return None
    with suppress(OSError):
        found = sha256_of(file)
        return next((made for made in reversed(recorded) if made.sha256 == found), None)
    return None


def sha256_of(file: Path) -> str:
    """The SHA-256 of the content of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def relative_name(file: Path, folder: Path) -> str:
    """A file as seen from a folder, with forward slashes; the links above the file are resolved, but not its own."""
    path = file.parent.resolve() / file.name
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return path.as_posix()


def results_among_sources(folder: Path, root: Path) -> set[Path]:
    """The files in a folder that, by its record, were made from files below the root."""
    base, top = folder.resolve(), root.resolve()

    def from_below(made: Made) -> bool:
        return any(Path(os.path.normpath(base / source)).is_relative_to(top) for source in _sources(made))

    return {
        folder / name
        for name, recorded in read_record(folder).items()
        if "/" not in name and made_as(folder / name, filter(from_below, recorded))
    }


def _sources(made: Made) -> list[str]:
    sources = made.settings.get(SOURCES)
    return [source for source in sources if isinstance(source, str)] if isinstance(sources, list) else []
