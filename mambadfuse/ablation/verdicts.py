"""Verdicts: whether a row is better than the baseline in a metric, worse, equal within a margin, or open.

==========  ==============================================================================================
verdict     condition, with p values corrected for the number of rows (Holm), separately for each metric
==========  ==============================================================================================
not learnt  a run of the row has not learnt (:mod:`mambadfuse.ablation.convergence`): it is not compared
equal       p of equivalence < 0.05: the mean difference is smaller than the margin
better      p of difference < 0.05, in the direction in which the metric is better
worse       p of difference < 0.05, in the other direction
open        neither, or fewer than three seeds that both rows were trained with
==========  ==============================================================================================

The scatter from seed to seed, on which intervals and tests stand, is that of the whole table
(:mod:`mambadfuse.ablation.scatter`). The first verdict that holds counts: the margin is the smallest difference that
matters, so a real difference within it is equal. Without a margin nothing is equal. All p values are over seeds, since
only another seed is another training run; the spread over images is given beside them and decides nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from mambadfuse.ablation.scatter import scatter
from mambadfuse.ablation.scoring import lower_is_better
from mambadfuse.ablation.statistics import (
    LEVEL,
    Estimate,
    equivalence_p,
    estimate,
    estimate_of_mean,
    holm_of_alternatives,
)

Verdict = Literal["better", "worse", "equal", "open", "not learnt"]

FEWEST_SEEDS = 3  # for a verdict other than "open"

Scores = Mapping[int, np.ndarray]
"""The scores of one row in one metric: of every seed those of all images, in the same order."""


@dataclass(frozen=True)
class Effect:
    """The difference of a row from the baseline in one metric.

    Attributes:
        seeds: estimate from one difference for each seed that both have, a mean over images.
        pictures: estimate from one difference for each image, a mean over these seeds. It says whether other images
            would show the same of these very weights, and nothing of other training runs.
        p: that of ``seeds``, corrected for the number of rows and of their tests together.
        p_equal: p value of the equivalence test over seeds, corrected with it; NaN without a margin.
        margin: the smallest difference that matters; NaN if none is set.
        verdict: "better", "worse", "equal", "open" or "not learnt".
    """

    seeds: Estimate
    pictures: Estimate
    p: float
    p_equal: float
    margin: float
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Mean of the row minus mean of the baseline, over the seeds that both have."""
        return self.seeds.mean

    @property
    def mark(self) -> str:
        """ "*" if better or worse, "=" if equal, else empty."""
        return {"better": "*", "worse": "*", "equal": "="}.get(self.verdict, "")


def effects(
    rows: Sequence[Scores], baseline: Scores, metric: str, margin: float = math.nan, pool: bool = True
) -> list[Effect]:
    """The effect of each row in one metric; p values are corrected for the number of these rows.

    Args:
        rows: their scores.
        baseline: those of the row with which they are compared.
        metric: its name, which says whether lower is better.
        margin: the smallest difference that matters, in the unit of the metric.
        pool: whether all rows together tell how far each scatters from seed to seed; else each is by itself.
    """
    if not any(scores.size for of_row in (baseline, *rows) for scores in of_row.values()):
        return [not_compared(margin, "open") for _ in rows]
    differences = [paired_differences(scores, baseline) for scores in rows]  # (seeds, images) each
    over_seeds = (
        _pooled(differences, rows, baseline) if pool else [estimate(d.mean(axis=1)) for d in differences]
    )
    enough = [one if one.n >= FEWEST_SEEDS else estimate([]) for one in over_seeds]
    p, p_equal = holm_of_alternatives(
        [one.p for one in enough], [equivalence_p(one, margin) for one in enough]
    )
    sign = -1 if lower_is_better(metric) else 1
    return [
        Effect(
            seeds,
            estimate(d.mean(axis=0)) if len(d) else estimate([]),
            differs,
            equal,
            margin,
            _verdict(sign * seeds.mean, differs, equal),
        )
        for d, seeds, differs, equal in zip(differences, over_seeds, p, p_equal, strict=True)
    ]


def not_compared(margin: float, verdict: Verdict) -> Effect:
    """The effect of a row that cannot be compared: no numbers."""
    nothing = estimate([])
    return Effect(nothing, nothing, math.nan, math.nan, margin, verdict)


def paired_differences(row: Scores, baseline: Scores) -> np.ndarray:
    """Score minus score of the baseline for the seeds that both have, in ascending order: (seeds, images).

    >>> paired_differences({0: np.array([2.0, 3.0]), 7: np.array([5.0, 5.0])}, {0: np.array([1.0, 1.0])})
    array([[1., 2.]])
    """
    images = len(next(chain(baseline.values(), row.values()), ()))
    shared = sorted(row.keys() & baseline.keys())
    return np.array([row[seed] - baseline[seed] for seed in shared]).reshape(len(shared), images)


def _pooled(differences: Sequence[np.ndarray], rows: Sequence[Scores], baseline: Scores) -> list[Estimate]:
    """Estimates over seeds with the scatter of the table."""
    table = [{seed: float(x.mean()) for seed, x in scores.items()} for scores in (baseline, *rows)]
    found = scatter(table)
    return [
        estimate_of_mean(d.mean(axis=1), math.sqrt(found.variances[0] + variance), found.freedom)
        for d, variance in zip(differences, found.variances[1:], strict=True)
    ]


def _verdict(gain: float, p: float, p_equal: float) -> Verdict:
    if p_equal < LEVEL:
        return "equal"
    if p < LEVEL:
        return "better" if gain > 0 else "worse"
    return "open"
