"""Metrics made of means, variances and differences of pixels.

Each takes pictures as :func:`mambadfuse.metrics.grey` accepts them and computes on grey levels 0 ... 255.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import levels


def standard_deviation(f: ArrayLike) -> float:
    """SD: the contrast of the whole picture (for fusion: Ma, Ma and Li 2019).

        SD = sqrt(mean (f − mean f)²)

    Higher is better; in [0, 127.5]. Gamed by stretching the contrast, until everything is black or white.
    """
    (f,) = levels({"f": f})
    return float(f.std())


def spatial_frequency(f: ArrayLike) -> float:
    """SF: how much neighbours differ (Eskicioglu and Fisher 1995).

        SF = sqrt(mean (f[i, j+1] − f[i, j])² + mean (f[i+1, j] − f[i, j])²)

    An axis of one pixel has no differences and adds nothing. Higher is better; in [0, 361]. Gamed by noise,
    sharpening and checkerboard artefacts.
    """
    (f,) = levels({"f": f})
    return math.sqrt(sum(np.square(np.diff(f, axis=axis)).mean() for axis in (0, 1) if f.shape[axis] > 1))


def average_gradient(f: ArrayLike) -> float:
    """AG: the mean slope of the grey levels (Cui et al. 2015).

        AG = mean sqrt((g_x² + g_y²) / 2)

    The g are central differences over two pixels, one-sided at the border; 0 along an axis of one pixel.
    Higher is better; in [0, 255]. Gamed by noise and sharpening; a checkerboard escapes it, since pixels two
    apart are equal there.
    """
    (f,) = levels({"f": f})
    slopes = [np.gradient(f, axis=axis) for axis in (0, 1) if f.shape[axis] > 1]
    return float(np.sqrt(sum((np.square(g) for g in slopes), np.zeros_like(f)) / 2).mean())


def mean_squared_error(x: ArrayLike, y: ArrayLike) -> float:
    """MSE: the mean of (x − y)² (for fusion: Ma, Ma and Li 2019). Lower is better; in [0, 65025].

    Summed over both sources it is least for their pixel-wise mean, a poor fusion of low contrast.
    """
    x, y = levels({"x": x, "y": y})
    return float(np.square(x - y).mean())


def peak_signal_to_noise(error: float, peak: float = 255.0) -> float:
    """PSNR = 10 log10(peak² / error), in decibels, for a mean squared ``error`` (for fusion: Ma, Ma and Li 2019).

    Higher is better; infinite without any error, −infinite with an error and a peak of 0. Gamed as MSE.
    """
    if error == 0:
        return math.inf
    return 10 * math.log10(peak**2 / error) if peak > 0 else -math.inf


def correlation(x: ArrayLike, y: ArrayLike) -> float:
    """CC: the correlation coefficient of two pictures (Pearson 1895).

        CC = cov(x, y) / (σ_x σ_y)

    0 if either is constant: it tells nothing of the other. Higher is better; in [−1, 1]. The same for any
    brightness and contrast of x and y. Gamed by the mean of the sources.
    """
    x, y = levels({"x": x, "y": y})
    return _correlate(x, y)


def sum_of_correlations_of_differences(f: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """SCD: does what f has beyond one source come from the other? (Aslantas and Bendes 2015)

        SCD = CC(a, f − b) + CC(b, f − a)

    A term is 0 where f equals one source: nothing was added to it. Higher is better; in [−2, 2]. Gamed by the
    plain sum a + b, the exact optimum, however overexposed it looks.
    """
    f, a, b = levels({"f": f, "a": a, "b": b})
    return _correlate(a, f - b) + _correlate(b, f - a)


def _correlate(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))
