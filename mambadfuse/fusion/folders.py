"""Fusing many pairs: folders of images into a folder of results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from mambadfuse.data.images import write_image
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import Pair, PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.remarks import first_of_each_kind
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.files import made_folder, require_apart
from mambadfuse.fusion.manifest import manifest, settings_of, why_outdated
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import Model, fuse_with, load_model


@dataclass(frozen=True)
class FusionReport:
    """What became of every pair and of every other file.

    Attributes:
        written: results of this run.
        kept: results that existed before and were left alone.
        failed: pairs without a result, by name.
        skipped: files that are in no pair.
        outdated: those of ``written`` that replaced a result which was empty, damaged or older than a source.
    """

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    failed: tuple[Issue, ...]
    skipped: tuple[Issue, ...] = ()
    outdated: tuple[Issue, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file is in a pair and every pair has its result."""
        return not self.failed and not self.skipped


def fuse_folders(
    a: str | Path | PairSet,
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
    align: str | None = None,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> FusionReport:
    """Fuses the pairs of two folders, or of one folder that holds both sides, into ``out/<name>.png``.

    The pairs and their names are those of :func:`mambadfuse.data.discovery.find_pairs`. A pair that fails is
    reported, and the others are still fused; a file appears only when it is complete. An existing result is kept if it
    was made with the same weights and options, which a hidden file beside it records, and is made again if it is empty,
    damaged or older than one of its sources. Of several warnings of one kind only the first is logged in full.

    >>> from tempfile import TemporaryDirectory
    >>> import mambadfuse as mdf
    >>> from mambadfuse.resources import resource_folder
    >>> images = resource_folder("data_samples") / "ct-mri"
    >>> with TemporaryDirectory() as out:
    ...     report = mdf.fuse_folders(images / "mri", images / "ct", out, "ct-mri", progress=False)
    >>> [path.name for path in report.written], report.complete
    (['icbm152_simulated_z16.png'], True)

    Args:
        a: the folder of the a sides of :func:`mambadfuse.fuse`, or of both sides; or the pairs themselves.
        b: the folder of the b sides; None or ``a`` if both sides lie below ``a``.
        out: the folder of the results, created if missing; neither in ``a`` or ``b`` nor around them.
        model: as in :func:`mambadfuse.fuse`.
        overwrite: whether to fuse pairs again that already have a result, also one of other settings.
        colour: as in :func:`mambadfuse.fuse`.
        contrast: as in :func:`mambadfuse.fuse`.
        bits: as in :func:`mambadfuse.fuse`.
        device: as in :func:`mambadfuse.fuse`.
        stretch: as in :func:`mambadfuse.fuse`; percentiles are those of all a sides together.
        stretch_b: the same for the b sides.
        stretch_each: whether percentiles are instead those of each image.
        resize: as in :func:`mambadfuse.fuse`.
        alpha: as in :func:`mambadfuse.fuse`; with "a", the pairs are the images of ``a``, and ``b`` is None or ``a``.
        align: as in :func:`mambadfuse.fuse`.
        shard: (3, 16) fuses the third of 16 equal parts of the pairs alone; several processes may fuse one part each.
        progress: whether to show a progress bar.

    Raises:
        PairError: the folders hold no pair.
        ValueError: ``out`` overlaps with a folder of sources, or a result would replace a source; a result exists that
            was made with other or unknown settings; an option has an unknown value; or the device is not usable here.
        BusyError: another process is writing these results.
        OSError: ``out`` cannot be created.
        CheckpointError: the weights cannot be loaded.
    """
    reading = PairReading.of(stretch, stretch_b, resize, alpha)
    options = FusionOptions(colour, contrast, bits, reading, align)
    found = reading.find_pairs(a, b)
    searched = (Path(x) for x in (a, b) if isinstance(x, str | Path))
    require_outside(out, *found.folders, *filter(Path.is_dir, searched))
    require_apart((result_file(Path(out), pair) for pair in found.pairs), found.files, found.folders)
    if not stretch_each:
        options = replace(options, reading=reading.over(found.pairs))
    if shard:
        found = found.shard(*shard)
    report = fuse_pairs(
        found.pairs,
        out,
        load_model(model, device),
        type(model).__name__ if isinstance(model, nn.Module) else str(model or "ivf"),
        options,
        overwrite=overwrite,
        shard=shard,
        progress=progress,
    )
    return replace(report, skipped=problems(found.issues))


def fuse_pairs(
    pairs: Sequence[Pair],
    out: str | Path,
    network: nn.Module,
    model: str,
    options: FusionOptions,
    *,
    overwrite: bool = False,
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> FusionReport:
    """Fuses a list of pairs into ``out/<name>.png``, all read in the same way; else as :func:`fuse_folders`.

    Args:
        pairs: those of the shard, if there is one.
        out: the folder of the results.
        network: that fuses.
        model: its name, for messages.
        options: of fusing.
        overwrite: as in :func:`fuse_folders`.
        shard: which of how many parts the pairs are.
        progress: as in :func:`fuse_folders`.

    Raises:
        ValueError: a result would replace a source, or exists with other or unknown settings.
        BusyError: another process is writing these results.
        OSError: ``out`` cannot be created.
    """
    out = Path(out)
    targets = [result_file(out, pair) for pair in pairs]
    require_apart(targets, (path for pair in pairs for path in (pair.a, pair.b)))
    written, kept, failed, outdated = [], [], [], []
    with (
        first_of_each_kind(),
        manifest(out, targets, settings_of(network, model, options), overwrite, shard) as record,
    ):
        work = zip(pairs, targets, strict=True)
        for pair, target in tqdm(work, "fuse", len(pairs), unit="pair", disable=not progress):
            reason = None
            if target.exists() and not overwrite:
                reason = why_outdated(target, (pair.a, pair.b))
                if reason is None:
                    kept.append(target)
                    continue
            try:
                fused = fuse_with(network, pair.a, pair.b, options)
                with made_folder(target.parent):
                    write_image(target, np.asarray(fused.image), record.of(target, fused.tile))
                written.append(target)
                outdated += [Issue(target, reason)] if reason else []
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                failed.append(Issue(pair.name, str(error) or type(error).__name__))
    return FusionReport(tuple(written), tuple(kept), tuple(failed), outdated=tuple(outdated))


def result_file(out: Path, pair: Pair) -> Path:
    """The file of the result of a pair."""
    return out / f"{pair.name}.png"


def require_outside(out: str | Path, *sources: Path) -> None:
    """Refuses a folder of results that overlaps with a folder of sources: neither may lie in the other.

    Raises:
        ValueError: they do.
    """
    try:
        for source in sources:
            require_apart([out], (), [source])
            require_apart([source], (), [out])
    except ValueError as error:
        raise ValueError(f"{out}: the results need a folder of their own, outside the sources") from error
