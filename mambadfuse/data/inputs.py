"""Inputs: the kinds of image that :func:`mambadfuse.fuse` accepts, all converted to one kind of array."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.masked import MaskedTensor

from mambadfuse.data import remarks
from mambadfuse.data.colour import Floats, is_grey, luma
from mambadfuse.data.images import ImageError, decode, read_image
from mambadfuse.data.stretch import Stretch, stored_array

ImageLike = str | Path | Image.Image | NDArray[Any] | Tensor


def to_float_batch(x: ImageLike, name: str, stretch: Stretch | None = None, alpha: str = "black") -> Floats:
    """Any image as float32 in [0, 1], (B, H, W, C): C = 1 if it is grey (to 2/255), else 3.

    What a user should know about it is logged as a warning.

    Args:
        x: a file, a Pillow image, an array, (H, W), (H, W, 1) or (H, W, 3) of bool, uint8, uint16 or floats
            in [0, 1], of any byte order, or a tensor of floats in [0, 1], (H, W), (C, H, W) or (B, C, H, W).
        name: what messages call it.
        stretch: the window of values that becomes [0, 1]. Arrays may then hold any integers and floats.
        alpha: what becomes of the alpha channel of a file or Pillow image, as in
            :func:`~mambadfuse.data.images.read_image`.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: it is empty, of a wrong shape, masked, not finite or, without a stretch, not in [0, 1]; the alpha
            channel alone is asked for, but it can have none.
        TypeError: it is something else, a tensor that is sparse, masked, nested or on the device meta, or holds numbers
            of another kind.
    """
    if isinstance(x, str | Path):
        pixels = _one(read_image(x, stretch=stretch, alpha=alpha))
    elif isinstance(x, Image.Image):
        pixels = _one(_from_pillow(x, name, stretch, alpha))
    elif alpha == "only":
        raise ValueError(
            f"{name} must be a file or Pillow image with an alpha channel, found {type(x).__name__}"
        )
    elif isinstance(x, Tensor):
        pixels = _to_unit_range(_tensor_to_batch(x, name), name, stretch)
    elif isinstance(x, np.ndarray):
        pixels = _to_unit_range(_array_to_batch(x, name), name, stretch)
    else:
        raise TypeError(f"{name} must be a file, Pillow image, array or tensor, found {type(x).__name__}")
    return luma(pixels)[..., None] if pixels.shape[-1] == 3 and is_grey(pixels) else pixels


def _from_pillow(x: Image.Image, name: str, stretch: Stretch | None, alpha: str) -> Floats:
    try:
        picture = decode(x, stretch, alpha)
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except (ValueError, OSError, SyntaxError, AttributeError) as error:  # closed, or its file is damaged
        raise ImageError(f"{name} cannot be read ({error})") from error
    for remark in picture.remarks:
        remark.log(name)
    return picture.pixels


def _one(pixels: Floats) -> Floats:
    """(H, W) or (H, W, 3) -> (1, H, W, C)."""
    return pixels[None, ..., None] if pixels.ndim == 2 else pixels[None]


def _array_to_batch(x: NDArray[Any], name: str) -> NDArray[Any]:
    """(H, W) or (H, W, C) -> (1, H, W, C); masks stay."""
    plain = x if isinstance(x, np.ma.MaskedArray) else np.asarray(x)
    shaped = plain[..., None] if plain.ndim == 2 else plain
    if shaped.ndim != 3 or shaped.shape[2] not in (1, 3):
        raise ValueError(f"{name} must have shape (H, W), (H, W, 1) or (H, W, 3), found {x.shape}")
    return shaped[None]


def _tensor_to_batch(x: Tensor, name: str) -> NDArray[Any]:
    """(H, W), (C, H, W) or (B, C, H, W) -> array (B, H, W, C)."""
    if kind := _without_values(x):
        raise TypeError(f"{name} must be a dense tensor with values, found {kind}")
    shaped = x[(None,) * (4 - x.ndim)] if 2 <= x.ndim <= 4 else x
    if shaped.ndim != 4 or shaped.shape[1] not in (1, 3):
        expected = "(H, W), (C, H, W) or (B, C, H, W) with C = 1 or 3"
        raise ValueError(f"{name} must have shape {expected}, found {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be a tensor of floating-point numbers in [0, 1], found {x.dtype}")
    return shaped.detach().movedim(1, -1).float().cpu().numpy()


def _without_values(x: Tensor) -> str | None:
    """The kind of a tensor whose values do not lie one after another in memory; None for all others."""
    if x.is_meta:
        return "one on the device meta, which has none"
    if isinstance(x, MaskedTensor):
        return "a masked one: fill it first"
    if x.is_nested:
        return "a nested one: stack its images first"
    if x.layout != torch.strided:
        return "a sparse one: x.to_dense() makes it dense"
    return None


def _to_unit_range(x: NDArray[Any], name: str, stretch: Stretch | None) -> Floats:
    """Integers over their largest value, or floats that have been checked, or a window of either; as float32."""
    if x.size == 0:
        raise ValueError(f"{name} is empty: {x.shape[2]}x{x.shape[1]} pixels")
    try:
        stored = stored_array(x)
        if stored.white is None and stretch is None:
            raise TypeError(f"must hold bool, uint8, uint16 or floating-point numbers, found {x.dtype}")
        pixels = stored.unit() if stretch is None else stretch.apply(stored.values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} {error}") from None
    low, high = stored.extent
    if low < high:  # whoever made a constant array knows
        for remark in remarks.of_values(stored, stretch):
            remark.log(name)
    return pixels
