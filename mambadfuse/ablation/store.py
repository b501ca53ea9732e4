"""What an ablation found, kept as JSON lines: results are only ever added, whole, also by several processes at once."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mambadfuse.files import make_folder

_log = logging.getLogger("mambadfuse")

SHIPPED_RESULTS = Path(__file__).with_name("results") / "ivf_minutes.jsonl"

Scores = Mapping[str, float]  # by metric


@dataclass(frozen=True)
class Result:
    """One row, trained with one seed and scored. Everything in it is fit for JSON."""

    row: str
    seed: int
    task: str
    budget: str
    settings: Sequence[str]
    """Words that held for every row, such as ``steps=300``."""
    pairs: str
    """Fingerprint of the pairs, to train on and to be judged by: the same on every machine, another for others."""
    config: Mapping[str, Any]
    """What decided the weights, by dotted name."""
    versions: Mapping[str, str]
    parameters: int
    seconds: float
    """Time that the training took, without scoring."""
    memory: int | None
    """Most bytes taken at a time, on the GPU if it was trained there; None where the system does not say."""
    means: Scores
    """Of each metric over the pictures."""
    scores: Mapping[str, Scores]
    """Those of every picture, by its name."""
    curve: Sequence[Sequence[float]]
    """At most fifty points [step, loss]; a loss is the mean since the point before."""

    @property
    def setting(self) -> tuple[Any, ...]:
        """What results must have in common to be compared: task, budget, settings and pairs."""
        return self.task, self.budget, tuple(self.settings), self.pairs


class Store:
    """A file of results, ``*.jsonl``.

    Args:
        path: of the file; it and its folder are made with the first result.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, result: Result) -> None:
        """Add one result; when this returns it is on the disk.

        A kill in between leaves a torn line, which the next result does not touch and :meth:`results` passes over.

        Raises:
            OSError: it cannot be written.
        """
        make_folder(self.path.parent)
        line = json.dumps(asdict(result), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with FileLock(self.path.with_name(f".{self.path.name}.lock")), self.path.open("ab") as file:
            file.write(line if self._ends_whole() else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    def results(self) -> list[Result]:
        """All results in the order in which they came; none if there is no file yet.

        Raises:
            ValueError: a line is whole but no result; the message names it.
            OSError: the file cannot be read.
        """
        if not self.path.exists():
            return []
        found = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:  # also bytes that are no text
                if line:
                    _log.warning("%s: line %d is torn and passed over", self.path, number)
                continue
            try:
                found.append(Result(**entry))
            except TypeError as error:
                raise ValueError(
                    f"{self.path}: line {number} is no result of this version: {error}"
                ) from error
        return found

    def _ends_whole(self) -> bool:
        if not self.path.stat().st_size:
            return True
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
