"""Three classical fusions: what any network has to beat.

Each takes two images of one shape, (H, W) or (H, W, 3), both uint8 or both floating-point in [0, 1], and
returns the fused image in the same shape and dtype. Images that differ in shape or dtype raise ValueError, other dtypes
TypeError. ``BASELINES`` holds all three by name:

>>> import numpy as np
>>> from mambadfuse.fusion.baselines import BASELINES
>>> a, b = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
>>> {name: fuse(a, b).round(1).tolist() for name, fuse in BASELINES.items()}
{'mean': [[0.4, 0.6]], 'maximum': [[0.6, 0.8]], 'laplacian pyramid': [[0.4, 0.6]]}
"""

from collections.abc import Callable

import numpy as np

_TAPS = np.array([1, 4, 6, 4, 1]) / 16  # the generating kernel of Burt and Adelson


def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pixel-wise mean (a + b) / 2: keeps everything at half its contrast. Halves are rounded to even."""
    _require_same_kind(a, b)
    return _like(a, (a.astype(np.float64) + b) / 2)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pixel-wise maximum: keeps the brighter source, and with it any glare."""
    _require_same_kind(a, b)
    return np.maximum(a, b)


def laplacian_pyramid(a: np.ndarray, b: np.ndarray, levels: int = 4) -> np.ndarray:
    """The stronger detail at each scale, over the mean of the coarsest one (Burt and Adelson 1983; Burt 1984).

        G_0 = image,   G_k+1 = reduce(G_k),   L_k = G_k − expand(G_k+1)
        fused: L_k = L_k(a) where |L_k(a)| ≥ |L_k(b)|, else L_k(b);   G_levels = (G_levels(a) + G_levels(b)) / 2

    ``reduce`` blurs with [1, 4, 6, 4, 1] / 16 along both axes and drops every other pixel; ``expand`` is its
    counterpart. Images are mirrored at their borders. Values out of range are clipped. Where both details are equally
    strong, that of ``a`` is taken: only there does the order of the images matter.

    Args:
        a: first image.
        b: second image.
        levels: scales of detail; fewer if a side shrinks to one pixel before that.

    Raises:
        ValueError: the images differ in shape or dtype, or ``levels`` is negative.
        TypeError: the images are neither uint8 nor floating-point.
    """
    _require_same_kind(a, b)
    if levels < 0:
        raise ValueError(f"levels must be at least 0, found {levels}")
    coarse_a, coarse_b = a.astype(np.float64), b.astype(np.float64)
    chosen = []
    for _ in range(levels):
        if min(coarse_a.shape[:2]) < 2:
            break
        detail_a, coarse_a = _split(coarse_a)
        detail_b, coarse_b = _split(coarse_b)
        chosen.append(np.where(np.abs(detail_a) >= np.abs(detail_b), detail_a, detail_b))
    fused = (coarse_a + coarse_b) / 2
    for detail in reversed(chosen):
        fused = detail + _expand(fused, detail.shape)
    return _like(a, fused)


BASELINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "maximum": maximum,
    "laplacian pyramid": laplacian_pyramid,
}


def _split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detail of x, and the rest at half its size."""
    coarse = _blur(x)[::2, ::2]
    return x - _expand(coarse, x.shape), coarse


def _expand(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    fine = np.zeros(shape)
    fine[::2, ::2] = 4 * coarse  # three of four pixels are empty before the blur
    return _blur(fine)


def _blur(x: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        x = np.moveaxis(x, axis, 0)
        padded = np.pad(x, [(2, 2)] + [(0, 0)] * (x.ndim - 1), mode="reflect")
        x = np.moveaxis(sum(tap * padded[k : k + len(x)] for k, tap in enumerate(_TAPS)), 0, axis)
    return x


def _like(a: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """The fused image in the dtype and range of a."""
    if a.dtype == np.uint8:
        return np.rint(fused).clip(0, 255).astype(np.uint8)
    return fused.clip(0, 1).astype(a.dtype)


def _require_same_kind(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(
            f"b must have shape {a.shape} and dtype {a.dtype} as a, found {b.shape} and {b.dtype}"
        )
    if a.dtype != np.uint8 and not np.issubdtype(a.dtype, np.floating):
        raise TypeError(f"a and b must hold uint8 or floating-point numbers, found {a.dtype}")
