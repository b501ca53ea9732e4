"""Fusing: two pictures into one with a network, and two folders of pictures into a third."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from mambadfuse.data.colour import Floats, luma, recolour
from mambadfuse.data.images import write_image
from mambadfuse.data.inputs import Source, as_batch
from mambadfuse.data.pairs import LeftOut, Pair, match_pairs
from mambadfuse.fusion.postprocess import check_contrast, postprocess
from mambadfuse.models import checkpoints

Model = str | Path | nn.Module

COLOURS = ("auto", "a", "b", "grey")


def fuse(
    a: Source,
    b: Source,
    model: Model | None = None,
    *,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
) -> NDArray[Any] | Tensor:
    """Fuses two registered pictures of one size into one.

    The network fuses luma, Y' = postprocess(model(Y_a, Y_b), contrast), see :mod:`mambadfuse.fusion.postprocess`;
    chroma is put back by :func:`mambadfuse.data.colour.recolour`. The authors' test script first pads both pictures to
    a multiple of 8; no layer of the network needs that and padding changes values, so it is left out here.

    Args:
        a: infrared or MRI side: a file, a Pillow image, an array, (H, W), (H, W, 1) or (H, W, 3) of bool,
            uint8, uint16 or floats in [0, 1], or a tensor of floats in [0, 1], (H, W), (C, H, W) or
            (B, C, H, W), C = 1 or 3. A picture whose R, G and B nowhere differ by more than 2/255 is grey.
        b: visible, CT, PET or SPECT side, likewise.
        model: a module with model(a, b) on (B, 1, H, W), run in the mode it is in; the name of shipped
            weights, or a file of weights. None is "ivf".
        colour: whose chroma the result gets: "a", "b", "grey" for nobody's, or "auto": b's if b has colour,
            else a's. If that source is grey, so is the result.
        contrast: about the mean of the fused luma; 1 leaves what the network returns. None is the network's own
            attribute ``contrast``, from its configuration; 1 if it has none.
        bits: depth of an array result, 8 or 16.
        device: "cpu", "cuda", "cuda:1", ... A module stays where it is if this is "auto"; weights then go
            to a CUDA GPU if there is one, else to the CPU (not to MPS, where the scan is untested).

    Returns:
        If no input is a tensor, an array of uint8 or uint16 (rounded half to even), (H, W) if grey, else
        (H, W, 3). Otherwise a float32 tensor in [0, 1], (C, H, W), or (B, C, H, W) if an input had B.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: the sizes differ; an input is empty, of a wrong shape, not finite or not in [0, 1]; an
            option has no such value; the model returned something that is no picture.
        TypeError: an input is of another kind or holds numbers of another kind.
    """
    _check_options(colour, contrast, bits)
    pixels_a, pixels_b = as_batch(a, "a"), as_batch(b, "b")
    if pixels_a.shape[:3] != pixels_b.shape[:3]:
        names = [f" ({x})" if isinstance(x, str | Path) else "" for x in (a, b)]
        raise ValueError(
            f"a{names[0]} and b{names[1]} must be of one size, found {_size(pixels_a)} and {_size(pixels_b)}"
        )
    fused = _fuse_luma(_luma(pixels_a), _luma(pixels_b), load_model(model, device), contrast)
    chroma = _chroma_source(colour, pixels_a, pixels_b)
    picture = fused[..., None] if chroma is None else recolour(fused, chroma)
    tensors = [x for x in (a, b) if isinstance(x, Tensor)]
    if tensors:
        batch = torch.from_numpy(picture).movedim(-1, 1).to(tensors[0].device)
        return batch if any(x.ndim == 4 for x in tensors) else batch[0]
    numbers = np.rint(picture[0] * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return numbers[..., 0] if chroma is None else numbers


def _check_options(colour: str, contrast: float | None, bits: int) -> None:
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
    """The picture that lends its chroma; None if the result is to be grey."""
    candidates = {"auto": (b, a), "a": (a,), "b": (b,), "grey": ()}[colour]
    return next((pixels for pixels in candidates if pixels.shape[-1] == 3), None)


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
    finished: Floats = postprocess(
        fused, getattr(network, "contrast", 1.0) if contrast is None else contrast
    ).numpy()
    return finished[:, 0]


def load_model(model: Model | None = None, device: str = "auto") -> nn.Module:
    """The network meant by ``model``, on the device meant by ``device``; both as in :func:`fuse`.

    Raises:
        ValueError: the device is not usable here.
        Exception: whatever :func:`mambadfuse.models.checkpoints.load` raises.
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


@dataclass(frozen=True)
class Failure:
    """A pair that could not be fused, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class FolderReport:
    """What became of every file of two folders.

    Attributes:
        written: results made in this run.
        kept: results that were there already and were left alone.
        failed: pairs without a result.
        unmatched: files that are in no pair.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    failed: tuple[Failure, ...]
    unmatched: tuple[LeftOut, ...]

    @property
    def complete(self) -> bool:
        """Whether every file is in a pair and every pair has its result."""
        return not self.failed and not self.unmatched


def fuse_folders(
    folder_a: str | Path,
    folder_b: str | Path,
    out: str | Path,
    model: Model | None = None,
    *,
    overwrite: bool = False,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
    progress: bool = True,
) -> FolderReport:
    """Fuses two folders of pictures, paired by name, into ``out/<name>.png``, sub-folders included.

    A pair that fails is reported and the others still finish; a file appears only when it is complete.

    Args:
        folder_a: the a sides of :func:`fuse`.
        folder_b: the b sides.
        out: folder of the results, made if it is not there; neither of the two others.
        model: as in :func:`fuse`.
        overwrite: whether to make results again that are there already.
        colour: as in :func:`fuse`.
        contrast: as in :func:`fuse`.
        bits: as in :func:`fuse`.
        device: as in :func:`fuse`.
        progress: whether to show a progress bar.

    Raises:
        PairError: the folders have no pair.
        ValueError: ``out`` is one of the folders, an option has no such value, or the device is not usable here.
        OSError: ``out`` cannot be made.
        Exception: whatever :func:`mambadfuse.models.checkpoints.load` raises.
    """
    matching = match_pairs(folder_a, folder_b)
    if any(Path(out).resolve().is_relative_to(Path(folder).resolve()) for folder in (folder_a, folder_b)):
        raise ValueError(f"{out}: the results need a folder of their own, outside the sources")
    network = load_model(model, device)
    report = fuse_pairs(
        matching.pairs, out, network, overwrite=overwrite, colour=colour, contrast=contrast, bits=bits,
        progress=progress,
    )  # fmt: skip
    return replace(report, unmatched=matching.left_out)


def fuse_pairs(
    pairs: Sequence[Pair],
    out: str | Path,
    network: nn.Module,
    *,
    overwrite: bool = False,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    progress: bool = True,
) -> FolderReport:
    """Fuses a list of pairs into ``out/<name>.png``; the rest is as in :func:`fuse_folders`."""
    _check_options(colour, contrast, bits)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written, kept, failed = [], [], []
    for pair in tqdm(pairs, desc="fuse", unit="pair", disable=not progress):
        target = out / f"{pair.name}.png"
        if target.exists() and not overwrite:
            kept.append(target)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fused = fuse(pair.a, pair.b, network, colour=colour, contrast=contrast, bits=bits)
            write_image(target, np.asarray(fused))
            written.append(target)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            failed.append(Failure(pair.name, str(error) or type(error).__name__))
    return FolderReport(tuple(written), tuple(kept), tuple(failed), ())
