"""Files of JSON lines that only grow: one entry a line, appended whole, even by several processes at once."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mambadfuse.files import make_folder, require_no_special
from mambadfuse.locks import locked

T = TypeVar("T")

_log = logging.getLogger("mambadfuse")


def append_line(path: str | Path, entry: Mapping[str, Any], timeout: float = 30.0) -> None:
    """Adds one entry to the file, which is created with the first; when this returns, it is on disk.

    A kill in between leaves an incomplete line, which later entries do not touch and :func:`read_lines` skips.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     append_line(f"{folder}/answers.jsonl", {"choice": "left"})
    ...     read_lines(f"{folder}/answers.jsonl", dict, "an answer")
    [{'choice': 'left'}]

    Args:
        path: of the file; its folder is made if it is missing. A lock file stays beside it.
        entry: JSON types by name.
        timeout: how long to wait while another process writes, in seconds.

    Raises:
        BusyError: another process is still writing after that time.
        OSError: the file cannot be written; the message names it.
    """
    path = Path(path)
    require_no_special(path)
    make_folder(path.parent)
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    # a byte of a name that is no text, such as 0xff, becomes \udcff, which is JSON
    line = text.encode(errors="backslashreplace") + b"\n"
    with locked(path.with_name(f".{path.name}.lock"), f"{path}: another process is writing to it", timeout):
        try:
            _append(path, line)
        except OSError as error:
            raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error


def _append(path: Path, line: bytes) -> None:
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read() == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: str | Path, make: Callable[..., T], what: str) -> list[T]:
    """``make(**entry)`` of every entry, in the order in which they were added; none if there is no file yet.

    Args:
        path: of the file.
        make: the class of the entries, which raises TypeError or ValueError where it cannot be made from one.
        what: an entry is, for the message, such as "an answer".

    Raises:
        ValueError: a complete line is not such an entry; the message names it.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if not path.exists():
        return []
    require_no_special(path)
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # also bytes that are not text
            if line.strip():
                _log.warning("%s: line %d is incomplete and skipped", path, number)
            continue
        try:
            found.append(make(**entry))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {number} is not {what}: {error}") from error
    return found
