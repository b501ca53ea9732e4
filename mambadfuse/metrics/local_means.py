"""Local means under a sliding window, compiled: the slow step of VIF and SSIM."""

from collections.abc import Iterator

import numpy as np
from numba import njit

_STRIP = 32  # rows


@njit(cache=True, nogil=True)
def local_means(planes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The weighted mean around each pixel, wherever the whole window fits.

        out[m, i, j] = Σ_k Σ_l window[k] window[l] planes[m, i + k, j + l]

    The window is separable: one pass down the columns, then one along the rows, with N weights each.

    Args:
        planes: M images, (M, H, W), float64.
        window: the weights along either axis, (N,), float64, summing to 1.

    Returns:
        (M, H - N + 1, W - N + 1), float64.
    """
    count, height, width = planes.shape
    size = len(window)
    out = np.zeros((count, height - size + 1, width - size + 1))
    column = np.empty(width)
    for m in range(count):
        for i in range(out.shape[1]):
            column[:] = 0.0
            for k in range(size):
                for j in range(width):
                    column[j] += window[k] * planes[m, i + k, j]
            for k in range(size):
                for j in range(out.shape[2]):
                    out[m, i, j] += window[k] * column[j + k]
    return out


def strips(height: int, size: int) -> Iterator[slice]:
    """Overlapping strips of rows: together they hold every window of ``size`` rows exactly once.

    A strip fits into the processor's cache, which makes it several times faster than the whole image at once.
    """
    for top in range(0, height - size + 1, _STRIP):
        yield slice(top, top + _STRIP + size - 1)


def local_moments(x: np.ndarray, y: np.ndarray, window: np.ndarray) -> Iterator[np.ndarray]:
    """The :func:`local_means` of x, y, x², y² and xy, in this order, strip by strip: (5, h, w) each."""
    for rows in strips(x.shape[0], len(window)):
        u, v = x[rows], y[rows]
        yield local_means(np.stack([u, v, u * u, v * v, u * v]), window)
