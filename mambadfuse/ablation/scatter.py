"""The scatter of rows from seed to seed, of which each row tells a little and the whole table much.

The score of row r with seed k is modelled as x_rk = row_r + seed_k + e_rk, fitted by least squares: randomised blocks,
the seeds being the blocks. With the residuals e, their leverages h, and ν degrees of freedom, which is the number of
runs less that of fitted numbers, the variances are

=================  ==================================================================================
of the table       s² = sum of e_rk² over all runs / ν
of the row alone   s_r² = sum of e_rk² over its seeds / sum of (1 - h_rk) over its seeds
of a row           v_r = max(s², s_r²)
of a difference    v_r + v_0 of a row from the baseline with the same seed; of its mean over n seeds, (v_r + v_0) / n
=================  ==================================================================================

With five seeds, 18 rows have ν = 68, where the differences of one row have 4 degrees of freedom: the quantile t falls
from 2.78 to 2.00, and from 6.5 to 3.1 after a correction for 17 rows. No row is taken to scatter less than the table as
a whole, and where a row or the baseline scatters more, its own scatter counts. Pooling alone would then raise too many
false alarms; ``tests/test_ablation_scatter.py`` simulates them. In a table of the baseline and one row, v_r + v_0 is
the variance of the paired differences, and the test is Student's for pairs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_TINY = 1e-9  # a leverage or a singular value nearer to its end is one of rounding


@dataclass(frozen=True)
class Scatter:
    """How far the rows of one table scatter in one metric.

    Attributes:
        variances: of each row over seeds, v_r, in the order given; NaN if ``freedom`` is 0.
        freedom: ν, the degrees of freedom that they share.
    """

    variances: tuple[float, ...]
    freedom: int


def scatter(rows: Sequence[Mapping[int, float]]) -> Scatter:
    """The scatter of these rows, the baseline among them.

    Args:
        rows: the score of each by seed; they may lack seeds that others have.

    >>> found = scatter([{0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 3.0, 2: 5.0}])  # differences 0, 1, 2, of variance 1
    >>> [round(variance, 3) for variance in found.variances], found.freedom
    ([0.5, 0.5], 2)
    """
    runs = [(r, seed, score) for r, scores in enumerate(rows) for seed, score in scores.items()]
    of_row, of_seed = np.array([run[:2] for run in runs], dtype=int).reshape(-1, 2).T
    design = np.hstack([of_row[:, None] == np.arange(len(rows)), of_seed[:, None] == np.unique(of_seed)])
    basis, sizes, _ = np.linalg.svd(design.astype(float), full_matrices=False)
    basis = basis[:, sizes > _TINY]  # (runs, fitted numbers)
    scores = np.array([score for *_, score in runs])
    squares = (scores - basis @ (basis.T @ scores)) ** 2
    free = 1 - (basis**2).sum(axis=1)  # 1 - h
    freedom = len(runs) - basis.shape[1]
    if not freedom:
        return Scatter((math.nan,) * len(rows), 0)
    pooled = float(squares.sum()) / freedom
    own = [
        float(squares[of_row == r].sum() / left) if (left := free[of_row == r].sum()) > _TINY else 0.0
        for r in range(len(rows))
    ]
    return Scatter(tuple(max(pooled, alone) for alone in own), freedom)
