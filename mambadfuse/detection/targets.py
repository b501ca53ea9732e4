"""Training targets: what the detector should answer in every cell (Zhou et al. 2019, "Objects as Points").

The image is divided into cells of 4 x 4 pixels. The cell that holds the centre of an object should answer 1 in the heat
map of its class, and say how large the object is and where in the cell its centre lies. Cells nearby that would still
give a good box are excused: around each centre the heat map falls off as a Gaussian. Ignored objects, such as crowds,
have no centre, and what is answered inside their boxes does not count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mambadfuse.detection.boxes import Objects

STRIDE = 4  # pixels: the side of a cell
_OVERLAP = 0.7  # IoU of boxes that count as good


class Targets(NamedTuple):
    """The targets of B images of K classes, on maps of h x w cells."""

    heat: Tensor
    """(B, K, h, w), in [0, 1]; 1 at centres."""
    size: Tensor
    """Width and height in cells, (B, 2, h, w); meaningless outside centres."""
    offset: Tensor
    """Of the centre from the left and top of its cell, in cells, (B, 2, h, w), in [0, 1)."""
    centre: Tensor
    """Whether the cell holds a centre, (B, 1, h, w)."""
    ignored: Tensor
    """Whether the cell touches the box of an ignored object of the class, (B, K, h, w)."""


def targets(objects: Sequence[Objects], classes: int, height: int, width: int) -> Targets:
    """The targets of a batch of images, H and W in pixels, multiples of 4.

    >>> one = Objects(np.array([[4.0, 0.0, 12.0, 8.0]]), np.array([0]))
    >>> found = targets([one], classes=1, height=8, width=16)
    >>> found.centre[0, 0].int().tolist(), found.size[0, :, 1, 2].tolist()
    ([[0, 0, 0, 0], [0, 0, 1, 0]], [2.0, 2.0])

    Args:
        objects: of each image.
        classes: K.
        height: H of the images.
        width: W.

    Raises:
        ValueError: H or W is no multiple of 4, a label is not below K, or the centre of a box lies outside its image.
    """
    if height % STRIDE or width % STRIDE:
        raise ValueError(f"height and width must be multiples of {STRIDE}, found {height} and {width}")
    rows, columns, batch = height // STRIDE, width // STRIDE, len(objects)
    heat = np.zeros((batch, classes, rows, columns), np.float32)
    geometry = np.zeros((batch, 4, rows, columns), np.float32)
    centre = np.zeros((batch, 1, rows, columns), bool)
    ignored = np.zeros((batch, classes, rows, columns), bool)
    for number, found in enumerate(objects):
        if len(found.labels) and not 0 <= found.labels.min() <= found.labels.max() < classes:
            raise ValueError(f"labels must lie in 0..{classes - 1}, found {found.labels.tolist()}")
        for box, label, is_ignored in zip(found.boxes, found.labels, found.ignored, strict=True):
            if is_ignored:
                left, top = np.floor(box[:2] / STRIDE).astype(int).clip(0)
                right, bottom = np.ceil(box[2:] / STRIDE).astype(int).clip(0)
                ignored[number, label, top:bottom, left:right] = True
                continue
            size, point = (box[2:] - box[:2]) / STRIDE, _centre_cell(box, height, width)
            column, row = point.astype(int)
            bump = _bump(rows, columns, row, column, gaussian_radius(*size))
            np.maximum(heat[number, label], bump, out=heat[number, label])
            geometry[number, :, row, column] = *size, *(point - (column, row))
            centre[number, 0, row, column] = True
    return Targets(*map(torch.from_numpy, (heat, geometry[:, :2], geometry[:, 2:], centre, ignored)))


def _centre_cell(box: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Where the centre of a box lies, (x, y) in cells."""
    point = (box[2:] + box[:2]) / 2 / STRIDE
    if not ((point >= 0) & (point < (width // STRIDE, height // STRIDE))).all():
        raise ValueError(
            f"the centre of the box {box.tolist()} lies outside the image of {width}x{height} pixels"
        )
    return point


def gaussian_radius(width: float, height: float) -> int:
    """How many cells a box of this size may move along both axes, and still overlap itself with an IoU of 0.7.

        (w − d)(h − d) = s w h,   s = 2 · 0.7 / (1 + 0.7),   and d is rounded down

    >>> gaussian_radius(20, 20), gaussian_radius(2, 4)
    (1, 0)
    """
    shared = 2 * _OVERLAP / (1 + _OVERLAP)
    total = width + height
    return int((total - (total**2 - 4 * (1 - shared) * width * height) ** 0.5) / 2)


def _bump(rows: int, columns: int, row: int, column: int, radius: int) -> NDArray[np.floating]:
    """A Gaussian of standard deviation (2 radius + 1) / 6 that is 1 at (row, column)."""
    variance = ((2 * radius + 1) / 6) ** 2
    y, x = (
        np.exp(-((np.arange(count) - place) ** 2) / (2 * variance))
        for count, place in ((rows, row), (columns, column))
    )
    return y[:, None] * x
