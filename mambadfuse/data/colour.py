"""Colour: full-range BT.601 YCbCr as in JPEG files, and how a fused grey image gets its chroma back.

The network fuses brightness (luma, Y) alone; chroma is set aside and added again afterwards.
All functions take floating-point arrays whose last axis is colour: (..., H, W, 3).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

RED, GREEN, BLUE = 0.299, 0.587, 0.114  # BT.601: how bright each primary looks; the three sum to one
GREY_TOLERANCE = 2 / 255  # how far JPEG rounding pulls R, G and B of a grey image apart


def _expect_colour(name: str, x: Floats) -> None:
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(f"{name} must hold floating-point numbers, found {x.dtype}")
    if x.ndim < 3 or x.shape[-1] != 3:
        raise ValueError(f"{name} must have shape (..., H, W, 3), found {x.shape}")


def luma(rgb: Floats) -> Floats:
    """Brightness, Y = 0.299 R + 0.587 G + 0.114 B, (..., H, W, 3) -> (..., H, W).

    Computed as G + 0.299 (R - G) + 0.114 (B - G), the same sum in an order that returns a grey exactly.

    Raises:
        TypeError: the array does not hold floating-point numbers.
        ValueError: the last of at least three axes is not 3 long.
    """
    _expect_colour("rgb", rgb)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    return green + RED * (red - green) + BLUE * (blue - green)


def rgb_to_ycbcr(rgb: Floats) -> Floats:
    """RGB in [0, 1] -> Y in [0, 1] with Cb, Cr in [-0.5, 0.5], (..., H, W, 3), ITU-T T.871 (JFIF).

        Cb = (B - Y) / 1.772,   Cr = (R - Y) / 1.402

    A grey has Cb = Cr = 0; files store chroma with 128/255 added.

    Raises:
        TypeError, ValueError: as in :func:`luma`.
    """
    y = luma(rgb)
    cb = (rgb[..., 2] - y) / (2 - 2 * BLUE)
    cr = (rgb[..., 0] - y) / (2 - 2 * RED)
    return np.stack([y, cb, cr], axis=-1)


def ycbcr_to_rgb(ycbcr: Floats) -> Floats:
    """The inverse of :func:`rgb_to_ycbcr`; nothing is clipped, so YCbCr outside the RGB gamut leaves [0, 1].

    Raises:
        TypeError, ValueError: as in :func:`luma`.
    """
    _expect_colour("ycbcr", ycbcr)
    y, cb, cr = np.moveaxis(ycbcr, -1, 0)
    red = y + (2 - 2 * RED) * cr
    blue = y + (2 - 2 * BLUE) * cb
    green = (y - RED * red - BLUE * blue) / GREEN
    return np.stack([red, green, blue], axis=-1)


def is_grey(rgb: Floats) -> bool:
    """Whether R, G and B differ by at most 2/255 everywhere, as in a grey image stored as a colour file.

    Raises:
        TypeError, ValueError: as in :func:`luma`.
    """
    _expect_colour("rgb", rgb)
    spread = rgb.max(axis=-1) - rgb.min(axis=-1)
    return bool(np.all(spread <= GREY_TOLERANCE + 1e-6))


def recolour(fused_luma: Floats, rgb_source: Floats) -> Floats:
    """Gives a fused grey image the chroma of a source image without changing its brightness.

    The colour of a pixel is its offset d = RGB - Y from the grey of its own brightness; luma(d) = 0. So

        out = Y' + s d,   with the largest s in [0, 1] that keeps all three channels in [0, 1]

    has the brightness Y' for every s: a colour is desaturated where it would leave the RGB gamut. Clipping each
    channel instead would change brightness and hue.

    Args:
        fused_luma: Y' in [0, 1], (..., H, W); values beyond are clipped.
        rgb_source: RGB in [0, 1], (..., H, W, 3).

    Returns:
        RGB in [0, 1], (..., H, W, 3).

    Raises:
        TypeError: the source does not hold floating-point numbers.
        ValueError: the shapes do not fit.
    """
    _expect_colour("rgb_source", rgb_source)
    if fused_luma.shape != rgb_source.shape[:-1]:
        raise ValueError(f"fused_luma must have shape {rgb_source.shape[:-1]}, found {fused_luma.shape}")
    y = np.clip(fused_luma, 0, 1)[..., None]
    offset = rgb_source - luma(rgb_source)[..., None]
    headroom = np.where(offset > 0, 1 - y, y)
    smallest = np.finfo(headroom.dtype).tiny  # 0/0 becomes 0: neither colour nor headroom
    scale = headroom / np.maximum(np.maximum(np.abs(offset), headroom), smallest)
    return np.clip(y + scale.min(axis=-1, keepdims=True) * offset, 0, 1)
