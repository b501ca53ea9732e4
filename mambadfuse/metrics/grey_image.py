"""What every metric starts from: a grey image with 256 levels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

_ROUNDING = 1e-5  # by which floats may leave [0, 1]
_LUMA = np.array([299, 587, 114])  # thousandths of red, green and blue (ITU-R BT.601)


def grey(picture: ArrayLike, name: str = "picture") -> np.ndarray:
    """The image as grey levels 0 ... 255; a grey uint8 image is returned unchanged.

    Args:
        picture: (H, W) grey or (H, W, 3) RGB; uint8, or floating-point in [0, 1].
        name: how error messages refer to it.

    Returns:
        uint8, (H, W). Floats are scaled by 255 and rounded; colour becomes 0.299 R + 0.587 G + 0.114 B,
        rounded (halves to even).

    Raises:
        TypeError: the image holds neither uint8 nor floating-point numbers, is a file name, or is no array.
        ValueError: the shape is not one of these, the image is empty, or a value is masked, not finite or outside
            [0, 1].

    Example:
        >>> grey(np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)).tolist()
        [[76, 150]]
    """
    if isinstance(picture, str | Path):
        raise TypeError(f"{name} must be pixels, found a file name: read it with mambadfuse.read_image")
    try:
        pixels = np.asarray(picture)
    # ragged lists; tensors that are sparse or on a GPU
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error
    if pixels.dtype.names:
        raise TypeError(f"{name} must hold uint8 or floating-point numbers, found {pixels.dtype}")
    if masked := int(np.ma.count_masked(picture)):
        raise ValueError(f"{name} has {masked} masked values: fill them first, as picture.filled(0) does")
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or pixels.size == 0:
        raise ValueError(f"{name} must have shape (H, W) or (H, W, 3), found {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = _quantise(pixels, name)
    return pixels if pixels.ndim == 2 else np.rint(pixels @ _LUMA / 1000).astype(np.uint8)


def _quantise(pixels: np.ndarray, name: str) -> np.ndarray:
    if not np.issubdtype(pixels.dtype, np.floating):
        raise TypeError(f"{name} must hold uint8 or floating-point numbers, found {pixels.dtype}")
    if not np.isfinite(pixels).all():
        bad = np.count_nonzero(~np.isfinite(pixels))
        raise ValueError(f"{name} must be finite, found {bad} NaN or infinite values")
    if pixels.min() < -_ROUNDING or pixels.max() > 1 + _ROUNDING:
        raise ValueError(f"{name} must lie in [0, 1], found {pixels.min():g} to {pixels.max():g}")
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def grey_all(pictures: Mapping[str, ArrayLike]) -> list[np.ndarray]:
    """The images, by name, converted by :func:`grey`; all must have the same size.

    Raises:
        ValueError: the sizes differ, or :func:`grey` rejects an image.
        TypeError: :func:`grey` rejects an image.
    """
    first, *others = ((name, grey(picture, name)) for name, picture in pictures.items())
    for name, x in others:
        if x.shape != first[1].shape:
            raise ValueError(f"{name} must have the size {first[1].shape} of {first[0]}, found {x.shape}")
    return [first[1], *(x for _, x in others)]


def levels(pictures: Mapping[str, ArrayLike]) -> list[np.ndarray]:
    """:func:`grey_all` in float64."""
    return [x.astype(np.float64) for x in grey_all(pictures)]
