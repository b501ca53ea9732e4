"""Stored values, the numbers in a file or array, and the stretch: the window of them that becomes [0, 1].

Files of 8 and 16 bits usually mean the whole range: 0 is black, 255 or 65535 white. A thermal camera that stores
temperatures, or a scanner that stores Hounsfield units, uses a narrow part of the range or leaves it; then

    y = (v - low) / (high - low), clipped to [0, 1]

is what a network can fuse.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.colour import Floats

Bound = float | str
StretchLike = tuple[Bound, Bound]

_ROUNDING = 1e-5  # less than a level of 16 bits
_SAMPLE = 2**24  # percentiles are those of at most this many values, evenly spaced in the images
_WHITE = {np.dtype(bool): (1, 8), np.dtype(np.uint8): (255, 8), np.dtype(np.uint16): (65535, 16)}


@dataclass(frozen=True)
class Stored:
    """The values of an image as they are stored.

    Attributes:
        values: any real numbers, (..., H, W) or (..., H, W, 3).
        white: the value that stands for 1; None where the kind of number has none, as int16.
        bits: bits per channel: 8 (or fewer), 12, 16, 32 for floating-point numbers, or those of longer integers.
    """

    values: NDArray[Any]
    white: float | None
    bits: int

    def unit(self) -> Floats:
        """The values over white, float32 in [0, 1].

        Floats that leave [0, 1] by rounding, by no more than 1e-5, are clipped.

        Raises:
            ValueError: they are not finite or not in [0, 1], or there is no white.
        """
        require_finite(self.values)
        low, high = self.extent
        if self.white is None:
            raise ValueError(f"holds {self.bits}-bit or signed integers, from {low:g} to {high:g}: {ADVICE}")
        if low < -_ROUNDING or high > self.white + _ROUNDING:
            raise ValueError(
                f"must lie in [0, {self.white:g}], found values from {low:g} to {high:g}: {ADVICE}"
            )
        return np.clip(self.values.astype(np.float32) / np.float32(self.white), 0, 1)

    @cached_property
    def extent(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return float(self.values.min()), float(self.values.max())

    def core(self, tail: float = 1e-3) -> tuple[float, float]:
        """The smallest and the largest value once this share at either end of the range is left out."""
        values = self.values.ravel()
        out = int(values.size * tail)
        if not out:
            return self.extent
        ends = np.partition(values, (out, values.size - 1 - out))
        return float(ends[out]), float(ends[values.size - 1 - out])


def advice(tail: int = 1) -> str:
    """How to stretch an image by the percentiles that leave so many per cent at either end out."""
    low, high = f"{tail}%", f"{100 - tail}%"
    return (
        f'stretch it (--stretch {low} {high}, for side b --stretch-b; in Python stretch=("{low}", "{high}"))'
    )


ADVICE = advice()


def require_finite(values: NDArray[Any]) -> None:
    """Refuses NaN and infinities.

    Raises:
        ValueError: there are some.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or infinite values")


def stored_array(x: NDArray[Any]) -> Stored:
    """An array of bool, integers or floats of any byte order as stored values.

    Raises:
        ValueError: values are masked.
        TypeError: it holds numbers of another kind.
    """
    values = np.asarray(x)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"must hold bool, integers or floating-point numbers, found {values.dtype}")
    if masked := int(np.ma.count_masked(x)):
        raise ValueError(f"has {masked} masked values: fill them first, as x.filled(0) does")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        return Stored(values, 1.0, 32)
    white, bits = _WHITE.get(values.dtype, (None, 8 * values.dtype.itemsize))
    return Stored(values, white, bits)


@dataclass(frozen=True)
class Stretch:
    """A window of stored values that becomes [0, 1].

    >>> from mambadfuse.data.stretch import Stretch
    >>> Stretch.of((20, 40))
    Stretch(low=20.0, high=40.0, percentiles=False)
    >>> str(Stretch.of(("1%", "99%")))
    '1% 99%'

    Attributes:
        low: what becomes black.
        high: what becomes white.
        percentiles: whether these are percentiles of the values instead of values.
    """

    low: float
    high: float
    percentiles: bool = False

    @classmethod
    def of(cls, bounds: "StretchLike | Stretch") -> "Stretch":
        """The stretch that two bounds stand for: numbers for values, texts such as "1%" for percentiles.

        Raises:
            ValueError: they are no such bounds, mixed, out of order, or percentiles outside 0 to 100.
        """
        if isinstance(bounds, Stretch):
            return bounds
        try:
            low, high = bounds
            percentiles = {str(bound).strip().endswith("%") for bound in (low, high)}
            first, second = (float(str(bound).strip().removesuffix("%")) for bound in (low, high))
        except (TypeError, ValueError):
            raise ValueError(f"a stretch has two bounds, LOW HIGH or 1% 99%, found {bounds!r}") from None
        if len(percentiles) == 2 or not -np.inf < first < second < np.inf:
            raise ValueError(
                f"a stretch has a lower and a higher bound, both values or both percentiles, found {low} {high}"
            )
        if True in percentiles and not 0 <= first < second <= 100:
            raise ValueError(f"percentiles lie between 0% and 100%, found {low} {high}")
        return cls(first, second, True in percentiles)

    def __str__(self) -> str:
        sign = "%" if self.percentiles else ""
        return f"{self.low:.9g}{sign} {self.high:.9g}{sign}"

    def window(self, images: Iterable[NDArray[Any]], count: int = 1) -> "Stretch":
        """The values at these percentiles over some images taken together; itself if it already names values.

        Percentiles are those of 2**24 values, evenly spaced in the images; of all of them, if there are no more.

        Args:
            images: values of any shape.
            count: how many images there are.

        Raises:
            ValueError: there are no images, or values that are not finite or the same at both percentiles.
        """
        if not self.percentiles:
            return self
        samples = []
        for values in images:
            require_finite(values)
            flat = values.ravel()
            samples.append(flat[:: max(1, -(-flat.size * count // _SAMPLE))].astype(np.float64))
        if not samples:
            raise ValueError("there is no image to take percentiles of")
        low, high = np.percentile(np.concatenate(samples), (self.low, self.high))
        if low == high:
            raise ValueError(
                f"cannot be stretched: it has the value {low:g} at both {str(self).replace(' ', ' and ')}"
            )
        return Stretch(float(low), float(high))

    def apply(self, values: NDArray[Any]) -> Floats:
        """(v - low) / (high - low), clipped to [0, 1], float32; percentiles are those of ``values``.

        Raises:
            ValueError: the values are not finite, or the same at both percentiles.
        """
        window = self.window([values])
        require_finite(values)
        with np.errstate(over="ignore"):  # where the bounds all but touch: still black or white
            scaled = (values.astype(np.float64) - window.low) / (window.high - window.low)
        return np.clip(scaled, 0, 1).astype(np.float32)
