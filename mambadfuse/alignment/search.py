"""The search for a first estimate: every shift of an image, for a grid of rotations and scales."""

from collections.abc import Iterable
from math import cos, sin

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from mambadfuse.alignment.edges import edge_maps
from mambadfuse.alignment.motion import Matrix, Plane
from mambadfuse.alignment.resample import resample

_REACH = 6  # shifts up to a sixth of each side are searched
_BLUR = 1.0
_WHITENING, _SMOOTH = 3.0, 0.7  # share of the mean power added; pixels


def correlation_map(fixed: Plane, moving: Plane, reach: tuple[int, int]) -> Plane:
    """The correlation of two sets of edge maps, (C, H, W), for every shift d of the second up to ``reach`` pixels.

        c(d) = Σ f(x) m(x + d) / (|f| |m|)

    No shift is in the middle of the map, (2 reach + 1) in size. What a shift pushes out of the image counts as 0, so
    that a small overlap cannot win.
    """
    f, m = (_spectrum(maps, reach) for maps in (fixed, moving))
    norm = np.sqrt((fixed**2).sum() * (moving**2).sum()) + np.float32(1e-12)
    return _over_shifts((f.conj() * m).sum(0), fixed, reach) / norm


def whitened_correlation_map(fixed: Plane, moving: Plane, reach: tuple[int, int]) -> Plane:
    """The same with every spatial frequency of about equal weight: stripes and tiles no longer match themselves.

    The spectrum of the correlation is divided by the root of (F + 3 mean F) (M + 3 mean M), with F and M the power
    spectra; its unit is arbitrary.
    """
    f, m = (_spectrum(maps, reach) for maps in (fixed, moving))
    weights = [power + _WHITENING * power.mean() for power in ((np.abs(s) ** 2).sum(0) for s in (f, m))]
    spectrum = (f.conj() * m).sum(0) / (np.sqrt(weights[0] * weights[1]) + np.float32(1e-12))
    return ndimage.gaussian_filter(_over_shifts(spectrum, fixed, reach), _SMOOTH)


def _spectrum(maps: Plane, reach: tuple[int, int]) -> NDArray[np.complex64]:
    return fft.rfft2(maps, _padded(maps, reach))


def _over_shifts(spectrum: NDArray[np.complex64], maps: Plane, reach: tuple[int, int]) -> Plane:
    """The inverse transform, cut to shifts within reach."""
    rolled = np.roll(fft.irfft2(spectrum, _padded(maps, reach)), reach, (0, 1))
    return rolled[: 2 * reach[0] + 1, : 2 * reach[1] + 1]


def _padded(maps: Plane, reach: tuple[int, int]) -> tuple[int, int]:
    """A size in which no shift within reach wraps around onto the image."""
    height, width = maps.shape[1:]
    return fft.next_fast_len(height + reach[0], real=True), fft.next_fast_len(width + reach[1], real=True)


def search(
    moving: Plane, fixed: Plane, angles: Iterable[float], scales: Iterable[float], keep: int
) -> list[Matrix]:
    """The best shift for each rotation and scale about the centres, and of these the best few.

    Args:
        moving: (H, W).
        fixed: (H', W').
        angles: in radians.
        scales: pixels of ``moving`` per pixel of ``fixed``.
        keep: how many to return.

    Returns:
        Motions from pixels of ``fixed`` to pixels of ``moving``, the best first.
    """
    size = fixed.shape
    reach = (size[0] // _REACH, size[1] // _REACH)
    target = edge_maps(fixed, np.ones(size, bool), _BLUR)
    found = []
    for angle in angles:
        for scale in scales:
            motion = _about_the_centres(angle, scale, size, moving.shape)
            scores = correlation_map(target, edge_maps(*resample(moving, motion, size), _BLUR), reach)
            row, column = np.unravel_index(scores.argmax(), scores.shape)
            shift = np.eye(3)
            shift[:2, 2] = column - reach[1], row - reach[0]
            found.append((scores[row, column], motion @ shift))
    found.sort(key=lambda one: -one[0])
    return [motion for _, motion in found[:keep]]


def _about_the_centres(angle: float, scale: float, size: tuple[int, ...], source: tuple[int, ...]) -> Matrix:
    """Turns by an angle, grows by a scale, and takes the centre of one size to that of the other."""
    turn = scale * np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    centre, middle = ([(width - 1) / 2, (height - 1) / 2] for height, width in (size, source))
    motion = np.eye(3)
    motion[:2, :2] = turn
    motion[:2, 2] = middle - turn @ centre
    return motion
