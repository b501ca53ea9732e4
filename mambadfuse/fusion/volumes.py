"""Fusing volumes: slices of two scans of one head, one by one, into images or a volume."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mambadfuse.data.images import WRITTEN, write_image
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.data.volumes import Volume, is_nifti, read_volume, require_same_grid, write_nifti
from mambadfuse.files import make_folder
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import Model, fuse_with, load_model

DEFAULT_STRETCH = ("0.5%", "99.5%")


def fuse_volumes(
    a: str | Path,
    b: str | Path,
    out: str | Path,
    model: Model | None = None,
    *,
    plane: str = "axial",
    index: int | None = None,
    overwrite: bool = False,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
) -> tuple[Path, ...]:
    """Fuses two registered volumes on one grid, slice by slice; each slice is fused by :func:`mambadfuse.fuse`.

    The name of ``out`` says what is written: an image file, one slice; a NIfTI file (.nii, .nii.gz), all slices as a
    volume with the affine of side a, turned to the orientation closest to RAS+; anything else is a folder, with
    all slices as ``000.png``, ``001.png``, ...

    Args:
        a: the MRI side: a NIfTI file, a DICOM file, or the folder of a DICOM series.
        b: the CT, PET or SPECT side, of any of these kinds.
        out: file or folder of the result.
        model: as in :func:`mambadfuse.fuse`.
        plane: "axial", "coronal" or "sagittal".
        index: which slice, counted from the feet, the back or the left; None is the middle one.
        overwrite: whether to replace what exists.
        colour: as in :func:`mambadfuse.fuse`.
        contrast: as in :func:`mambadfuse.fuse`.
        bits: as in :func:`mambadfuse.fuse`; 8 for colour in a NIfTI file.
        device: as in :func:`mambadfuse.fuse`.
        stretch: as in :func:`mambadfuse.fuse`; percentiles are those of the whole volume. None is 0.5% and 99.5%.
        stretch_b: the same for side b, such as ``(0, 80)`` Hounsfield units for the brain in a CT.

    Returns:
        The files that were written.

    Raises:
        ImageError: a volume cannot be read.
        ImportError: the extra ``medical`` is not installed.
        FileExistsError: a file to write exists, and ``overwrite`` is false.
        ValueError: the volumes lie on different grids, or an option has an unknown value.
        CheckpointError: the weights cannot be loaded.
    """
    options = FusionOptions(colour, contrast, bits)
    out = Path(out)
    volume_a, volume_b = read_volume(a), read_volume(b)
    require_same_grid(volume_a, volume_b)
    count = volume_a.count(plane)
    one = out.suffix.lower() in WRITTEN
    chosen: Sequence[int] = [count // 2 if index is None else index] if one else range(count)
    targets = [out] if one or is_nifti(out) else [out / f"{i:03}.png" for i in chosen]
    for target in targets:
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target}: exists already (--overwrite replaces it)")
    network = load_model(model, device)
    fused = _slices(
        network,
        (volume_a, _window(volume_a, stretch)),
        (volume_b, _window(volume_b, stretch_b)),
        plane,
        chosen,
        options,
    )
    make_folder(targets[0].parent)
    if is_nifti(out):
        write_nifti(out, list(fused), plane, volume_a)
    else:
        for target, image in zip(targets, fused, strict=True):
            write_image(target, image)
    return tuple(targets)


def _window(volume: Volume, stretch: StretchLike | Stretch | None) -> Stretch:
    return Stretch.of(DEFAULT_STRETCH if stretch is None else stretch).window([volume.values])


def _slices(
    network: nn.Module,
    a: tuple[Volume, Stretch],
    b: tuple[Volume, Stretch],
    plane: str,
    chosen: Sequence[int],
    options: FusionOptions,
) -> Iterator[NDArray[Any]]:
    """The fused slices, one after the other."""
    for i in chosen:
        slice_a, slice_b = (window.apply(volume.slice(plane, i)) for volume, window in (a, b))
        yield np.asarray(fuse_with(network, slice_a, slice_b, options, warn=False).image)
