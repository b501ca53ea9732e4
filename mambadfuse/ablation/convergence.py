"""Convergence, judged by the loss curve and the scores: has a run learnt, and was its training long enough?"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from mambadfuse.ablation.store import Result

Convergence = Literal["converged", "still falling", "not learnt", "unknown"]

STILL_FALLING = 0.1  # share of the whole fall of the loss in the last fifth of the steps
BLANK = 1.0  # a standard deviation of a fused image, in grey levels, below which it shows nothing
UNLIKE = 0.5  # a correlation of fused images with their sources below which they show something else


def has_learnt(result: Result) -> bool:
    """Whether the loss fell, from the first fifth of the curve to the last, and the fused images show their sources.

    An image with a standard deviation below 1 grey level shows nothing, and one whose correlation with the mean of its
    sources is below 0.5 shows something else, as a negative does: a loss can fall as far as that where a term is
    off. A curve of fewer than five points is too short to judge. A run with a loss that is not finite has not learnt.
    """
    losses = np.array([loss for _, loss in result.curve], dtype=float)
    contrast = result.means.get("SD", math.inf) if result.contrast is None else result.contrast
    likeness = 1.0 if result.likeness is None else result.likeness  # not recorded
    if not np.isfinite(losses).all() or contrast < BLANK or likeness < UNLIKE:
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
