"""Inputs: the kinds of image that :func:`mambadfuse.fuse` accepts, all converted to one kind of array."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mambadfuse.data.colour import Floats, is_grey, luma
from mambadfuse.data.images import ImageError, decode, read_image

ImageLike = str | Path | Image.Image | NDArray[Any] | Tensor

_WHITE = {np.dtype(bool): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def to_float_batch(x: ImageLike, name: str) -> Floats:
    """Any image as float32 in [0, 1], (B, H, W, C): C = 1 if it is grey (to 2/255), else 3.

    Args:
        x: a file, a Pillow image, an array, (H, W), (H, W, 1) or (H, W, 3) of bool, uint8, uint16 or floats
            in [0, 1], or a tensor of floats in [0, 1], (H, W), (C, H, W) or (B, C, H, W).
        name: what messages call it.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: it is empty, of a wrong shape, not finite or not in [0, 1].
        TypeError: it is something else, or holds numbers of another kind.
    """
    if isinstance(x, str | Path):
        batch = _array_to_batch(read_image(x), name)
    elif isinstance(x, Image.Image):
        batch = _array_to_batch(_from_pillow(x, name), name)
    elif isinstance(x, Tensor):
        batch = _tensor_to_batch(x, name)
    elif isinstance(x, np.ndarray):
        batch = _array_to_batch(x, name)
    else:
        raise TypeError(f"{name} must be a file, Pillow image, array or tensor, found {type(x).__name__}")
    pixels = _to_unit_range(batch, name)
    return luma(pixels)[..., None] if pixels.shape[-1] == 3 and is_grey(pixels) else pixels


def _from_pillow(x: Image.Image, name: str) -> Floats:
    try:
        return decode(x).pixels
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None


def _array_to_batch(x: NDArray[Any], name: str) -> NDArray[Any]:
    """(H, W) or (H, W, C) -> (1, H, W, C)."""
    shaped = x[..., None] if x.ndim == 2 else x
    if shaped.ndim != 3 or shaped.shape[2] not in (1, 3):
        raise ValueError(f"{name} must have shape (H, W), (H, W, 1) or (H, W, 3), found {x.shape}")
    return shaped[None]


def _tensor_to_batch(x: Tensor, name: str) -> NDArray[Any]:
    """(H, W), (C, H, W) or (B, C, H, W) -> array (B, H, W, C)."""
    shaped = x[(None,) * (4 - x.ndim)] if 2 <= x.ndim <= 4 else x
    if shaped.ndim != 4 or shaped.shape[1] not in (1, 3):
        expected = "(H, W), (C, H, W) or (B, C, H, W) with C = 1 or 3"
        raise ValueError(f"{name} must have shape {expected}, found {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be a tensor of floating-point numbers in [0, 1], found {x.dtype}")
    return shaped.detach().movedim(1, -1).float().cpu().numpy()


def _to_unit_range(x: NDArray[Any], name: str) -> Floats:
    """Integers over their largest value, or floats that have been checked; both as float32."""
    if x.size == 0:
        raise ValueError(f"{name} is empty: {x.shape[2]}x{x.shape[1]} pixels")
    if x.dtype in _WHITE:
        return x.astype(np.float32) / np.float32(_WHITE[x.dtype])
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(f"{name} must hold bool, uint8, uint16 or floating-point numbers, found {x.dtype}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"{name} must lie in [0, 1], found values from {x.min():g} to {x.max():g}")
    return x.astype(np.float32)
