"""Maps as pictures: numbers as colours that every kind of eye, and a grey print, keeps in order."""

from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]
ORANGE = (213, 94, 0)  # of Okabe and Ito: marks, on dark and on bright ground


def coloured(values: ArrayLike, low: float, high: float, scale: str = "cividis") -> Picture:
    """Numbers (H, W) as a picture (H, W, 3): dark at ``low`` and below, bright at ``high`` and above."""
    share = (np.asarray(values, dtype=float) - low) / max(high - low, 1e-12)
    return matplotlib.colormaps[scale](np.clip(share, 0, 1), bytes=True)[..., :3]


def common_range(maps: Iterable[NDArray[np.floating[Any]]]) -> tuple[float, float]:
    """One scale for maps that are to be compared, without their outermost hundredth on either side."""
    low, high = np.percentile(np.stack(list(maps)), [1, 99])
    return float(low), float(high)
