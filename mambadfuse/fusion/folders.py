"""Fusing many pairs: folders of images into a folder of results."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import read_values, write_image
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import Pair, PairError, PairSet, files_below, pictures_by_name
from mambadfuse.data.stretch import Stretch, StretchLike, require_finite
from mambadfuse.fusion.pair import Model, check_options, fuse, load_model

_log = logging.getLogger("mambadfuse")


@dataclass(frozen=True)
class FusionReport:
    """What became of every pair and of every other file.

    Attributes:
        written: results of this run.
        kept: results that existed before and were left alone.
        failed: pairs without a result, by name.
        skipped: files that are in no pair.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    failed: tuple[Issue, ...]
    skipped: tuple[Issue, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file is in a pair and every pair has its result."""
        return not self.failed and not self.skipped


def fuse_folders(
    a: str | Path,
    b: str | Path | None,
    out: str | Path,
    model: Model | None = None,
    *,
    overwrite: bool = False,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    device: str = "auto",
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    stretch_each: bool = False,
    resize: str | None = None,
    alpha: str = "black",
    progress: bool = True,
) -> FusionReport:
    """Fuses the pairs of two folders, or of one folder that holds both sides, into ``out/<name>.png``.

    The pairs and their names are those of :func:`mambadfuse.data.discovery.find_pairs`. A pair that fails is
    reported, and the others are still fused; a file appears only when it is complete. Of several warnings of one kind
    only the first is logged in full.

    >>> from tempfile import TemporaryDirectory
    >>> import mambadfuse as mdf
    >>> from mambadfuse.resources import resource_folder
    >>> images = resource_folder("data_samples") / "ct-mri"
    >>> with TemporaryDirectory() as out:
    ...     report = mdf.fuse_folders(images / "mri", images / "ct", out, "ct-mri", progress=False)
    >>> [path.name for path in report.written], report.complete
    (['icbm152_simulated_z16.png'], True)

    Args:
        a: the folder of the a sides of :func:`mambadfuse.fuse`, or of both sides.
        b: the folder of the b sides; None or ``a`` if both sides lie below ``a``.
        out: the folder of the results, created if missing; outside ``a`` and ``b``.
        model: as in :func:`mambadfuse.fuse`.
        overwrite: whether to fuse pairs again that already have a result.
        colour: as in :func:`mambadfuse.fuse`.
        contrast: as in :func:`mambadfuse.fuse`.
        bits: as in :func:`mambadfuse.fuse`.
        device: as in :func:`mambadfuse.fuse`.
        stretch: as in :func:`mambadfuse.fuse`; percentiles are those of all a sides together.
        stretch_b: the same for the b sides.
        stretch_each: whether percentiles are instead those of each image.
        resize: as in :func:`mambadfuse.fuse`.
        alpha: as in :func:`mambadfuse.fuse`; with "a", the pairs are the images of ``a``, and ``b`` is None or ``a``.
        progress: whether to show a progress bar.

    Raises:
        PairError: the folders hold no pair.
        ValueError: ``out`` is in one of the folders, an option has an unknown value, or the device is not usable here.
        OSError: ``out`` cannot be created.
        CheckpointError: the weights cannot be loaded.
    """
    check_options(colour, contrast, bits, resize, alpha)
    found = images_with_alpha(a, b) if alpha == "a" else find_pairs(a, b)
    require_outside(out, found.folder_a, found.folder_b)
    if not stretch_each:
        stretch, stretch_b = windows(found.pairs, stretch, stretch_b, alpha)
    network = load_model(model, device)
    report = fuse_pairs(
        found.pairs,
        out,
        network,
        overwrite=overwrite,
        colour=colour,
        contrast=contrast,
        bits=bits,
        stretch=stretch,
        stretch_b=stretch_b,
        resize=resize,
        alpha=alpha,
        progress=progress,
    )
    return replace(report, skipped=problems(found.issues))


def fuse_pairs(
    pairs: Sequence[Pair],
    out: str | Path,
    network: nn.Module,
    *,
    overwrite: bool = False,
    colour: str = "auto",
    contrast: float | None = None,
    bits: int = 8,
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    resize: str | None = None,
    alpha: str = "black",
    progress: bool = True,
) -> FusionReport:
    """Fuses a list of pairs into ``out/<name>.png``.

    Percentiles are those of each image (:func:`windows` takes those of all); everything else is as in
    :func:`fuse_folders`.
    """
    check_options(colour, contrast, bits, resize, alpha)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    written, kept, failed = [], [], []
    with first_of_each_warning():
        for pair in tqdm(pairs, desc="fuse", unit="pair", disable=not progress):
            target = out / f"{pair.name}.png"
            if target.exists() and not overwrite:
                kept.append(target)
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                fused = fuse(
                    pair.a,
                    pair.b,
                    network,
                    colour=colour,
                    contrast=contrast,
                    bits=bits,
                    stretch=stretch,
                    stretch_b=stretch_b,
                    resize=resize,
                    alpha=alpha,
                )
                write_image(target, np.asarray(fused))
                written.append(target)
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                failed.append(Issue(pair.name, str(error) or type(error).__name__))
    return FusionReport(tuple(written), tuple(kept), tuple(failed))


def windows(
    pairs: Sequence[Pair],
    stretch: StretchLike | Stretch | None,
    stretch_b: StretchLike | Stretch | None,
    alpha: str = "black",
) -> tuple[Stretch | None, Stretch | None]:
    """The values at percentiles of all a sides together, and of all b sides; images that cannot be read are left out.

    Raises:
        ValueError: no image of a side can be read, or all have the same value at both percentiles.
    """
    alpha_a, alpha_b = ("only", "ignore") if alpha == "a" else (alpha, alpha)

    def window(
        bounds: StretchLike | Stretch | None, files: list[Path], how: str, side: str
    ) -> Stretch | None:
        try:
            return None if bounds is None else Stretch.of(bounds).window(_readable(files, how), len(files))
        except ValueError as error:
            raise ValueError(f"side {side} {error}") from None

    return (
        window(stretch, [pair.a for pair in pairs], alpha_a, "a"),
        window(stretch_b, [pair.b for pair in pairs], alpha_b, "b"),
    )


def _readable(files: Sequence[Path], alpha: str) -> Iterator[NDArray[Any]]:
    """The stored values of the files that can be read."""
    for file in files:
        try:
            values = read_values(file, alpha=alpha)
            require_finite(values)
        except ValueError:
            continue
        yield values


def images_with_alpha(a: str | Path, b: str | Path | None = None) -> PairSet:
    """Every image of a folder as both sides of a pair, for thermal images stored as an alpha channel.

    Raises:
        PairError: the folder is missing or holds no images.
        ValueError: ``b`` is another folder.
    """
    folder = Path(a)
    files, issues = pictures_by_name(files_below(folder), folder)
    if b is not None and not folder.samefile(b):
        raise ValueError(f'alpha="a" takes both sides from {a}, but b is another folder, {b}')
    if not files:
        raise PairError(issues[0])
    pairs = tuple(Pair(name, file, file) for name, file in sorted(files.items()))
    return PairSet(folder, folder, pairs, tuple(issues))


@contextmanager
def first_of_each_warning() -> Iterator[None]:
    """Logs of the warnings about images only the first of each kind, and at the end how many more there were."""
    names: dict[str, list[object]] = defaultdict(list)

    def is_first(record: logging.LogRecord) -> bool:
        if not (record.msg.startswith("%s: ") and isinstance(record.args, tuple)):
            return True
        names[record.msg].append(record.args[0])
        return len(names[record.msg]) == 1

    _log.addFilter(is_first)
    try:
        yield
    finally:
        _log.removeFilter(is_first)
        for first, *more in names.values():
            if more:
                _log.warning(
                    "%s: %d more like it, which mambadfuse data check --decode names", first, len(more)
                )


def require_outside(out: str | Path, *sources: Path) -> None:
    """Refuses a folder of results that lies in a folder of sources.

    Raises:
        ValueError: it does.
    """
    if any(Path(out).resolve().is_relative_to(source.resolve()) for source in sources):
        raise ValueError(f"{out}: the results need a folder of their own, outside the sources")
