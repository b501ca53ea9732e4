"""Information-theoretic metrics: entropy (EN), mutual information (MI) and visual information fidelity (VIF).

Each takes images in any form that :func:`~mambadfuse.metrics.grey_image.grey` accepts and computes on grey
levels 0 ... 255.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import grey, grey_all, levels
from mambadfuse.metrics.local_means import local_means, local_moments

_SCALES = (17, 9, 5, 3)  # window sizes of VIF, in pixels
_MIN_SIDE = 41  # the shortest side in which the last window still fits
_EYE_NOISE = 2.0  # variance of the noise of the visual system
_FLAT = 1e-10  # smaller variances count as zero


def entropy(f: ArrayLike) -> float:
    """EN: the Shannon entropy of the grey levels, in bits (Shannon 1948).

        EN = −Σ_g p(g) log2 p(g)

    p is the normalised histogram. Higher is better; in [0, 8]. Ignores the positions of the pixels: shuffling them
    changes nothing, and noise raises the score.

    Example:
        >>> import numpy as np
        >>> entropy(np.array([[0, 50], [100, 200]], dtype=np.uint8))
        2.0
    """
    return _bits(np.bincount(grey(f).ravel()))


def mutual_information(x: ArrayLike, y: ArrayLike) -> float:
    """MI: what a grey level in x says about the grey level at the same pixel in y, in bits (Qu, Zhang and Yan 2002).

        MI = Σ p(g, h) log2(p(g, h) / (p(g) p(h))) = EN(x) + EN(y) − EN(x, y)

    Higher is better; in [0, min(EN(x), EN(y))]. Gamed by copying: f = a reaches the maximum, MI(f, a) = EN(a), and the
    pixel-wise maximum only copies. Biased upwards for small images, which leave most of the 65,536 cells of the joint
    histogram empty.

    Example:
        >>> import numpy as np
        >>> x = np.array([[0, 0], [255, 255]], dtype=np.uint8)
        >>> mutual_information(x, x), mutual_information(x, x.T)
        (1.0, 0.0)
    """
    x, y = grey_all({"x": x, "y": y})
    pairs = x.astype(np.intp) * 256 + y
    return max(entropy(x) + entropy(y) - _bits(np.bincount(pairs.ravel())), 0.0)


def _bits(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return abs(float((p * np.log2(p)).sum()))


def visual_information_fidelity(reference: ArrayLike, f: ArrayLike) -> float:
    """VIF: the share of the visual information in a reference r that f preserves (Sheikh and Bovik 2006).

        VIF = Σ log(1 + g² σ_r² / (σ_v² + 2)) / Σ log(1 + σ_r² / 2)
        g = max(σ_rf, 0) / σ_r²,   σ_v² = σ_f² − g σ_rf

    Both sums run over all pixels of four scales, with Gaussian windows of 17, 9, 5 and 3 pixels (standard deviation: a
    fifth of that) wherever the whole window fits; every other pixel is dropped from scale to scale. This is the
    pixel-domain VIF; some evaluators call it VIFF, which is a different metric (Han et al. 2013).

    Higher is better; at least 0, and 1 if f equals the reference. Also 1 if the reference is flat: there was nothing to
    lose. Gamed by raising the contrast, which takes it above 1.

    Raises:
        ValueError: a side is shorter than 41 pixels: the window of the last scale does not fit.

    Example:
        >>> import numpy as np
        >>> r = np.random.default_rng(0).integers(80, 160, (48, 48), dtype=np.uint8)
        >>> round(visual_information_fidelity(r, r), 3), visual_information_fidelity(r, np.full_like(r, 120))
        (1.0, 0.0)
    """
    r, f = levels({"reference": reference, "f": f})
    if min(r.shape) < _MIN_SIDE:
        raise ValueError(f"VIF needs images of at least {_MIN_SIDE} x {_MIN_SIDE} pixels, found {r.shape}")
    pair = np.stack([r, f])  # (2, H, W)
    kept = present = 0.0
    for scale, size in enumerate(_SCALES):
        window = _gaussian(size)
        if scale > 0:
            pair = local_means(pair, window)[:, ::2, ::2]
        for moments in local_moments(pair[0], pair[1], window):
            kept_here, present_here = _information(moments)
            kept, present = kept + kept_here, present + present_here
    return kept / present if present > 0 else 1.0


@njit(cache=True, nogil=True)
def _information(moments: np.ndarray) -> tuple[float, float]:
    """Numerator and denominator of VIF at one scale; ``moments`` is (5, h, w)."""
    kept = present = 0.0
    for i in range(moments.shape[1]):
        for j in range(moments.shape[2]):
            mean_r, mean_f, mean_rr, mean_ff, mean_rf = moments[:, i, j]
            var_r, var_f, cov = mean_rr - mean_r**2, mean_ff - mean_f**2, mean_rf - mean_r * mean_f
            if var_r < _FLAT:
                continue
            gain = cov / (var_r + _FLAT) if var_f >= _FLAT and cov > 0 else 0.0
            noise = max(var_f - gain * cov, _FLAT)
            kept += np.log(1 + gain**2 * var_r / (noise + _EYE_NOISE))
            present += np.log(1 + var_r / _EYE_NOISE)
    return kept, present


def _gaussian(size: int) -> np.ndarray:
    offset = np.arange(size) - size // 2
    weight = np.exp(-(offset**2) / (2 * (size / 5) ** 2))
    return weight / weight.sum()
