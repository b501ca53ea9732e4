"""Pixel statistics: contrast and gradients of one image, errors and correlations between images.

Each takes images in any form that :func:`~mambadfuse.metrics.grey_image.grey` accepts and computes on grey
levels 0 ... 255.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import levels


def standard_deviation(f: ArrayLike) -> float:
    """SD: the global contrast, in grey levels (for fusion: Ma, Ma and Li 2019).

        SD = sqrt(mean (f − mean f)²)

    Higher is better; in [0, 127.5]. Gamed by stretching the contrast until everything is black or white.

    Example:
        >>> import numpy as np
        >>> standard_deviation(np.array([[0, 255]], dtype=np.uint8))
        127.5
    """
    (f,) = levels({"f": f})
    return float(f.std())


def spatial_frequency(f: ArrayLike) -> float:
    """SF: how much neighbouring pixels differ, in grey levels (Eskicioglu and Fisher 1995).

        SF = sqrt(mean (f[i, j+1] − f[i, j])² + mean (f[i+1, j] − f[i, j])²)

    An axis of one pixel has no differences and contributes nothing. Higher is better; in [0, 361]. Gamed by noise,
    sharpening and checkerboard artefacts.

    Example:
        >>> import numpy as np
        >>> spatial_frequency(np.array([[10, 13, 16], [14, 17, 20]], dtype=np.uint8))  # sqrt(3² + 4²)
        5.0
    """
    (f,) = levels({"f": f})
    return math.sqrt(sum(np.square(np.diff(f, axis=axis)).mean() for axis in (0, 1) if f.shape[axis] > 1))


def average_gradient(f: ArrayLike) -> float:
    """AG: the mean slope of the image, in grey levels per pixel (Cui et al. 2015).

        AG = mean sqrt((g_x² + g_y²) / 2)

    g_x and g_y are central differences over two pixels, one-sided at the border; 0 along an axis of one pixel. Higher
    is better; in [0, 255]. Gamed by noise and sharpening; blind to a checkerboard, where pixels two apart are equal.

    Example:
        >>> import numpy as np
        >>> average_gradient(np.array([[10, 13, 16], [13, 16, 19]], dtype=np.uint8))
        3.0
    """
    (f,) = levels({"f": f})
    slopes = [np.gradient(f, axis=axis) for axis in (0, 1) if f.shape[axis] > 1]
    return float(np.sqrt(sum((np.square(g) for g in slopes), np.zeros_like(f)) / 2).mean())


def mean_squared_error(x: ArrayLike, y: ArrayLike) -> float:
    """MSE: the mean squared error, in squared grey levels (for fusion: Ma, Ma and Li 2019).

        MSE = mean (x − y)²

    Lower is better; in [0, 65025]. Summed over both sources, it is lowest for their pixel-wise mean, a poor fusion of
    low contrast.

    Example:
        >>> import numpy as np
        >>> mean_squared_error(np.array([[10, 20]], dtype=np.uint8), np.array([[13, 20]], dtype=np.uint8))
        4.5
    """
    x, y = levels({"x": x, "y": y})
    return float(np.square(x - y).mean())


def peak_signal_to_noise(error: float, peak: float = 255.0) -> float:
    """PSNR: the peak signal-to-noise ratio, in decibels (for fusion: Ma, Ma and Li 2019).

        PSNR = 10 log10(peak² / error)

    Higher is better; infinite without an error, −infinite with an error and a peak of 0. Gamed like MSE.

    Args:
        error: the mean squared error, in squared grey levels.
        peak: the highest possible value, in grey levels.

    Example:
        >>> peak_signal_to_noise(error=6.5025)
        40.0
    """
    if error == 0:
        return math.inf
    return 10 * math.log10(peak**2 / error) if peak > 0 else -math.inf


def correlation(x: ArrayLike, y: ArrayLike) -> float:
    """CC: the correlation coefficient of two images, without a unit (Pearson 1895).

        CC = cov(x, y) / (σ_x σ_y)

    Higher is better; in [−1, 1], and 0 if either image is constant. Does not depend on the brightness and contrast of
    x and y. Gamed by the mean of the sources.

    Example:
        >>> import numpy as np
        >>> x = np.array([[10, 20, 60]], dtype=np.uint8)
        >>> round(correlation(x, 2 * x + 5), 6), round(correlation(x, 255 - x), 6)
        (1.0, -1.0)
    """
    x, y = levels({"x": x, "y": y})
    return _correlate(x, y)


def sum_of_correlations_of_differences(f: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """SCD: whether what f adds to one source comes from the other, without a unit (Aslantas and Bendes 2015).

        SCD = CC(a, f − b) + CC(b, f − a)

    A term is 0 if f equals its subtracted source: nothing was added. Higher is better; in [−2, 2]. Gamed by the plain
    sum a + b, which is the exact optimum however overexposed it looks.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([[[10, 20, 60]], [[70, 0, 30]]], dtype=np.uint8)
        >>> round(sum_of_correlations_of_differences(a + b, a, b), 6)
        2.0
    """
    f, a, b = levels({"f": f, "a": a, "b": b})
    return _correlate(a, f - b) + _correlate(b, f - a)


def _correlate(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))
