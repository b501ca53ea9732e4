"""Fusing one pair: two images into one with a network."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mambadfuse.data.colour import Floats, luma, recolour
from mambadfuse.data.inputs import ImageLike
from mambadfuse.data.reading import PairReading, require_one_size
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.fusion.alignment import moved_onto, warn_if_unregistered
from mambadfuse.fusion.memory import FittingTiles, require_room_for, within_memory
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.models import checkpoints

Model = str | Path | nn.Module

_BAND = 256  # rows


def fuse(
    a: ImageLike,
    b: ImageLike,
    model: Model | None = None,
    *,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    resize: str | None = None,
    alpha: str = "black",
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
        stretch: the values of a that become black and white, ``(29115, 31115)``, or their percentiles in a,
            ``("1%", "99%")``; an array of any integers or floats may then be given.
        stretch_b: the same for b.
        resize: the side, "a" or "b", that is resized to the size of the other (Lanczos, or the mean of areas where it
            shrinks); None refuses sides of different size.
        alpha: what becomes of the alpha channel of a file or Pillow image: "black" lays the image on black by it,
            "ignore" leaves it out, and "a" takes that of ``a`` as side a, and leaves out that of ``b``: for thermal
            images stored as the alpha channel of visible ones, where a and b are the same file.
        align: a motion model of :func:`mambadfuse.align`, by which a is first moved onto b, whose size may then be
            another; see :mod:`mambadfuse.fusion.alignment`. With None, a pair that does not look registered is
            fused as it is, with a warning.

    Returns:
        If no input is a tensor, an array of uint8 or uint16 (rounded half to even), (H, W) if grey, else
        (H, W, 3). Otherwise a float32 tensor in [0, 1], (C, H, W), or (B, C, H, W) if an input had B.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: the pair cannot be aligned; the sizes differ, or with ``resize`` the aspect ratios, by more than
            2 %; an input is empty, of a wrong shape, masked, not finite or not in [0, 1]; an option has an unknown
            value; the device is not usable here; the output of the model is not an image.
        TypeError: an input is none of these kinds, or of another dtype.
        CheckpointError: the weights cannot be loaded.
        MemoryError: the images do not fit in memory, not even in tiles.
    """
    options = FusionOptions(colour, contrast, bits, PairReading.of(stretch, stretch_b, resize, alpha), align)
    return fuse_with(load_model(model, device), a, b, options).image


class Fused(NamedTuple):
    """A fused image and the network that fused it, in tiles if memory was too small to do without."""

    image: NDArray[Any] | Tensor
    network: nn.Module

    @property
    def tile(self) -> int | None:
        """The side of these tiles; None if there was no need for them."""
        return self.network.size if isinstance(self.network, FittingTiles) else None


def fuse_with(
    network: nn.Module, a: ImageLike, b: ImageLike, options: FusionOptions, warn: bool = True
) -> Fused:
    """Fuses one pair as :func:`fuse` does, and says which tiles were chosen.

    Args:
        network: that fuses.
        a: as in :func:`fuse`.
        b: as there.
        options: of fusing.
        warn: whether to warn of a pair that does not look registered.
    """
    require_room_for(a, b)
    pixels_a, pixels_b = options.reading.read(a, b)
    if options.align is not None:
        pixels_a = moved_onto(pixels_a, pixels_b, options.align, (a, b))
    require_one_size(pixels_a, pixels_b, (a, b))
    batch, height, width, _ = pixels_a.shape
    fitting = within_memory(network, height, width, batch)
    if warn and options.align is None:
        warn_if_unregistered(pixels_a, pixels_b, (a, b))
    fused = _fuse_luma(_luma(pixels_a), _luma(pixels_b), fitting, options.contrast)
    chroma = _chroma_source(options.colour, pixels_a, pixels_b)
    picture = fused[..., None] if chroma is None else _recoloured(fused, chroma)
    return Fused(_like_sources(picture, (a, b), options.bits), fitting)


def _like_sources(picture: Floats, sources: tuple[ImageLike, ImageLike], bits: int) -> NDArray[Any] | Tensor:
    """An image, (B, H, W, C), as a tensor if a source is one, else as an array of integers."""
    tensors = [x for x in sources if isinstance(x, Tensor)]
    if tensors:
        batch = torch.from_numpy(picture).movedim(-1, 1).to(tensors[0].device)
        return batch if any(x.ndim == 4 for x in tensors) else batch[0]
    numbers = np.rint(picture[0] * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return numbers[..., 0] if numbers.shape[-1] == 1 else numbers


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
        return model if device == "auto" else model.to(usable_device(device))
    return checkpoints.load("ivf" if model is None else model).to(usable_device(device))


def usable_device(name: str) -> str:
    """The device that a name stands for; "auto" is a CUDA GPU if there is one, else the CPU.

    Raises:
        ValueError: it is not usable here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but PyTorch sees no usable CUDA GPU here")
    return name
