"""Convergence, judged by the loss curve and the scores: has a run learnt, and was its training long enough?"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mambadfuse.ablation.store import Result

Convergence = Literal["converged", "still falling", "not learnt", "unknown"]

STILL_FALLING = 0.1  # share of the whole fall of the loss in the last fifth of the steps
BLANK = 1.0  # a standard deviation of a fused image, in grey levels, below which it shows nothing


def has_learnt(result: Result) -> bool:
    """Whether the loss fell, from the first fifth of the curve to the last, and the fused images show anything.

    An image with a standard deviation (SD) below 1 grey level shows nothing. A curve of fewer than five points is too
    short to judge, and a run with a loss that is not finite has not learnt.
    """
    losses = np.array([loss for _, loss in result.curve], dtype=float)
    if not np.isfinite(losses).all() or result.means.get("SD", np.inf) < BLANK:
        return False
    if len(losses) < 5:
        return True
    first, *_, last = (part.mean() for part in np.array_split(losses, 5))
    return bool(last < first)


def convergence(results: Sequence[Result]) -> Convergence:
    """That of the runs of one row: "not learnt" if one of them has not.

    Otherwise "still falling" if their mean loss fell by more than a tenth of its whole fall, in the first four fifths
    of the steps, from the fourth fifth to the last: a longer training would have lowered it further. "unknown" for
    curves of fewer than five points.
    """
    if not all(map(has_learnt, results)):
        return "not learnt"
    length = min(len(result.curve) for result in results)
    if length < 5:
        return "unknown"
    losses = np.mean([[loss for _, loss in result.curve[:length]] for result in results], axis=0)
    first, *_, before, last = (part.mean() for part in np.array_split(losses, 5))
    return "still falling" if before - last > STILL_FALLING * (first - before) else "converged"
