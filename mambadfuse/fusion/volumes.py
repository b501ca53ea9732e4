"""Fusing volumes: slices of two scans of one head, one by one, into images or a volume."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from mambadfuse.data.images import FORMATS, WRITTEN, write_image
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import Pair, PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.data.volume_pairs import find_volume_pairs
from mambadfuse.data.volumes import AXES, DICOM, Volume, is_nifti, read_volume, require_same_grid, write_nifti
from mambadfuse.files import made_folder, require_apart
from mambadfuse.fusion.folders import FusionReport, require_outside
from mambadfuse.fusion.manifest import (
    RunRecord,
    Settings,
    manifest_of_pair,
    recording,
    settings_of,
    why_outdated,
)
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import Fused, Model, fuse_with, load_model

DEFAULT_STRETCH = ("0.5%", "99.5%")


@dataclass(frozen=True)
class VolumeOptions:
    """How volumes are fused.

    Attributes:
        plane: "axial", "coronal" or "sagittal".
        index: which slice, counted from the feet, the back or the left; None is the middle one where a single slice is
            written.
        colour: as in :func:`mambadfuse.fuse`.
        contrast: as there.
        bits: as there; 8 for colour in a NIfTI file.
        stretch: as there; percentiles are those of each volume. None is 0.5% and 99.5%.
        stretch_b: the same for side b, such as ``(0, 80)`` Hounsfield units for the brain in a CT.

    Raises:
        ValueError: an option has an unknown value.
    """

    plane: str = "axial"
    index: int | None = None
    colour: str = "auto"
    contrast: float | None = None
    bits: int = 8
    stretch: StretchLike | Stretch | None = None
    stretch_b: StretchLike | Stretch | None = None

    def __post_init__(self) -> None:
        if self.plane not in AXES:
            raise ValueError(f"plane must be one of {', '.join(AXES)}, found {self.plane!r}")
        self.of_a_slice()

    def of_a_slice(self) -> FusionOptions:
        """Those of them that decide how a slice is fused."""
        reading = PairReading.of(self.stretch, self.stretch_b)
        return FusionOptions(self.colour, self.contrast, self.bits, reading)


AS_THEY_ARE = VolumeOptions()


def fuse_volumes(
    a: str | Path,
    b: str | Path,
    out: str | Path,
    model: Model | None = None,
    options: VolumeOptions = AS_THEY_ARE,
    *,
    overwrite: bool = False,
    device: str = "auto",
) -> tuple[Path, ...]:
    """Fuses two registered volumes on one grid, slice by slice; each slice is fused by :func:`mambadfuse.fuse`.

    The name of ``out`` says what is written: an image file, one slice; a NIfTI file (.nii, .nii.gz), all slices as a
    volume with the affine of side a, turned to the orientation closest to RAS+; anything else is a folder, with
    all slices as ``000.png``, ``001.png``, ... A hidden file beside the result records how it was made.

    Args:
        a: the MRI side: a NIfTI file, a DICOM file, or the folder of a DICOM series.
        b: the CT, PET or SPECT side, of any of these kinds.
        out: file or folder of the result.
        model: as in :func:`mambadfuse.fuse`.
        options: of fusing.
        overwrite: whether to replace what exists.
        device: as in :func:`mambadfuse.fuse`.

    Returns:
        The files that were written.

    Raises:
        ImageError: a volume cannot be read.
        ImportError: the extra ``medical`` is not installed.
        FileExistsError: a file to write exists, and ``overwrite`` is false.
        ValueError: the volumes lie on different grids, one has no range of values, there is no such slice, or ``out``
            is no image file though one slice is chosen, or has the suffix of a format that is not written.
        CheckpointError: the weights cannot be loaded.
        BusyError: another process is writing this result.
        OSError: the folder of ``out`` cannot be written to.
    """
    out, pair = Path(out), (Path(a), Path(b))
    _require_name(out, options)
    volumes = _read(*pair)
    targets = _targets(out, volumes[0], options)
    for target in targets:
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target}: exists already (--overwrite replaces it)")
    network = load_model(model, device)
    with manifest_of_pair(targets, pair, _settings(network, model, options), overwrite=True) as record:
        _write(out, targets, volumes, network, options, record)
    return tuple(targets)


def fuse_volume_folders(
    a: str | Path | PairSet,
    b: str | Path | None,
    out: str | Path,
    model: Model | None = None,
    options: VolumeOptions = AS_THEY_ARE,
    *,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> FusionReport:
    """Fuses the pairs of volumes in two folders, or in one, into ``out/<name>.nii.gz``, or one slice of each.

    The pairs are those of :func:`mambadfuse.data.volume_pairs.find_volume_pairs`. A pair that fails is reported, and
    the others are still fused. Results are kept, made again or refused as by :func:`mambadfuse.fuse_folders`.

    Args:
        a: the folder of the MRI side, or of both sides; or a file of pairs; or the pairs themselves.
        b: the folder of the other side; None or ``a`` if both lie below ``a``.
        out: the folder of the results, created if missing, outside the sources.
        model: as in :func:`fuse_volumes`.
        options: as there; without ``index`` volumes are made, with it this slice of each, ``out/<name>.png``.
        overwrite: whether to fuse pairs again that already have a result.
        device: as in :func:`fuse_volumes`.
        progress: whether to show a progress bar.

    Raises:
        PairError: there is no pair.
        ValueError: ``out`` overlaps with the sources; or a result exists that was made with other or unknown settings.
        BusyError: another process is writing these results.
        OSError: ``out`` cannot be created.
        ImportError: the extra ``medical`` is not installed.
        CheckpointError: the weights cannot be loaded.
    """
    out = Path(out)
    found = find_volume_pairs(a, b)
    targets = results_of_volumes(found.pairs, out, options)
    searched = [Path(x) for x in (a, b) if isinstance(x, str | Path)]
    sides = [side for pair in found.pairs for side in (pair.a, pair.b)]
    require_outside(out, *found.folders, *filter(Path.is_dir, searched))
    require_apart(targets.values(), sides, [side for side in sides if side.is_dir()])
    network = load_model(model, device)
    settings = _settings(network, model, options)
    written, kept, failed, outdated = [], [], [], []
    with recording(out, list(targets.values()), settings, overwrite) as record:
        for pair in tqdm(found.pairs, desc="fuse", unit="pair", disable=not progress):
            target = targets[pair.name]
            reason = why_outdated(target, (pair.a, pair.b)) if target.exists() and not overwrite else None
            if target.exists() and not overwrite and reason is None:
                kept.append(target)
                continue
            try:
                with made_folder(target.parent):
                    _write(target, [target], _read(pair.a, pair.b), network, options, record)
                written.append(target)
                outdated += [Issue(target, reason)] if reason else []
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                failed.append(Issue(pair.name, str(error) or type(error).__name__))
    return FusionReport(tuple(written), tuple(kept), tuple(failed), problems(found.issues), tuple(outdated))


def results_of_volumes(pairs: Sequence[Pair], out: Path, options: VolumeOptions) -> dict[str, Path]:
    """The file of the result of each pair that :func:`fuse_volume_folders` writes, by the name of the pair."""
    suffix = ".nii.gz" if options.index is None else ".png"
    return {pair.name: out / f"{pair.name}{suffix}" for pair in pairs}


def _settings(network: nn.Module, model: Model | None, options: VolumeOptions) -> Settings:
    name = type(model).__name__ if isinstance(model, nn.Module) else str(model or "ivf")
    settings = settings_of(network, name, options.of_a_slice())
    return settings | {"plane": options.plane, "slice": options.index}


def _read(a: Path, b: Path) -> tuple[Volume, Volume]:
    volumes = read_volume(a), read_volume(b)
    require_same_grid(*volumes)
    return volumes


def _require_name(out: Path, options: VolumeOptions) -> None:
    """Refuses a name of a result that does not say what the options ask for.

    Raises:
        ValueError: one slice is chosen, but this is no image file; or its suffix names a format that is not written.
    """
    suffix = out.suffix.lower()
    if suffix in WRITTEN:
        return
    if options.index is not None:
        raise ValueError(
            f"{out}: a single slice (--slice {options.index}) is written into an image file: {', '.join(WRITTEN)}"
        )
    if suffix in FORMATS or suffix in DICOM:
        raise ValueError(
            f"{out}: its suffix {out.suffix!r} names no format written here: {', '.join(WRITTEN)} for one slice, "
            ".nii or .nii.gz for a volume, none for a folder of slices"
        )


def _targets(out: Path, volume: Volume, options: VolumeOptions) -> list[Path]:
    """The files that are written for one pair."""
    if out.suffix.lower() in WRITTEN or is_nifti(out):
        return [out]
    return [out / f"{i:03}.png" for i in range(volume.count(options.plane))]


def _write(
    out: Path,
    targets: Sequence[Path],
    volumes: tuple[Volume, Volume],
    network: nn.Module,
    options: VolumeOptions,
    record: RunRecord,
) -> None:
    """Fuses one pair; its slices in tiles if memory is too small to do without."""
    count = volumes[0].count(options.plane)
    middle = count // 2 if options.index is None else options.index
    chosen = [middle] if out.suffix.lower() in WRITTEN else range(count)
    fused = _slices(network, volumes, chosen, options)
    if is_nifti(out):
        slices = list(fused)
        tile = min((one.tile for one in slices if one.tile), default=None)
        images = [np.asarray(one.image) for one in slices]
        write_nifti(out, images, options.plane, volumes[0], record.of(out, tile))
    else:
        for target, one in zip(targets, fused, strict=True):
            write_image(target, np.asarray(one.image), record.of(target, one.tile))


def _slices(
    network: nn.Module, volumes: tuple[Volume, Volume], chosen: Sequence[int], options: VolumeOptions
) -> Iterator[Fused]:
    """The fused slices, one after the other, in tiles of one size unless memory shrinks meanwhile."""
    windows = [
        _window(volume, stretch or DEFAULT_STRETCH, side)
        for volume, stretch, side in zip(volumes, (options.stretch, options.stretch_b), "ab", strict=True)
    ]
    stretched = replace(options.of_a_slice(), reading=PairReading())
    for i in chosen:
        a, b = (
            window.apply(volume.slice(options.plane, i))
            for volume, window in zip(volumes, windows, strict=True)
        )
        fused = fuse_with(network, a, b, stretched, warn=False)
        network = fused.network
        yield fused


def _window(volume: Volume, stretch: StretchLike | Stretch, side: str) -> Stretch:
    try:
        return Stretch.of(stretch).window([volume.values])
    except ValueError as error:
        raise ValueError(f"side {side} {error}") from None
