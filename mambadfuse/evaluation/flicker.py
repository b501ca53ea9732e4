"""Flicker: what changes from frame to frame of a video without a reason in the scene."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def flicker(frames: Iterable[ArrayLike]) -> float:
    """The root mean square of the second difference in time, in the units of the frames:

        sqrt(mean (f(t − 1) − 2 f(t) + f(t + 1))² / 6)

    For a still scene this is the standard deviation of its noise, if that is independent from frame to frame. Steady
    motion and slow changes of brightness count little. A fused video should not flicker more than the noisier of its
    sources.

    >>> still = np.random.default_rng(0).normal(100, 3, (50, 32, 32))
    >>> round(flicker(still), 1)
    3.0

    Args:
        frames: at least three, (H, W) or (H, W, 3) each.

    Raises:
        ValueError: there are fewer than three frames, or they differ in shape.
    """
    total, count = 0.0, 0
    last: list[NDArray[np.float64]] = []
    for frame in frames:
        last = [*last[-2:], np.asarray(frame, dtype=float)]
        if last[-1].shape != last[0].shape:
            raise ValueError(f"the frames differ in shape: {last[0].shape} and {last[-1].shape}")
        if len(last) == 3:
            total += float(np.square(last[0] - 2 * last[1] + last[2]).mean()) / 6
            count += 1
    if not count:
        raise ValueError(f"flicker needs at least three frames, found {len(last)}")
    return float(np.sqrt(total / count))
