"""Whether a pair looks registered: a quick check by its edges, without aligning anything."""

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


def registration_remark(a: Floats, b: Floats) -> str | None:
    """One sentence if the edges of a pair match clearly better after a shift, else None.

    The whitened correlation of both edge maps, see :mod:`mambadfuse.alignment.search`, is taken for every shift up to
    a sixth of each side and standardised by its mean and deviation more than 5 pixels from its peak. There is a
    remark if the peak lies more than 3 pixels from no shift, is above 8, and exceeds all shifts within 3 pixels by
    2. These thresholds are measured by ``python -m benchmarks.registration``. Images whose shorter side
    has 480 pixels or more are halved first, and the pixels of these thresholds are those of the halved images.

    Only a shift is looked for, so None is no proof of registration: a rotation about the centre goes unseen, and so
    does any motion of images that share too few edges, as PET and SPECT do with MRI.

    >>> from mambadfuse.alignment import registration_remark
    >>> from mambadfuse.data.synthetic import synthetic_pair
    >>> b = synthetic_pair(0, (96, 128)).b
    >>> registration_remark(1 - b, b) is None
    True
    >>> print(registration_remark(1 - b[:-4, :-8], b[4:, 8:]))
    a and b do not look registered: their edges match best with a shifted by -8 pixels in x and -4 in y.

    Args:
        a: float in [0, 1], (H, W), (H, W, 1) or (H, W, 3).
        b: of the same height and width.

    Returns:
        The remark, with x to the right and y down; None for an image with a side of fewer than 32 pixels.

    Raises:
        ValueError: the sizes differ.
    """
    if a.shape[:2] != b.shape[:2]:
        raise ValueError(f"a and b must be of one size, found shapes {a.shape} and {b.shape}")
    if min(a.shape[:2]) < _SMALLEST:
        return None
    shift = _shift(_grey(a), _grey(b))
    if shift is None:
        return None
    return (
        "a and b do not look registered: "
        f"their edges match best with a shifted by {shift[0]} pixels in x and {shift[1]} in y."
    )


def _grey(pixels: Floats) -> Plane:
    if pixels.ndim == 2:
        return pixels.astype(np.float32)
    return (pixels[..., 0] if pixels.shape[-1] == 1 else luma(pixels)).astype(np.float32)


def _shift(a: Plane, b: Plane) -> tuple[int, int] | None:
    """By how many pixels a must go right and down to lie on b; None if not far, or unclear."""
    factor = 1
    while min(a.shape) >= _LARGEST:
        a, b, factor = halve(a), halve(b), 2 * factor
    known = np.ones(a.shape, bool)
    reach = a.shape[0] // _REACH, a.shape[1] // _REACH
    scores = whitened_correlation_map(edge_maps(b, known, _BLUR), edge_maps(a, known, _BLUR), reach)
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    down, right = int(row) - reach[0], int(column) - reach[1]
    around = scores[np.hypot(x - right, y - down) > _PEAK]
    near = scores[np.hypot(x, y) <= _NEAR].max()
    deviation = around.std() + 1e-12
    clear = min((scores.max() - around.mean()) / _CERTAIN, (scores.max() - near) / _MARGIN) > deviation
    return (-factor * right, -factor * down) if clear else None
