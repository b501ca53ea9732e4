"""The log of a run as JSON lines, one object per logged step; a resumed run continues it seamlessly."""

import json
from pathlib import Path
from typing import Any

from mambadfuse.files import atomic_write


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log in order; a line left incomplete by a kill is skipped.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    records = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


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
        """Delete the records after a step: a run that resumes from there logs them again."""
        if self.path.exists():
            records = [record for record in read_log(self.path) if record["step"] <= step]
            with atomic_write(self.path) as file:
                file.write("".join(json.dumps(record) + "\n" for record in records).encode())
