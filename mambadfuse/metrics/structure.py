"""Structural metrics: local patterns (SSIM) and edges (Qabf).

Each takes images in any form that :func:`~mambadfuse.metrics.grey_image.grey` accepts and computes on grey
levels 0 ... 255.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import levels
from mambadfuse.metrics.local_means import local_moments, strips

_WINDOW = 7  # of SSIM, in pixels
_SAMPLE = _WINDOW**2 / (_WINDOW**2 - 1)  # from population to sample variance

Edges = tuple[np.ndarray, np.ndarray]  # strength and angle


def structural_similarity(x: ArrayLike, y: ArrayLike, data_range: float = 255.0) -> float:
    """SSIM: whether x and y agree locally in brightness, contrast and pattern, without a unit (Wang et al. 2004).

        SSIM = mean (2 μ_x μ_y + C1)(2 σ_xy + C2) / ((μ_x² + μ_y² + C1)(σ_x² + σ_y² + C2))

    Uniform windows of 7 x 7 pixels wherever the whole window fits, sample variances, C1 = (0.01 R)² and C2 = (0.03 R)²
    with R = ``data_range``, in grey levels. Higher is better; in [−1, 1], and 1 if x equals y. Gamed by averaging: a
    blend of the sources resembles both.

    Raises:
        ValueError: a side is shorter than 7 pixels: the window does not fit.

    Example:
        >>> import numpy as np
        >>> x = np.arange(64, dtype=np.uint8).reshape(8, 8)
        >>> round(structural_similarity(x, x), 6), structural_similarity(x, 255 - x) < 0
        (1.0, True)
    """
    x, y = levels({"x": x, "y": y})
    if min(x.shape) < _WINDOW:
        raise ValueError(f"SSIM needs images of at least {_WINDOW} x {_WINDOW} pixels, found {x.shape}")
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    strips_of_moments = local_moments(x, y, np.full(_WINDOW, 1 / _WINDOW))
    total = sum(_similarity(moments, c1, c2) for moments in strips_of_moments)
    return total / ((x.shape[0] - _WINDOW + 1) * (x.shape[1] - _WINDOW + 1))


@njit(cache=True, nogil=True)
def _similarity(moments: np.ndarray, c1: float, c2: float) -> float:
    """The sum of SSIM over all pixels of a strip; ``moments`` is (5, h, w)."""
    total = 0.0
    for i in range(moments.shape[1]):
        for j in range(moments.shape[2]):
            mean_x, mean_y, mean_xx, mean_yy, mean_xy = moments[:, i, j]
            squares, product = mean_x**2 + mean_y**2, mean_x * mean_y
            variances, cov = _SAMPLE * (mean_xx + mean_yy - squares), _SAMPLE * (mean_xy - product)
            total += (2 * product + c1) * (2 * cov + c2) / ((squares + c1) * (variances + c2))
    return total


def edge_transfer(f: ArrayLike, a: ArrayLike, b: ArrayLike, *, as_published: bool = False) -> float:
    """Qabf: how well f preserves the strength g and angle α of the edges of a and b (Xydeas and Petrović 2000).

        Qabf = Σ (Q_a g_a + Q_b g_b) / Σ (g_a + g_b),   and at each pixel, for each source s,
        Q_s = 0.9994 / (1 + exp(−15 (G − 0.5))) · 0.9879 / (1 + exp(−22 (A − 0.8)))
        G = min(g_s, g_f) / max(g_s, g_f),   A = 1 − |α_s − α_f| / (π/2)

    g and α come from the Sobel gradient at the inner pixels; G = 1 where g_s = g_f; α is the angle of a line, so −90°
    and +90° are the same.

    Higher is better; in [0, 0.975], without a unit: 0 if neither source has an edge, 0.975 for f = a = b. Does not see
    edges that f invents where the sources are flat: halos and noise there cost nothing. Where f is flat, its angle
    counts as 90°; G = 0 leaves such a pixel at most 0.0006 of its weight.

    Args:
        f: the fused image.
        a: first source.
        b: second source.
        as_published: follow the evaluators behind published tables: pad the images with black, which turns their
            border into an edge, take G = g_f where g_s = g_f, and count −90° and +90° as opposite.

    Raises:
        ValueError: a side is shorter than 3 pixels, so there is no inner pixel (unless ``as_published``).

    Example:
        >>> import numpy as np
        >>> edge = np.repeat([[0, 0, 255, 255]], 4, axis=0).astype(np.uint8)
        >>> round(edge_transfer(edge, edge, edge), 3), edge_transfer(np.zeros_like(edge), edge, edge) < 1e-6
        (0.975, True)
    """
    f, a, b = levels({"f": f, "a": a, "b": b})
    if as_published:
        f, a, b = np.pad(f, 1), np.pad(a, 1), np.pad(b, 1)
    if min(f.shape) < 3:
        raise ValueError(f"Qabf needs images of at least 3 x 3 pixels, found {f.shape}")
    kept = present = 0.0
    for rows in strips(f.shape[0], 3):
        edges_f = _edges(f[rows])
        for source in (a, b):
            edges = _edges(source[rows])
            kept += float((_quality(edges, edges_f, as_published) * edges[0]).sum())
            present += float(edges[0].sum())
    return kept / present if present > 0 else 0.0


def _edges(x: np.ndarray) -> Edges:
    """Strength and angle, in (−π/2, π/2], of the Sobel gradient at the inner pixels: (H, W) -> (H − 2, W − 2) twice."""
    smooth_down = x[:-2] + 2 * x[1:-1] + x[2:]  # (H - 2, W)
    smooth_along = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]  # (H, W - 2)
    gx = smooth_down[:, 2:] - smooth_down[:, :-2]  # (H - 2, W - 2)
    gy = smooth_along[:-2] - smooth_along[2:]
    upright = gx == 0
    angle = np.where(upright, np.pi / 2, np.arctan(gy / np.where(upright, 1.0, gx)))
    return np.sqrt(gx * gx + gy * gy), angle


def _quality(source: Edges, fused: Edges, as_published: bool) -> np.ndarray:
    """Q_s at each pixel."""
    (g_s, angle_s), (g_f, angle_f) = source, fused
    equal = g_s == g_f
    strength = np.minimum(g_s, g_f) / np.where(equal, 1.0, np.maximum(g_s, g_f))
    turn = np.abs(angle_s - angle_f)
    if not as_published:
        strength[equal] = 1.0
        turn = np.minimum(turn, np.pi - turn)
    alignment = 1 - turn / (np.pi / 2)
    return 0.9994 * 0.9879 / ((1 + np.exp(-15 * (strength - 0.5))) * (1 + np.exp(-22 * (alignment - 0.8))))
