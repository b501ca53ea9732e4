"""The table of an ablation: every row compared with ``default``, with spreads over seeds and significance tests.

A difference between a row and ``default`` can be due to chance in two ways, and each has a two-sided test:

=========  ============================================================  ==========================
chance in  question and sample                                           test
=========  ============================================================  ==========================
images     would other images show it, with the same weights?            Wilcoxon signed-rank test
           one pair of scores per image, each the mean over seeds
seeds      would other initial weights and crops show it, on the same    Student's t-test,
           images? one mean over images per seed                         independent samples
=========  ============================================================  ==========================

With many rows, some differences are significant by chance alone. So all p values are corrected for the number of rows
by Holm's method, separately for each metric: of the sorted p_1 <= ... <= p_m, the k-th becomes
max over j <= k of (m - j + 1) p_j, at most 1.
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO

import numpy as np
from scipy import stats

from mambadfuse.ablation.store import Result, Scores, rows_by_code
from mambadfuse.ablation.table import DEFAULT
from mambadfuse.evaluation.table import cell, columns, name_cell, plain

LEVEL = 0.05  # a corrected p below it is significant


@dataclass(frozen=True)
class Effect:
    """The difference of a row from ``default`` in one metric, and its p values.

    Attributes:
        difference: mean of the row minus mean of ``default``.
        p_pictures: corrected p value of the test over images.
        p_seeds: corrected p value of the test over seeds; NaN where the row or ``default`` has a single seed.
    """

    difference: float
    p_pictures: float
    p_seeds: float

    @property
    def mark(self) -> str:
        """ "**" if significant over images and over seeds, "*" if over images alone, else empty."""
        if not self.p_pictures < LEVEL:
            return ""
        return "**" if self.p_seeds < LEVEL else "*"


@dataclass(frozen=True)
class Line:
    """One row of the table with all its seeds.

    Attributes:
        row: its name.
        seeds: those it was trained with.
        parameters: of its network.
        seconds: training time, mean over seeds.
        memory: peak memory over all seeds, in bytes; None where the system did not report it.
        means: of each metric over images and seeds.
        spreads: standard deviation over seeds of the means over images, sqrt(sum (x - mean)^2 / (n - 1)); NaN
            for a single seed.
        effects: by metric; empty for ``default``.
    """

    row: str
    seeds: tuple[int, ...]
    parameters: int
    seconds: float
    memory: int | None
    means: Scores
    spreads: Scores
    effects: dict[str, Effect]


@dataclass(frozen=True)
class Report:
    """The rows of one ablation; ``str(report)`` is a table to read.

    Attributes:
        task, budget, settings, pairs: what its results have in common.
        metrics: their names.
        pictures: the names of the scored images.
        lines: ``default`` first, the others in the order of their first results.
    """

    task: str
    budget: str
    settings: tuple[str, ...]
    pairs: str
    metrics: tuple[str, ...]
    pictures: tuple[str, ...]
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        settings = f" with {' '.join(self.settings)}" if self.settings else ""
        images = f"{len(self.pictures)} validation images"
        head = f"task {self.task}, budget {self.budget}{settings}; {images}; fingerprint of all pairs {self.pairs}"
        return "\n\n".join([head, self._means(), *([self._differences()] if len(self.lines) > 1 else [])])

    def to_json(self) -> str:
        """All of it as JSON; infinities and NaN are the strings "inf", "-inf" and "nan"."""
        return json.dumps(plain(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Means, spreads, differences and corrected p values of every row, one per line, named in column ``what``."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "seeds", "parameters", "seconds", "memory", "what", *self.metrics])
        for line in self.lines:
            numbers = {"mean": line.means, "spread": line.spreads}
            for what in ("difference", "p_pictures", "p_seeds"):
                numbers[what] = {metric: getattr(effect, what) for metric, effect in line.effects.items()}
            about = [
                name_cell(line.row),
                len(line.seeds),
                line.parameters,
                round(line.seconds, 2),
                line.memory,
            ]
            for what, values in numbers.items():
                if values:
                    writer.writerow([*about, what, *(cell(values[metric]) for metric in self.metrics)])
        return text.getvalue()

    def _means(self) -> str:
        head = ["mean ± standard deviation over seeds", "seeds", "parameters", "seconds", *self.metrics]
        lines = [
            [
                line.row,
                str(len(line.seeds)),
                f"{line.parameters:,}",
                f"{line.seconds:.0f}",
                *(_mean_cell(line.means[metric], line.spreads[metric]) for metric in self.metrics),
            ]
            for line in self.lines
        ]
        return columns([head, *lines])

    def _differences(self) -> str:
        compared = self.lines[1:]
        lines = [
            [line.row, *(_effect_cell(line.effects[m], line.means[m]) for m in self.metrics)]
            for line in compared
        ]
        rows = f"{len(compared)} row{'' if len(compared) == 1 else 's'}"
        legend = (
            f"*  p < {LEVEL} over {len(self.pictures)} images (Wilcoxon signed-rank test, scores averaged over seeds)\n"
            f"** also p < {LEVEL} over seeds (Student's t-test, scores averaged over images)\n"
            f"both two-sided, Holm-corrected for {rows}, separately for each metric"
        )
        return columns([["difference from default", *self.metrics], *lines]) + "\n\n" + legend


def compare(results: Sequence[Result]) -> Report:
    """The table of these results; of several with the same row and seed, the last one counts.

    Raises:
        ValueError: there is no result of ``default``, or results cannot be compared: their tasks, budgets, settings,
            pairs or images differ.
    """
    results = rows_by_code(results)
    settings = {result.setting for result in results}
    if len(settings) > 1:
        listed = "; ".join(" ".join(map(str, setting)) for setting in sorted(settings, key=str))
        raise ValueError(f"results of {len(settings)} different ablations cannot be compared: {listed}")
    by_row: dict[str, dict[int, Result]] = {DEFAULT: {}}
    for result in results:
        by_row.setdefault(result.row, {})[result.seed] = result
    if not by_row[DEFAULT]:
        raise ValueError(f"there is no result of the row {DEFAULT!r}, with which the others are compared")
    first = next(iter(by_row[DEFAULT].values()))
    for result in results:
        if result.scores.keys() != first.scores.keys():
            raise ValueError(
                f"{result.row}, seed {result.seed}: was scored on different images than {DEFAULT!r}"
            )
    metrics, pictures = tuple(first.means), tuple(first.scores)
    tables = {
        row: np.array([[[r.scores[p][m] for m in metrics] for p in pictures] for r in of_row.values()])
        for row, of_row in by_row.items()
    }  # (seeds, images, metrics) each
    effects = _effects(tables, metrics)
    lines = [
        _line(row, list(of_row.values()), tables[row], metrics, effects[row])
        for row, of_row in by_row.items()
    ]
    return Report(
        first.task, first.budget, tuple(first.settings), first.pairs, metrics, pictures, tuple(lines)
    )


def holm(p: Sequence[float]) -> list[float]:
    """Holm-corrected p values, in the given order; NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [math.nan] * len(p), 0.0
    order = sorted((x, i) for i, x in enumerate(p) if not math.isnan(x))
    for rank, (x, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * x))
        corrected[i] = largest
    return corrected


def _effects(tables: dict[str, np.ndarray], metrics: Sequence[str]) -> dict[str, dict[str, Effect]]:
    """Effects by row and metric, corrected over the rows; none for ``default``."""
    base, rows = tables[DEFAULT], [row for row in tables if row != DEFAULT]
    found: dict[str, dict[str, Effect]] = {row: {} for row in tables}
    for k, metric in enumerate(metrics):
        pictures = holm([_p_pictures(tables[row][..., k], base[..., k]) for row in rows])
        seeds = holm([_p_seeds(tables[row][..., k], base[..., k]) for row in rows])
        for row, p_pictures, p_seeds in zip(rows, pictures, seeds, strict=True):
            difference = float(tables[row][..., k].mean() - base[..., k].mean())
            found[row][metric] = Effect(difference, p_pictures, p_seeds)
    return found


def _p_pictures(row: np.ndarray, base: np.ndarray) -> float:
    """The uncorrected p value over images, from scores (seeds, images)."""
    differences = row.mean(axis=0) - base.mean(axis=0)
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _p_seeds(row: np.ndarray, base: np.ndarray) -> float:
    """The uncorrected p value over seeds, from scores (seeds, images)."""
    mine, theirs = row.mean(axis=1), base.mean(axis=1)
    if len(mine) < 2 or len(theirs) < 2:
        return math.nan
    if mine.std() == theirs.std() == 0:
        return float(mine[0] == theirs[0])
    return float(stats.ttest_ind(mine, theirs).pvalue)


def _line(
    row: str, results: list[Result], scores: np.ndarray, metrics: Sequence[str], effects: dict[str, Effect]
) -> Line:
    of_seeds = scores.mean(axis=1)  # (seeds, metrics)
    spreads = of_seeds.std(axis=0, ddof=1) if len(results) > 1 else np.full(len(metrics), math.nan)
    known = [result.memory for result in results if result.memory is not None]
    return Line(
        row=row,
        seeds=tuple(sorted(result.seed for result in results)),
        parameters=results[-1].parameters,
        seconds=float(np.mean([result.seconds for result in results])),
        memory=max(known, default=None),
        means=dict(zip(metrics, of_seeds.mean(axis=0).tolist(), strict=True)),
        spreads=dict(zip(metrics, spreads.tolist(), strict=True)),
        effects=effects,
    )


def _mean_cell(mean: float, spread: float) -> str:
    places = _places(mean)
    return f"{mean:.{places}f}" + ("" if math.isnan(spread) else f"±{spread:.{places}f}")


def _effect_cell(effect: Effect, mean: float) -> str:
    return f"{effect.difference:+.{_places(mean)}f}{effect.mark:<2}"


def _places(x: float) -> int:
    return 2 if abs(x) >= 10 else 3
