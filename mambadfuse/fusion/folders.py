"""Fusing many pairs: folders of images into a folder of results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import write_image
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import Pair
from mambadfuse.fusion.pair import Model, check_options, fuse, load_model


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
    align: str | None = None,
    progress: bool = True,
) -> FusionReport:
    """Fuses the pairs of two folders, or of one folder that holds both sides, into ``out/<name>.png``.

    The pairs and their names are those of :func:`mambadfuse.data.discovery.find_pairs`. A pair that fails is
    reported, and the others are still fused; a file appears only when it is complete.

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
        align: as in :func:`mambadfuse.fuse`.
        progress: whether to show a progress bar.

    Raises:
        PairError: the folders hold no pair.
        ValueError: ``out`` is in one of the folders, an option has an unknown value, or the device is not usable here.
        OSError: ``out`` cannot be created.
        CheckpointError: the weights cannot be loaded.
    """
    found = find_pairs(a, b)
    require_outside(out, found.folder_a, found.folder_b)
    network = load_model(model, device)
    report = fuse_pairs(
        found.pairs,
        out,
        network,
        overwrite=overwrite,
        colour=colour,
        contrast=contrast,
        bits=bits,
        align=align,
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
    align: str | None = None,
    progress: bool = True,
) -> FusionReport:
    """Fuses a list of pairs into ``out/<name>.png``; everything else is as in :func:`fuse_folders`."""
    check_options(colour, contrast, bits)
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
            fused = fuse(pair.a, pair.b, network, colour=colour, contrast=contrast, bits=bits, align=align)
            write_image(target, np.asarray(fused))
            written.append(target)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            failed.append(Issue(pair.name, str(error) or type(error).__name__))
    return FusionReport(tuple(written), tuple(kept), tuple(failed))


def require_outside(out: str | Path, *sources: Path) -> None:
    """Refuses a folder of results that lies in a folder of sources.

    Raises:
        ValueError: it does.
    """
    if any(Path(out).resolve().is_relative_to(source.resolve()) for source in sources):
        raise ValueError(f"{out}: the results need a folder of their own, outside the sources")
