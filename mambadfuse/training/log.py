"""The log of a run as JSON lines, one object per logged step; a resumed run continues it seamlessly."""

import json
import logging
from pathlib import Path
from typing import Any

from mambadfuse.files import atomic_write, require_no_special

_log = logging.getLogger("mambadfuse")


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log in order; a line that is none, as a kill or a damaged disk leaves it, is skipped.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    return [record for line in _lines(path) if (record := _record(line))]


def _lines(path: str | Path) -> list[bytes]:
    require_no_special(Path(path))
    return [line for line in Path(path).read_bytes().split(b"\n") if line.strip()]


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in a line, None if it is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # also bytes that are not text
        return None
    return record if isinstance(record, dict) and type(record.get("step")) is int else None


class RunLog:
    """A file that records are appended to.

    Args:
        path: the file, ``*.jsonl``; its folder must exist when the first record is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **record: Any) -> None:
        """Append one record.

        Raises:
            OSError: it cannot be written; the message names the file.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OSError(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def rewind(self, step: int) -> None:
        """Delete the records after a step, which a run that resumes from there logs again, and damaged lines."""
        if self.path.exists():
            records = read_log(self.path)
            if damaged := len(_lines(self.path)) - len(records):
                _log.warning("%s: damaged lines are deleted: %d", self.path, damaged)
            records = [record for record in records if record["step"] <= step]
            with atomic_write(self.path) as file:
                file.write("".join(json.dumps(record) + "\n" for record in records).encode())
