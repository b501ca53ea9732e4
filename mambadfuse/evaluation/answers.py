"""Answers of a blind comparison as JSON lines, only ever appended; a line that was cut off costs itself alone."""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from mambadfuse.evaluation.preference import Answer
from mambadfuse.files import make_folder, require_no_special

_log = logging.getLogger("mambadfuse")


def append_answer(path: str | Path, answer: Answer) -> None:
    """Adds one answer to the file, which is created with the first; when this returns, it is on disk.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    line = json.dumps(asdict(answer), ensure_ascii=False).encode() + b"\n"
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read() == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_answers(path: str | Path) -> list[Answer]:
    """All answers in the order in which they were given; none if there is no file yet.

    Raises:
        ValueError: a complete line is not an answer; the message names it.
        OSError: the file cannot be read.
    """
    path = Path(path)
    require_no_special(path)
    return list(_answers(path, path.read_bytes().splitlines())) if path.exists() else []


def _answers(path: Path, lines: Iterable[bytes]) -> Iterable[Answer]:
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:  # also bytes that are not text
            if line:
                _log.warning("%s: line %d is incomplete and skipped", path, number)
            continue
        try:
            yield Answer(**entry)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {number} is not an answer: {error}") from error
