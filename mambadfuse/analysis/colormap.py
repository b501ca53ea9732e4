"""Maps as images: a colour scale that stays ordered for colour-blind readers and in grey print."""

from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]
ORANGE = (213, 94, 0)  # Okabe and Ito; for marks on dark and on bright ground


def coloured(values: ArrayLike, low: float, high: float, scale: str = "cividis") -> Picture:
    """Numbers (H, W) as an image (H, W, 3), uint8: darkest at or below ``low``, brightest at or above ``high``.

    Example:
        >>> coloured([[0, 1]], 0, 1, "gray").tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    share = (np.asarray(values, dtype=float) - low) / max(high - low, 1e-12)
    return matplotlib.colormaps[scale](np.clip(share, 0, 1), bytes=True)[..., :3]


def common_range(maps: Iterable[NDArray[np.floating[Any]]]) -> tuple[float, float]:
    """The 1st and the 99th percentile of all maps together: one scale for maps that are compared."""
    low, high = np.percentile(np.stack(list(maps)), [1, 99])
    return float(low), float(high)
