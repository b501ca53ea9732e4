"""Fusing one pair: two images into one with a network."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mambadfuse.data.colour import Floats, luma, recolour
from mambadfuse.data.inputs import ImageLike, to_float_batch
from mambadfuse.fusion.alignment import moved_onto
from mambadfuse.fusion.memory import within_memory
from mambadfuse.fusion.postprocess import check_contrast, postprocess
from mambadfuse.models import checkpoints

Model = str | Path | nn.Module

_BAND = 256  # rows
COLOURS = ("auto", "a", "b", "grey")


def fuse(
    a: ImageLike,
    b: ImageLike,
    model: Model | None = None,
    *,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
    align: str | None = None,
) -> NDArray[Any] | Tensor:
    """Fuses two registered images of one size into one.

    The network fuses luma, Y' = postprocess(model(Y_a, Y_b), contrast), see :mod:`mambadfuse.fusion.postprocess`;
    chroma is put back by :func:`mambadfuse.data.colour.recolour`. The authors' test script first pads both images to
    a multiple of 8; no layer of the network needs that and padding changes values, so this function does not pad.
    Images that do not fit in memory are fused in tiles, with a warning, see :mod:`mambadfuse.fusion.memory`.

    >>> import mambadfuse as mdf
    >>> from mambadfuse.data.samples import samples
    >>> pair = samples("ivf")[0]
    >>> fused = mdf.fuse(pair.a, pair.b, model="ivf")
    >>> fused.shape, fused.dtype
    ((360, 480, 3), dtype('uint8'))

    Args:
        a: the infrared or MRI side: a file, a Pillow image, an array, (H, W), (H, W, 1) or (H, W, 3) of bool,
            uint8, uint16 or floats in [0, 1], or a tensor of floats in [0, 1], (H, W), (C, H, W) or
            (B, C, H, W), C = 1 or 3. An image whose R, G and B nowhere differ by more than 2/255 is grey.
        b: the visible, CT, PET or SPECT side, of any of the same kinds.
        model: a module that maps (a, b), (B, 1, H, W) each, to (B, 1, H, W), run in its current mode; the name
            of shipped weights, or a file of weights. None is "ivf".
        colour: whose chroma the result gets: "a", "b", "grey" for neither, or "auto": b's if b has colour,
            else a's. If that source is grey, so is the result.
        contrast: factor about the mean of the fused luma; 1 keeps the contrast of the network's output. None takes
            the network's attribute ``contrast``, or 1 if it has none.
        bits: depth of an array result, 8 or 16.
        device: "cpu", "cuda", "cuda:1", ... With "auto", a module stays where it is, and weights go to a CUDA
            GPU if there is one, else to the CPU (not to MPS, where the scan is untested).
        align: a motion model of :func:`mambadfuse.align`, by which a is first moved onto b, whose size may then be
            another; None for a registered pair. See :mod:`mambadfuse.fusion.alignment`.

    Returns:
        If no input is a tensor, an array of uint8 or uint16 (rounded half to even), (H, W) if grey, else
        (H, W, 3). Otherwise a float32 tensor in [0, 1], (C, H, W), or (B, C, H, W) if an input had B.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: the sizes differ; an input is empty, of a wrong shape, not finite or not in [0, 1]; an
            option has an unknown value; the device is not usable here; the output of the model is not an image;
            the pair cannot be aligned.
        TypeError: an input is none of these kinds, or of another dtype.
        CheckpointError: the weights cannot be loaded.
        MemoryError: the images do not fit in memory, not even in tiles.
    """
    check_options(colour, contrast, bits)
    pixels_a, pixels_b = to_float_batch(a, "a"), to_float_batch(b, "b")
    if align is not None:
        pixels_a = moved_onto(pixels_a, pixels_b, align)
    if pixels_a.shape[:3] != pixels_b.shape[:3]:
        names = [f" ({x})" if isinstance(x, str | Path) else "" for x in (a, b)]
        raise ValueError(
            f"a{names[0]} and b{names[1]} must be of one size, found {_size(pixels_a)} and {_size(pixels_b)}"
        )
    fused = _fuse_luma(_luma(pixels_a), _luma(pixels_b), load_model(model, device), contrast)
    chroma = _chroma_source(colour, pixels_a, pixels_b)
    picture = fused[..., None] if chroma is None else _recoloured(fused, chroma)
    tensors = [x for x in (a, b) if isinstance(x, Tensor)]
    if tensors:
        batch = torch.from_numpy(picture).movedim(-1, 1).to(tensors[0].device)
        return batch if any(x.ndim == 4 for x in tensors) else batch[0]
    numbers = np.rint(picture[0] * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return numbers[..., 0] if chroma is None else numbers


def check_options(colour: str, contrast: float | None, bits: int) -> None:
    """Refuses options of :func:`fuse` that it cannot apply.

    Raises:
        ValueError: an option has an unknown value; the message names it.
    """
    if colour not in COLOURS:
        raise ValueError(f"colour must be one of {', '.join(COLOURS)}, found {colour!r}")
    if contrast is not None:
        check_contrast(contrast)
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, found {bits!r}")


def _size(pixels: Floats) -> str:
    count, height, width, _ = pixels.shape
    return f"{width}x{height}" if count == 1 else f"{count} times {width}x{height}"


def _luma(pixels: Floats) -> Floats:
    return pixels[..., 0] if pixels.shape[-1] == 1 else luma(pixels)


def _chroma_source(colour: str, a: Floats, b: Floats) -> Floats | None:
    """The image whose chroma the result gets; None if the result is grey."""
    candidates = {"auto": (b, a), "a": (a,), "b": (b,), "grey": ()}[colour]
    return next((pixels for pixels in candidates if pixels.shape[-1] == 3), None)


def _recoloured(fused: Floats, chroma: Floats) -> Floats:
    """recolour(fused, chroma), band by band, as its temporaries are several times as large as the image."""
    bands = [slice(row, row + _BAND) for row in range(0, fused.shape[1], _BAND)]
    return np.concatenate([recolour(fused[:, rows], chroma[:, rows]) for rows in bands], axis=1)


def _fuse_luma(a: Floats, b: Floats, network: nn.Module, contrast: float | None) -> Floats:
    """postprocess(network(a, b)), all (B, H, W), on the device and in the dtype of the network."""
    batch, height, width = a.shape
    network = within_memory(network, height, width, batch)
    like = next(network.parameters(), torch.empty(0))
    with torch.inference_mode():
        fused = network(*(torch.from_numpy(x)[:, None].to(like) for x in (a, b))).float().cpu()
    expected = (len(a), 1, *a.shape[1:])
    if fused.shape != expected:
        raise ValueError(f"the model must return shape {expected}, found {tuple(fused.shape)}")
    if not fused.isfinite().all():
        raise ValueError("the model returned NaN or infinite values")
    if contrast is None:
        contrast = getattr(network, "contrast", 1.0)
    picture: Floats = postprocess(fused, contrast).numpy()
    return picture[:, 0]


def load_model(model: Model | None = None, device: str = "auto") -> nn.Module:
    """The network that ``model`` stands for, on ``device``; both are those of :func:`fuse`.

    Raises:
        ValueError: the device is not usable here.
        CheckpointError: the weights cannot be loaded.
    """
    if isinstance(model, nn.Module):
        return model if device == "auto" else model.to(_device(device))
    return checkpoints.load("ivf" if model is None else model).to(_device(device))


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but PyTorch sees no usable CUDA GPU here")
    return torch.device(name)
