"""Limited range: brightness stored as 16..235 instead of 0..255, as in video and by MATLAB's ``rgb2ycbcr``.

Folders named ``*_Y`` often hold such luma. Read as if it were full range, black becomes grey and white dim, and a
fused image mixes two scales. Values here are those of 8-bit files over 255, as
:func:`~mambadfuse.data.images.read_image` returns them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.colour import Floats, luma, rgb_to_ycbcr, ycbcr_to_rgb
from mambadfuse.data.images import read_image

BLACK, LUMA_STEPS, GREY, CHROMA_STEPS = 16, 219, 128, 224  # ITU-R BT.601 in 8 bits: Y 16..235, C 16..240


def expand(y: Floats) -> Floats:
    """Limited-range luma in [16/255, 235/255] -> full range [0, 1]:  Y = (255 y - 16) / 219; nothing is clipped."""
    return (255 * y - BLACK) / LUMA_STEPS


def compress(y: Floats) -> Floats:
    """The inverse of :func:`expand`:  y = (16 + 219 Y) / 255."""
    return (BLACK + LUMA_STEPS * y) / 255


def rgb_to_limited_ycbcr(rgb: Floats) -> Floats:
    """RGB in [0, 1] -> limited-range y in [16/255, 235/255], cb and cr in [16/255, 240/255], (..., H, W, 3).

        y = (16 + 219 Y) / 255,   c = (128 + 224 C) / 255

    with Y, C of :func:`~mambadfuse.data.colour.rgb_to_ycbcr`.

    Raises:
        TypeError, ValueError: as in :func:`~mambadfuse.data.colour.luma`.
    """
    full = rgb_to_ycbcr(rgb)
    chroma = (GREY + CHROMA_STEPS * full[..., 1:]) / 255
    return np.concatenate([compress(full[..., :1]), chroma], axis=-1)


def limited_ycbcr_to_rgb(ycbcr: Floats) -> Floats:
    """The inverse of :func:`rgb_to_limited_ycbcr`; nothing is clipped.

    Raises:
        TypeError, ValueError: as in :func:`~mambadfuse.data.colour.luma`.
    """
    chroma = (255 * ycbcr[..., 1:] - GREY) / CHROMA_STEPS
    return ycbcr_to_rgb(np.concatenate([expand(ycbcr[..., :1]), chroma], axis=-1))


def looks_limited(files: Sequence[Path], sample: int = 16) -> bool:
    """Whether no pixel in a sample of images, taken evenly from the list, is below 16 or above 235.

    This is a guess: full-range images without a dark or bright pixel look the same. A larger, more varied sample
    makes it safer; if you know the range, declare it instead.

    Raises:
        ImageError: an image of the sample cannot be read.
        ValueError: there are no files.
    """
    if not files:
        raise ValueError("no files to judge the range from")
    step = max(1, len(files) // sample)
    return all(_within_limits(read_image(path)) for path in files[::step][:sample])


def _within_limits(pixels: Floats) -> bool:
    return bool(round(255 * pixels.min()) >= BLACK and round(255 * pixels.max()) <= BLACK + LUMA_STEPS)


def read_luma(path: Path, limited: bool = False) -> NDArray[np.uint8]:
    """The brightness of an image file as the network reads it, uint8, (H, W); colour becomes luma.

    Args:
        path: of the image.
        limited: whether its luma is stored in limited range, and so expanded here.

    Raises:
        ImageError: the image cannot be read.
    """
    return luma_levels(read_image(path), limited)


def luma_levels(pixels: Floats, limited: bool = False) -> NDArray[np.uint8]:
    """The brightness of an image, (H, W) or (H, W, C), C = 1 or 3, in [0, 1], as :func:`read_luma` returns it."""
    grey = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    y = luma(grey) if grey.ndim == 3 else grey
    y = np.clip(expand(y), 0, 1) if limited else y
    return np.rint(255 * y).astype(np.uint8)
