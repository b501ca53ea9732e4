"""What paired differences say: an interval, an effect size, and tests of difference and of equivalence.

A row and the baseline are trained with the same seeds, so that every seed gives one difference d_i. Of n of them, with
mean m and a standard deviation s that has ν degrees of freedom,

=================  ==================================================================================
95 % interval      m ± t(0.975, ν) s / sqrt(n), with the quantile t of Student's distribution
effect size        m / s, Cohen's d of paired samples
p of difference    two-sided Student t-test of m = 0
p of equivalence   two one-sided t-tests (TOST): the larger p of m <= -margin and of m >= margin
=================  ==================================================================================

By themselves the differences give s = sqrt(sum (d_i - m)^2 / (n - 1)) with ν = n - 1; a table of several rows tells
more of it (:mod:`mambadfuse.ablation.scatter`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

LEVEL = 0.05  # a corrected p below it is significant
COVERAGE = 0.95  # of the intervals


_ROUNDING = 1e-12  # a spread below this share of the mean is that of rounding


@dataclass(frozen=True)
class Estimate:
    """The mean of a few differences, and how far chance may have moved it.

    Attributes:
        n: number of differences.
        mean: their mean; NaN if there are none.
        spread: the standard deviation of one difference; NaN where nothing tells it, and so are all below.
        freedom: the degrees of freedom of ``spread``.
        low, high: ends of the 95 % interval.
        effect_size: mean over standard deviation; infinite if all differences are equal and not 0.
        p: of the two-sided t-test.
    """

    n: int
    mean: float
    spread: float
    freedom: int
    low: float
    high: float
    effect_size: float
    p: float


def estimate(differences: ArrayLike) -> Estimate:
    """The mean of paired differences with its interval, effect size and p value, from these differences alone.

    >>> found = estimate([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 3), round(found.high, 3), found.effect_size, round(found.p, 3)
    (2.0, -0.484, 4.484, 2.0, 0.074)
    """
    d = np.asarray(differences, dtype=float)
    return estimate_of_mean(d, float(d.std(ddof=1)) if d.size > 1 else math.nan, max(d.size - 1, 0))


def estimate_of_mean(differences: ArrayLike, spread: float, freedom: int) -> Estimate:
    """The same with a standard deviation of one difference that is known from elsewhere.

    Args:
        differences: paired ones.
        spread: their standard deviation; NaN if it is unknown.
        freedom: its degrees of freedom.
    """
    d = np.asarray(differences, dtype=float)
    n = d.size
    mean = float(d.mean()) if n else math.nan
    if not n or math.isnan(spread):
        return Estimate(n, mean, math.nan, 0, math.nan, math.nan, math.nan, math.nan)
    half = float(special.stdtrit(freedom, (1 + COVERAGE) / 2)) * spread / math.sqrt(n)
    p = 2 * _beyond(abs(_t(mean, spread, n)), freedom)
    return Estimate(n, mean, spread, freedom, mean - half, mean + half, _ratio(mean, spread), p)


def equivalence_p(found: Estimate, margin: float) -> float:
    """The p value of the two one-sided tests: below 0.05, the mean lies within ± margin.

    This is so if and only if the 90 % interval lies within ± margin. NaN without a spread, or for a margin that is NaN.

    >>> round(equivalence_p(estimate([-0.1, 0.0, 0.1]), margin=0.5), 4)
    0.0065
    """
    if math.isnan(found.spread) or math.isnan(margin):
        return math.nan
    nearer = margin - abs(found.mean)  # distance to the nearer end of the margin, whose test has the larger p
    return _beyond(_t(nearer, found.spread, found.n), found.freedom)


def holm(p: Sequence[float]) -> list[float]:
    """Holm-corrected p values, in the given order; NaN stays NaN and does not count.

    Of the sorted p_1 <= ... <= p_m, the k-th becomes max over j <= k of (m - j + 1) p_j, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [math.nan] * len(p), 0.0
    order = sorted((x, i) for i, x in enumerate(p) if not math.isnan(x))
    for rank, (x, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * x))
        corrected[i] = largest
    return corrected


def holm_of_alternatives(first: Sequence[float], second: Sequence[float]) -> tuple[list[float], list[float]]:
    """Holm-corrected p values of two hypotheses for each of m rows, of which at most one is true.

    So it is with "there is no difference" and "the difference is at least the margin". Of the 2 m sorted p values the
    k-th is multiplied by the number of rows with a hypothesis that has not been rejected before it, the most that can
    still be true (Shaffer 1986), and none becomes smaller than those before it. The chance of any false rejection
    among all is at most the level. Where all of ``second`` is NaN, this is :func:`holm`.

    >>> holm_of_alternatives([0.01, 0.04], [0.9, 0.001])
    ([0.02, 0.08], [0.9, 0.002])
    """
    tests = sorted(
        (x, row, side)
        for side, p in enumerate((first, second))
        for row, x in enumerate(p)
        if not math.isnan(x)
    )
    left = Counter(row for _, row, _ in tests)
    corrected: tuple[list[float], list[float]] = ([math.nan] * len(first), [math.nan] * len(second))
    largest = 0.0
    for x, row, side in tests:
        largest = max(largest, min(1.0, len(left) * x))
        corrected[side][row] = largest
        left[row] -= 1
        if not left[row]:
            del left[row]
    return corrected


def _beyond(t: float, freedom: int) -> float:
    """The probability of more than t in Student's distribution."""
    return float(special.stdtr(freedom, -t))


def _t(mean: float, spread: float, n: int) -> float:
    return _ratio(mean, spread / math.sqrt(n))


def _ratio(x: float, spread: float) -> float:
    """x / spread, where 0 / 0 is 0 and x / 0 infinite; a spread of rounding errors is 0."""
    if spread > _ROUNDING * abs(x):
        return x / spread
    return math.copysign(math.inf, x) if x else 0.0
