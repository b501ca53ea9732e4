"""Results of an ablation as JSON lines, only ever appended, whole, even by several processes at once."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from mambadfuse.json_lines import append_line, read_lines

SHIPPED_RESULTS = Path(__file__).with_name("results") / "roadscene.jsonl"
SHIPPED_TEST = SHIPPED_RESULTS.with_name(
    "roadscene-test.jsonl"
)  # the same rows, looked at once on the pairs of TNO
SHIPPED_TABLE = SHIPPED_RESULTS.with_suffix(".yaml")  # whose questions these results answer

Scores = Mapping[str, float]  # by metric
Split = Literal["validation", "test"]


@dataclass(frozen=True)
class Result:
    """One row, trained with one seed and scored. All fields are JSON types."""

    row: str
    seed: int
    task: str
    budget: str
    settings: Sequence[str]
    """Overrides that applied to every row, such as ``steps=300``."""
    pairs: str
    """Fingerprint of all training and validation pairs, the same on every machine."""
    config: Mapping[str, Any]
    """The settings that determined the weights, by dotted name."""
    versions: Mapping[str, str]
    parameters: int
    seconds: float
    """Training time, without scoring."""
    memory: int | None
    """Peak memory in bytes, on the GPU if it was trained there; None where the system does not report it."""
    means: Scores
    """Of each metric over the images."""
    scores: Mapping[str, Scores]
    """Of every image, by its name."""
    curve: Sequence[Sequence[float]]
    """At most fifty points [step, loss]; each loss is the mean since the previous point."""
    flops: int | None = None
    """Operations for one pair of validation images, the first; None if a component of one's own does not tell them."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """The code that ran, see :class:`mambadfuse.training.code.RunCode`; empty where it was not recorded."""
    contrast: float | None = None
    """That of the fused images, see :class:`mambadfuse.ablation.scoring.Scored`; None where it was not recorded."""
    likeness: float | None = None
    """How alike fused images and their sources are, from the same class; None where it was not recorded."""
    weights: str = ""
    """The file of the weights, relative to the folder of the results; empty if they were not kept."""
    split: Split = "validation"
    """Which images the scores are of: those by which rows are chosen, or those that are looked at once."""

    @property
    def setting(self) -> tuple[Any, ...]:
        """What results must share to be compared: task, budget, settings, pairs, split and the code of the kit."""
        kit = self.code.get("kit", "")
        return self.task, self.budget, tuple(self.settings), self.pairs, self.split, kit

    def only(self, metrics: Sequence[str]) -> Self:
        """The same result with these metrics alone, in this order.

        Raises:
            ValueError: it was not scored by one of them.
        """
        if missing := [name for name in metrics if name not in self.means]:
            raise ValueError(
                f"{self.row}, seed {self.seed}: was not scored by {missing[0]!r}, only by {', '.join(self.means)}"
            )
        scores = {picture: {name: one[name] for name in metrics} for picture, one in self.scores.items()}
        return replace(self, means={name: self.means[name] for name in metrics}, scores=scores)


def kept_weights(results: Iterable[Result], folder: str | Path) -> dict[str, Path]:
    """The weights of each row with one seed: the lowest with which most rows have kept theirs.

    Args:
        results: of one ablation.
        folder: of the file that they are stored in.

    Returns:
        The files by row, in the order of the results; empty if none are kept.
    """
    by_seed: dict[int, dict[str, Path]] = {}
    for result in results:
        path = Path(folder) / result.weights
        if result.weights and path.is_file():
            by_seed.setdefault(result.seed, {})[result.row] = path
    return max((by_seed[seed] for seed in sorted(by_seed)), key=len, default={})


def rows_by_code(results: Sequence[Result]) -> list[Result]:
    """The same results, in which a row that was trained with several versions of code of one's own is several rows.

    The version of its last result keeps the name, the others are called ``row@`` and six hex digits.
    """
    latest = {result.row: _own_code(result) for result in results}
    return [
        result
        if _own_code(result) == latest[result.row]
        else replace(result, row=f"{result.row}@{_own_code(result)}")
        for result in results
    ]


def _own_code(result: Result) -> str:
    own = {name: part for name, part in result.code.items() if name in ("own", "classes")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:6]


class Store:
    """A file of results, ``*.jsonl``.

    Args:
        path: the file; it and its folder are created with the first result.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, result: Result) -> None:
        """Append one result; when this returns, it is on disk.

        A kill in between leaves an incomplete line, which later appends do not touch and :meth:`results` skips.

        Raises:
            BusyError: another process has been writing for half a minute.
            OSError: it cannot be written.
        """
        append_line(self.path, asdict(result))

    def results(self) -> list[Result]:
        """All results in the order they were appended; none if there is no file yet.

        Raises:
            ValueError: a complete line is not a result; the message names it.
            OSError: the file cannot be read.
        """
        return read_lines(self.path, Result, "a result of this version")
