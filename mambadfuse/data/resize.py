"""Resizing one side of a pair to the size of the other, where both show the same scene at another resolution."""

import numpy as np
from PIL import Image

from mambadfuse.data.colour import Floats

SIDES = ("a", "b")
_TOLERANCE = 0.02  # of the aspect ratio: rounding to whole pixels changes it, cropping changes it more


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes, (height, width), have the same aspect ratio to 2 %."""
    ratio = size[0] * other[1] / (size[1] * other[0])
    return max(ratio, 1 / ratio) <= 1 + _TOLERANCE


def resize_to(x: Floats, height: int, width: int) -> Floats:
    """Images of another size, (B, H, W, C) -> (B, height, width, C): enlarged by Lanczos, reduced by the mean of areas.

    The corners of the image stay its corners. Lanczos overshoots at edges; the result is clipped to [0, 1].

    >>> import numpy as np
    >>> from mambadfuse.data.resize import resize_to
    >>> checks = np.array([[0, 1], [1, 0]], np.float32)[None, ..., None]
    >>> resize_to(checks, 1, 1).ravel()
    array([0.5], dtype=float32)

    Args:
        x: float32 in [0, 1].
        height: of the result.
        width: of the result.

    Raises:
        ValueError: the aspect ratios differ by more than 2 %.
    """
    count, old_height, old_width, channels = x.shape
    if not same_shape((old_height, old_width), (height, width)):
        raise ValueError(
            f"{old_width}x{old_height} cannot be resized to {width}x{height}: "
            "the aspect ratios differ, so one image is cropped or squeezed"
        )
    reduce = height * width < old_height * old_width
    method = Image.Resampling.BOX if reduce else Image.Resampling.LANCZOS
    planes = np.moveaxis(x, -1, 1).reshape(-1, old_height, old_width)
    resized = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize((width, height), method))
        for plane in planes
    ]
    return np.moveaxis(np.clip(resized, 0, 1).reshape(count, channels, height, width), 1, -1)
