"""The answers of a blind comparison in a file, to which they are only ever added."""

from dataclasses import asdict
from pathlib import Path

from mambadfuse.evaluation.preference import Answer
from mambadfuse.json_lines import append_line, read_lines


def append_answer(path: str | Path, answer: Answer) -> None:
    """Adds one answer to the file, which is created with the first; when this returns, it is on disk.

    Raises:
        BusyError: another process is writing to the file, and does not end within 30 seconds.
        OSError: it cannot be written.
    """
    append_line(path, asdict(answer))


def read_answers(path: str | Path) -> list[Answer]:
    """All answers in the order in which they were given; none if there is no file yet.

    Raises:
        ValueError: a complete line is not an answer; the message names it.
        OSError: the file cannot be read.
    """
    return read_lines(path, Answer, "an answer")
