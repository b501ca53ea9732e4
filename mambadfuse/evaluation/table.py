"""Tables of scores: several methods on the same images, compared and ranked."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

import numpy as np

from mambadfuse.files import printable
from mambadfuse.metrics import LOWER_IS_BETTER

Scores = dict[str, float]  # by metric

RESULT, WEIGHTS, BASELINE, PUBLISHED = "result", "weights", "baseline", "published"


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        name: of the folder, the baseline or the published method.
        kind: "result", "baseline" or "published".
        means: of each metric over the images compared.
        stds: standard deviations sqrt(mean (x − mean)²); NaN where a score is infinite. Empty if published.
        scores: of every image, by the name of the pair. Empty if published.
        source: where the numbers were published; empty otherwise.
    """

    name: str
    kind: str
    means: Scores
    stds: Scores
    scores: dict[str, Scores]
    source: str = ""

    @property
    def label(self) -> str:
        """The name, with its kind unless it is a result."""
        return label(self.name, self.kind)


@dataclass(frozen=True)
class Table:
    """Several methods, compared and ranked; ``str(table)`` is the table as text.

    Attributes:
        convention: of the scores.
        metrics: names of the metrics.
        pictures: names of the pairs compared: those for which every method with images has a score.
        methods: the rows, best mean rank first.
        ranks: by the label of a method, then by metric: 1 + the number of methods with a better mean, so 1 is best and
            ties share a rank. A published method has no rank where it has no score.
        mean_ranks: by label: the mean rank over the metrics that every method has.
        problems: what could not be scored, and why; each starts with a path.
        shard: which part of how many parts of the pairs this is; None for all of them.
    """

    convention: str
    metrics: tuple[str, ...]
    pictures: tuple[str, ...]
    methods: tuple[Method, ...]
    ranks: dict[str, dict[str, int]]
    mean_ranks: Scores
    problems: tuple[str, ...]
    shard: tuple[int, int] | None = None

    def __str__(self) -> str:
        number = f"{len(self.pictures)} image{'' if len(self.pictures) == 1 else 's'}"
        blocks = [
            f"{number}, convention {self.convention}; * is the best mean, rank 1 the best rank",
            self._block("mean", self.methods, self._mean_cell),
            self._block(
                "standard deviation",
                [method for method in self.methods if method.stds],
                lambda method, metric: _decimals(method.stds[metric]),
            ),
            self._block(
                "rank", self.methods, lambda method, metric: str(self.ranks[method.label].get(metric, ""))
            ),
            "\n".join(_origins(self.methods)),
        ]
        return "\n\n".join(filter(None, blocks))

    def to_json(self) -> str:
        """The whole table as JSON.

        JSON has neither infinity nor NaN: they become the strings "inf", "-inf" and "nan", which ``float`` parses.
        """
        methods = [
            {**asdict(method), "ranks": self.ranks[method.label], "mean_rank": self.mean_ranks[method.label]}
            for method in self.methods
        ]
        content = {
            "convention": self.convention,
            "metrics": self.metrics,
            "pictures": self.pictures,
            "methods": methods,
            "problems": self.problems,
        }
        return json_text(content if self.shard is None else {"shard": self.shard, **content})

    def to_csv(self) -> str:
        """The whole table as CSV: for every method, one line per image and one each for mean, std and rank.

        The column ``what`` is "score", "mean", "std" or "rank"; for a score, the column ``picture`` names the pair.
        Infinities are written inf and -inf; a cell without a number is empty.
        """
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["method", "kind", "what", "picture", *self.metrics])
        for method in self.methods:
            lines: list[tuple[str, str, Mapping[str, float]]] = [
                *(("score", picture, scores) for picture, scores in method.scores.items()),
                ("mean", "", method.means),
                ("std", "", method.stds),
                ("rank", "", self.ranks[method.label]),
            ]
            for what, picture, numbers in lines:
                cells = [cell(numbers.get(metric, math.nan)) for metric in self.metrics]
                writer.writerow([name_cell(method.name), method.kind, what, name_cell(picture), *cells])
        return printable(text.getvalue())

    def to_markdown(self) -> str:
        """The means as a Markdown table, best mean rank first; the best mean of a metric is bold.

        Rows that were computed have standard deviations over the images behind a ±.
        """
        lines = [["", "mean rank", *self.metrics]]
        for method in self.methods:
            cells = [self._markdown_cell(method, metric) for metric in self.metrics]
            lines.append([method.label, f"{self.mean_ranks[method.label]:.2f}", *cells])
        return markdown(lines)

    def _markdown_cell(self, method: Method, metric: str) -> str:
        if metric not in method.means:
            return ""
        mean = _decimals(method.means[metric])
        bold = f"**{mean}**" if self.ranks[method.label][metric] == 1 else mean
        return f"{bold} ± {_decimals(method.stds[metric])}" if method.stds else bold

    def _mean_cell(self, method: Method, metric: str) -> str:
        if metric not in method.means:
            return ""
        best = "*" if self.ranks[method.label][metric] == 1 else " "
        return _decimals(method.means[metric]) + best

    def _block(self, title: str, methods: Sequence[Method], cell: Callable[[Method, str], str]) -> str:
        """One line per method under a header, in aligned columns."""
        lines = [[title, "mean rank", *self.metrics]]
        for method in methods:
            rank = f"{self.mean_ranks[method.label]:.2f}"
            lines.append([method.label, rank, *(cell(method, metric) for metric in self.metrics)])
        return columns(lines)


def label(name: str, kind: str) -> str:
    """The name of a method, with its kind unless it is a result."""
    return name if kind == RESULT else f"{name} ({kind})"


def rank(
    methods: Iterable[Method],
    metrics: Sequence[str],
    pictures: Sequence[str],
    convention: str,
    problems: Sequence[str] = (),
) -> Table:
    """Ranks the methods; the arguments become the attributes of the table."""
    methods = list(methods)
    ranks: dict[str, dict[str, int]] = {method.label: {} for method in methods}
    for metric in metrics:
        merits = {
            method.label: _merit(metric, method.means[metric]) for method in methods if metric in method.means
        }
        for label, merit in merits.items():
            ranks[label][metric] = 1 + sum(other > merit for other in merits.values())
    shared = [metric for metric in metrics if all(metric in method.means for method in methods)]
    mean_ranks = {
        label: sum(own[metric] for metric in shared) / len(shared) if shared else math.nan
        for label, own in ranks.items()
    }
    methods.sort(key=lambda method: mean_ranks[method.label])
    return Table(
        convention, tuple(metrics), tuple(pictures), tuple(methods), ranks, mean_ranks, tuple(problems)
    )


def summarise(scores: Mapping[str, Scores], pictures: Iterable[str]) -> tuple[Scores, Scores]:
    """Mean and standard deviation of each metric over these images.

    Example:
        >>> summarise({"x": {"EN": 6.0}, "y": {"EN": 7.0}}, ["x", "y"])
        ({'EN': 6.5}, {'EN': 0.5})
    """
    of_each = [scores[picture] for picture in pictures]
    means, stds = {}, {}
    for metric in of_each[0]:
        values = np.array([one[metric] for one in of_each])
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            means[metric], stds[metric] = float(values.mean()), float(values.std())
    return means, stds


def summarise_all(
    scores: Mapping[tuple[str, str], dict[str, Scores]], pictures: Sequence[str]
) -> list[Method]:
    """The methods of these scores by kind, name and picture: results first, then by name."""
    in_order = sorted(scores.items(), key=lambda entry: (entry[0][0] != RESULT, entry[0]))
    return [Method(name, kind, *summarise(own, pictures), own) for (kind, name), own in in_order]


def _merit(metric: str, mean: float) -> float:
    """A number that is higher for the better method."""
    if math.isnan(mean):
        return -math.inf
    return -mean if metric in LOWER_IS_BETTER else mean


def _origins(methods: Iterable[Method]) -> list[str]:
    """One line per source: the methods published there, then the source."""
    of_source: dict[str, list[str]] = {}
    for method in methods:
        if method.source:
            of_source.setdefault(method.source, []).append(method.name)
    return [f"{', '.join(names)}: {source}" for source, names in of_source.items()]


def _decimals(x: float) -> str:
    return f"{x:.3f}"


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as aligned text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a Markdown table, the first line its header.

    >>> print(markdown([["", "SSIM"], ["a | b", "1.05"]]), end="")
    |  | SSIM |
    |---|---|
    | a \\| b | 1.05 |
    """
    rows = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return printable("\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]]) + "\n")


def cell(x: float) -> str:
    """A number for CSV, in full precision; empty if it is NaN."""
    return "" if math.isnan(x) else repr(x)


def name_cell(name: str) -> str:
    """A name for CSV, with an apostrophe before one that a spreadsheet would take for a formula: =, +, -, @, tab."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name


def json_text(content: Any) -> str:
    """The content as JSON, in the form of :func:`plain`."""
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(x: Any) -> Any:
    """A value that JSON can hold: infinities and NaN become the strings "inf", "-inf" and "nan", names printable."""
    if isinstance(x, str):
        return printable(x)
    if isinstance(x, dict):
        return {plain(key): plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [plain(value) for value in x]
    return str(x) if isinstance(x, float) and not math.isfinite(x) else x
