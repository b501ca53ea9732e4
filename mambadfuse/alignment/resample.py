"""Resampling: an image as it looks after a motion, and where that is known."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mambadfuse.alignment.motion import Matrix, Plane

Mask = NDArray[np.bool_]


def pixel_grid(size: tuple[int, int]) -> tuple[Plane, Plane]:
    """The coordinates x and y of every pixel of an image of size (H, W)."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    return x, y


def resample(image: Plane, motion: Matrix, size: tuple[int, int], order: int = 1) -> tuple[Plane, Mask]:
    """out(x, y) = image(motion (x, y)), with splines between the pixels.

    Args:
        image: (H, W).
        motion: takes pixels of the result to pixels of the image.
        size: of the result, (H', W').
        order: of the splines: 1 is bilinear, 3 bicubic.

    Returns:
        The result, (H', W'), and where it lies inside the image; outside, the nearest pixel of the image is repeated.
    """
    x, y = pixel_grid(size)
    weight = motion[2, 0] * x + motion[2, 1] * y + motion[2, 2]
    across = (motion[0, 0] * x + motion[0, 1] * y + motion[0, 2]) / weight
    down = (motion[1, 0] * x + motion[1, 1] * y + motion[1, 2]) / weight
    height, width = image.shape
    slack = 1e-3  # of a pixel, for rounding in float32
    inside = (
        (across >= -slack) & (down >= -slack) & (across <= width - 1 + slack) & (down <= height - 1 + slack)
    )
    warped = ndimage.map_coordinates(image, [down, across], order=order, mode="nearest", output=np.float32)
    return warped, inside


def halve(image: Plane) -> Plane:
    """Every second pixel of an image after low-pass filtering."""
    return ndimage.gaussian_filter(image, 1.0)[::2, ::2]


def shrink(image: Plane, factor: float) -> Plane:
    """Low-pass filters an image that is about to be resampled with pixels ``factor`` times as large."""
    return ndimage.gaussian_filter(image, (factor - 1) / 2) if factor > 1 else image
