"""The fault meter: what is wrong with a fused image that no score shows.

Scores say how much of the sources a and b is in the fused image f. These numbers say what is in it, or missing from it,
without a reason in either source. All are computed on grey levels 0 ... 255:

===========  ===========  ========================================================================  =========
fault        unit         what it measures                                                          best
===========  ===========  ========================================================================  =========
band         grey levels  largest step of a row or a column across a region that is flat in both    0
overshoot    % of pixels  pixels more than 8 levels outside the range of both sources               0
excess       grey levels  how far these pixels are outside, on average                              0
saturation   % of pixels  pixels that are 0 or 255 in f and in neither source                       0
target       ratio        contrast kept of what stands out in one source only                       1
noise gain   ratio        noise in flat regions, over that of the noisier source                    at most 1
halo         grey levels  brightness beside strong edges that the sources do not explain            0
===========  ===========  ========================================================================  =========

:func:`raster_bias` and :func:`tile_seam` measure a way of fusing rather than an image: how much the result depends on
the order in which the pixels are read. Both are in grey levels, and 0 for every fusion that treats pixels alike, such
as the pixel-wise mean. A pyramid does not: it drops every other pixel.

A fault that cannot occur in a pair, such as noise where nothing is flat, is NaN.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from mambadfuse.metrics.grey_image import levels


@dataclass(frozen=True)
class Fault:
    """The unit of a fault, and the values that are none.

    Attributes:
        unit: "levels" for grey levels 0 ... 255, "%" of the pixels, or "ratio".
        low: the lowest value that is no fault.
        high: the highest value that is no fault.
    """

    unit: Literal["levels", "%", "ratio"]
    low: float = 0.0
    high: float = 0.0

    def severity(self, value: float) -> float:
        """How far a value is from those that are no fault; NaN for NaN.

        >>> FAULTS["target"].severity(0.75), FAULTS["noise gain"].severity(0.75)
        (0.25, 0.0)
        """
        return value if math.isnan(value) else max(self.low - value, value - self.high, 0.0)


FAULTS = {
    "band": Fault("levels"),
    "overshoot": Fault("%"),
    "excess": Fault("levels"),
    "saturation": Fault("%"),
    "target": Fault("ratio", 1.0, 1.0),
    "noise gain": Fault("ratio", 0.0, 1.0),
    "halo": Fault("levels"),
}
FAULTS_OF_FUSING = {"raster bias": Fault("levels"), "tile seam": Fault("levels")}

Fuse = Callable[[np.ndarray, np.ndarray], np.ndarray]

_MARGIN = 8  # grey levels that count as a fault one can see
_FLAT = 4.0  # a standard deviation, in grey levels, up to which a neighbourhood counts as flat
_WINDOW = 7  # pixels, the side of that neighbourhood
_LAG = 8  # rows or columns over which a band may rise
_LENGTH = 32  # pixels that a row or column needs in a flat region to be judged
_FINE, _COARSE = 2.0, 12.0  # standard deviations, in pixels, between which a target is found
_SALIENT = 25.0  # grey levels by which a target differs from its surroundings
_EDGE, _RING = 60.0, 10  # grey levels across a strong edge, and pixels beside it
_ALIKE = 6.0  # grey levels by which sources may differ and still count as equal
_NEAR, _STRIDE = 12, 3  # pixels within which they are compared, and from one compared pixel to the next


def measure(fused: ArrayLike, a: ArrayLike, b: ArrayLike) -> dict[str, float]:
    """All faults of one fused image, by the names in ``FAULTS``; the order of the sources does not matter.

    Args:
        fused: (H, W) grey or (H, W, 3) RGB, judged by its luma; uint8, or floating-point in [0, 1].
        a: first source, in the same form.
        b: second source, in the same form.

    Raises:
        ValueError: the sizes differ, or a pixel is not finite or out of range.
        TypeError: an image holds neither uint8 nor floating-point numbers.

    >>> a, b = np.full((64, 64), 90, np.uint8), np.full((64, 64), 120, np.uint8)
    >>> fused = b.copy()
    >>> fused[20:40] = 70
    >>> faults = measure(fused, a, b)
    >>> faults["band"], faults["overshoot"], faults["excess"]
    (50.0, 31.25, 20.0)
    """
    f, x, y = levels({"fused": fused, "a": a, "b": b})
    flat = _flat(x) & _flat(y)
    outside = np.maximum(f - np.maximum(x, y), np.minimum(x, y) - f)
    beyond = outside > _MARGIN
    return {
        "band": band(f, x, y, flat),
        "overshoot": 100 * float(beyond.mean()),
        "excess": float(outside[beyond].mean()) if beyond.any() else 0.0,
        "saturation": 100 * float(_saturated(f, x, y).mean()),
        "target": target_kept(f, x, y),
        "noise gain": noise_gain(f, x, y, flat),
        "halo": halo(f, x, y, flat),
    }


def band(f: np.ndarray, a: np.ndarray, b: np.ndarray, flat: np.ndarray) -> float:
    """The largest step of rows or columns in a region that is flat in both sources, in grey levels.

        step = | mean_x (f(y + 8, x) − f(y, x)) | − the larger of the same for a and b

    over the columns x that are flat all the way from row y to y + 8, at least 32 of them; the same for columns.

    Args:
        f: the fused image, (H, W), 0 ... 255.
        a: first source, in the same form.
        b: second source, in the same form.
        flat: where both sources are flat, (H, W).

    >>> sky = np.full((64, 64), 120.0)
    >>> f = sky.copy()
    >>> f[40:] += 30
    >>> band(f, sky, sky, np.full((64, 64), True))
    30.0
    """
    by_rows = _band_of_rows(f, a, b, flat)
    by_columns = _band_of_rows(f.T, a.T, b.T, flat.T)
    return float(np.fmax(by_rows, by_columns))


def target_kept(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """How much contrast is kept of what stands out in one source and not in the other, 0 to 1.

        kept = Σ min(max(c_f · sign c_s, 0), |c_s|) / Σ |c_s|,   c = blur(·, 2) − blur(·, 12)

    over the pixels at which one source s has |c_s| of at least 25 grey levels, and the other at most a third of it.
    NaN if there are none. The images are as in :func:`band`.

    >>> a, b = np.full((64, 64), 80.0), np.full((64, 64), 80.0)
    >>> a[28:36, 28:36] = 200
    >>> round(target_kept((a + b) / 2, a, b), 6)
    0.5
    """
    c_f, c_a, c_b = (
        ndimage.gaussian_filter(x, _FINE) - ndimage.gaussian_filter(x, _COARSE) for x in (f, a, b)
    )
    stronger = np.where(np.abs(c_a) >= np.abs(c_b), c_a, c_b)
    weaker = np.minimum(np.abs(c_a), np.abs(c_b))
    size = np.abs(stronger)
    salient = (size >= _SALIENT) & (weaker <= size / 3)
    if not salient.any():
        return math.nan
    kept = np.clip(c_f * np.sign(stronger), 0, size)
    return float(kept[salient].sum() / size[salient].sum())


def noise_gain(f: np.ndarray, a: np.ndarray, b: np.ndarray, flat: np.ndarray) -> float:
    """The noise of f in flat regions over that of the noisier source, as standard deviations.

    Noise is what differs from the mean of the 3 x 3 pixels around. Sources count as at least half a grey level noisy,
    which rounding alone can be off. NaN if nothing is flat. The arguments are those of :func:`band`.

    >>> a = 100 + np.random.default_rng(0).normal(0, 2, (64, 64))
    >>> round(noise_gain(2 * a, a, a, np.full((64, 64), True)), 6)
    2.0
    """
    if not flat.any():
        return math.nan
    noise_f, noise_a, noise_b = (
        float(np.sqrt(np.square(x - _window_sum(x, 3) / 9)[flat].mean())) for x in (f, a, b)
    )
    return noise_f / max(noise_a, noise_b, 0.5)


def halo(f: np.ndarray, a: np.ndarray, b: np.ndarray, flat: np.ndarray) -> float:
    """Brightness beside strong edges that the sources do not explain: a ring round a head or a lamp, in grey levels.

    Pixels nearby that are equal in both sources should be equal in f. Where both sources are flat and a strong edge of
    one of them is at most 10 steps along rows and columns away, f is compared with its mean over those pixels within 12
    whose sources differ by about 6 levels or less (a joint bilateral filter, of every third row and column). With d the
    root of the mean squared difference,

        halo = sqrt(max(d_f² − max(d_a, d_b)², 0))

    so the noise of the sources does not count. NaN if there is no such place. The arguments are those of :func:`band`.

    >>> x = np.arange(64) + np.zeros((64, 1))
    >>> a = np.where(x < 32, 20.0, 220.0)
    >>> f = np.where((22 <= x) & (x < 28), 40.0, a)  # a bar beside the edge
    >>> flat = np.abs(x - 31.5) > 4
    >>> halo(a, a, a, flat), round(halo(f, a, a, flat), 1)
    (0.0, 8.2)
    """
    strong = np.maximum(_step(a), _step(b)) >= _EDGE
    ring = flat & ndimage.binary_dilation(strong, iterations=_RING)
    if not ring.any():
        return math.nan
    around = _explained((f, a, b), a, b, ring)
    of_f, of_a, of_b = (float(np.square(x[ring] - y).mean()) for x, y in zip((f, a, b), around, strict=True))
    return math.sqrt(max(of_f - max(of_a, of_b), 0.0))


def raster_bias(fuse: Fuse, a: np.ndarray, b: np.ndarray, fused: np.ndarray | None = None) -> float:
    """How much the result depends on the direction of reading: mean |f − f'| in grey levels, over three f'.

    For f' the pair is mirrored, turned by 180 degrees or transposed before fusing, and the result brought back.

    Args:
        fuse: a and b, uint8, (H, W), to the fused image, in the same form.
        a: first source.
        b: second source.
        fused: f, where it is at hand; computed if None.

    >>> x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    >>> raster_bias(np.maximum, x, x)
    0.0
    """
    f = (fuse(a, b) if fused is None else fused).astype(float)
    orientations: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        np.fliplr,
        lambda x: x[::-1, ::-1],
        np.transpose,
    )
    changes = [
        np.abs(f - turn(fuse(np.ascontiguousarray(turn(a)), np.ascontiguousarray(turn(b))))).mean()
        for turn in orientations  # each is its own inverse
    ]
    return float(np.mean(changes))


def tile_seam(whole: np.ndarray, tiled: np.ndarray) -> float:
    """Mean |difference| between an image fused as a whole and the same fused in tiles, in grey levels.

    >>> tile_seam(np.full((2, 2), 7, np.uint8), np.full((2, 2), 9, np.uint8))
    2.0
    """
    return float(np.abs(whole.astype(float) - tiled).mean())


def white_pixels(fused: np.ndarray) -> int:
    """The number of pixels that are 255; fused is uint8, (H, W).

    >>> white_pixels(np.array([[255, 254, 255]], np.uint8))
    2
    """
    return int(np.count_nonzero(fused == 255))


def _flat(x: np.ndarray) -> np.ndarray:
    """Where n Σx² − (Σx)² <= (4 n)² over the n = 49 pixels around."""
    n = _WINDOW**2
    total, squares = _window_sum(x, _WINDOW), _window_sum(x * x, _WINDOW)
    return n * squares - total * total <= (n * _FLAT) ** 2


def _window_sum(x: np.ndarray, side: int) -> np.ndarray:
    """The sum of the side x side pixels around: exact for whole numbers, which a running sum of means is not."""
    ones = np.ones(side)
    return ndimage.correlate1d(ndimage.correlate1d(x, ones, axis=0), ones, axis=1)


def _saturated(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    white = (f >= 255) & (np.maximum(a, b) < 255)
    black = (f <= 0) & (np.minimum(a, b) > 0)
    return white | black


def _band_of_rows(f: np.ndarray, a: np.ndarray, b: np.ndarray, flat: np.ndarray) -> float:
    if len(f) <= _LAG:
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(flat, _LAG + 1, axis=0)  # (H − 8, W, 9)
    through = windows.all(axis=-1)
    count = through.sum(axis=1)
    long_enough = count >= _LENGTH
    if not long_enough.any():
        return math.nan
    step_f, step_a, step_b = (
        np.abs(np.where(through, x[_LAG:] - x[:-_LAG], 0).sum(axis=1)[long_enough] / count[long_enough])
        for x in (f, a, b)
    )
    return float(np.max(step_f - np.maximum(step_a, step_b)).clip(0))


def _step(x: np.ndarray) -> np.ndarray:
    """The range of values within 3 x 3 pixels."""
    return ndimage.maximum_filter(x, 3) - ndimage.minimum_filter(x, 3)


def _explained(
    images: Sequence[np.ndarray], a: np.ndarray, b: np.ndarray, ring: np.ndarray
) -> list[np.ndarray]:
    """Each image's mean over nearby pixels that are alike in both sources, at the N pixels of the ring, (N,) each."""
    padded = [np.pad(x, _NEAR, mode="reflect") for x in (*images, a, b)]
    width = padded[0].shape[1]
    rows, columns = np.nonzero(ring)
    place = (rows + _NEAR) * width + columns + _NEAR
    own_a, own_b = a[ring], b[ring]
    totals, weights = [np.zeros(len(place)) for _ in images], np.zeros(len(place))
    steps = range(-_NEAR, _NEAR + 1, _STRIDE)
    for dy, dx in product(steps, steps):
        if dy * dy + dx * dx > _NEAR * _NEAR:
            continue
        *there, there_a, there_b = (x.take(place + dy * width + dx) for x in padded)
        weight = np.exp(-((there_a - own_a) ** 2 + (there_b - own_b) ** 2) / (2 * _ALIKE**2))
        for total, x in zip(totals, there, strict=True):
            total += weight * x
        weights += weight
    return [total / weights for total in totals]
