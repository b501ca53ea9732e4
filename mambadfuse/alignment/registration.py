"""Whether a pair looks registered: a quick check by its edges, without aligning anything."""

from typing import NamedTuple

import numpy as np

from mambadfuse.alignment.edges import edge_maps
from mambadfuse.alignment.motion import Plane
from mambadfuse.alignment.resample import halve
from mambadfuse.alignment.search import whitened_correlation_map
from mambadfuse.data.colour import Floats, luma

_SMALLEST, _LARGEST = 32, 480  # pixels of the shorter side; larger images are halved
_BLUR = 1.0
_REACH = 6  # shifts up to a sixth of each side
_NEAR, _PEAK = 3.0, 5.0  # pixels: what counts as registered, and where the surroundings of the peak begin
_CERTAIN, _MARGIN = 8.0, 2.0  # z of the peak, and by how much it exceeds the best near no shift
_NOWHERE, _SMALLEST_UNCLEAR = (
    5.0,
    64,
)  # z of the peak below which nothing matches, and in images of which side


class _Match(NamedTuple):
    """Where the edges of a pair match best: how far a must go right and down, and how clearly."""

    shift: tuple[int, int]
    z: float
    z_near: float


def registration_remark(a: Floats, b: Floats) -> str | None:
    """One sentence if a pair does not look registered, else None.

    It is that of :func:`shift_remark`, or that nothing matches: with all z below 5 the images are turned or scaled, or
    of different scenes, or share no edges at all, as SPECT and MRI do. Images with a side of fewer than 64 pixels are
    not judged so, nor is one without edges.

    >>> from mambadfuse.alignment import registration_remark
    >>> from mambadfuse.data.synthetic import synthetic_pair
    >>> toy = synthetic_pair(0, (96, 128))
    >>> print(registration_remark(toy.a, toy.b))
    a and b may not be registered: their edges match at no shift of up to a sixth of a side.

    Args:
        a: float in [0, 1], (H, W), (H, W, 1) or (H, W, 3).
        b: of the same height and width.

    Raises:
        ValueError: the sizes differ.
    """
    match = _match(a, b)
    if match is None:
        return None
    if match.z < _NOWHERE and min(a.shape[:2]) >= _SMALLEST_UNCLEAR:
        return "a and b may not be registered: their edges match at no shift of up to a sixth of a side."
    return _shift_remark(match)


def shift_remark(a: Floats, b: Floats) -> str | None:
    """One sentence if the edges of a pair match clearly better after a shift, else None.

    The whitened correlation of both edge maps, see :mod:`mambadfuse.alignment.search`, is taken for every shift up to
    a sixth of each side and standardised, to z, by its mean and deviation more than 5 pixels from its peak. There is a
    remark if the peak lies more than 3 pixels from no shift, is above 8, and exceeds all shifts within 3 pixels by
    2. These thresholds are measured by ``python -m benchmarks.registration``. Images whose shorter side
    has 480 pixels or more are halved first, and the pixels of these thresholds are those of the halved images.

    Only a shift is looked for, so None is no proof of registration: a rotation about the centre goes unseen, and so
    does any motion of images that share too few edges, as PET and SPECT do with MRI.

    >>> from mambadfuse.alignment import shift_remark
    >>> from mambadfuse.data.synthetic import synthetic_pair
    >>> b = synthetic_pair(0, (96, 128)).b
    >>> shift_remark(1 - b, b) is None
    True
    >>> print(shift_remark(1 - b[:-4, :-8], b[4:, 8:]))
    a and b do not look registered: their edges match best with a shifted by -8 pixels in x and -4 in y.

    Args:
        a: float in [0, 1], (H, W), (H, W, 1) or (H, W, 3).
        b: of the same height and width.

    Returns:
        The remark, with x to the right and y down; None for an image with a side of fewer than 32 pixels.

    Raises:
        ValueError: the sizes differ.
    """
    match = _match(a, b)
    return _shift_remark(match) if match else None


def _shift_remark(match: _Match) -> str | None:
    if match.z <= _CERTAIN or match.z - match.z_near <= _MARGIN:
        return None
    return (
        "a and b do not look registered: "
        f"their edges match best with a shifted by {match.shift[0]} pixels in x and {match.shift[1]} in y."
    )


def _grey(pixels: Floats) -> Plane:
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    return (pixels[..., 0] if pixels.shape[-1] == 1 else luma(pixels)).astype(np.float32)


def _match(a: Floats, b: Floats) -> _Match | None:
    """The best match of two images; None if one is too small or has no edges."""
    if a.shape[:2] != b.shape[:2]:
        raise ValueError(f"a and b must be of one size, found shapes {a.shape} and {b.shape}")
    if min(a.shape[:2]) < _SMALLEST:
        return None
    x, y, factor = _grey(a), _grey(b), 1
    while min(x.shape) >= _LARGEST:
        x, y, factor = halve(x), halve(y), 2 * factor
    known = np.ones(x.shape, bool)
    reach = x.shape[0] // _REACH, x.shape[1] // _REACH
    edges_a, edges_b = edge_maps(x, known, _BLUR), edge_maps(y, known, _BLUR)
    if not (np.any(edges_a) and np.any(edges_b)):
        return None
    scores = whitened_correlation_map(edges_b, edges_a, reach)
    rows, columns = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    down, right = int(row) - reach[0], int(column) - reach[1]
    around = scores[np.hypot(columns - right, rows - down) > _PEAK]
    z = (scores - around.mean()) / (around.std() + 1e-12)
    return _Match(
        (-factor * right, -factor * down), float(z.max()), float(z[np.hypot(columns, rows) <= _NEAR].max())
    )
