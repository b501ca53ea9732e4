"""``mambadfuse fuse``: two images, folders of images, or the samples of the kit."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import (
    add_component_option,
    check_outputs,
    device,
    name_components,
    pixels,
    positive,
)
from mambadfuse.cli.contact_sheet import Result, draw_sheet, titles
from mambadfuse.cli.messages import complain, resumable, say
from mambadfuse.cli.pairs import (
    PAIRS_FILE,
    add_shard,
    check_sides,
    pairs_of,
    refuse_swapped_sides,
    require_pairs_once,
)
from mambadfuse.cli.reading import add_reading, reading_of
from mambadfuse.cli.video import frame_rate, fuse_videos, names_video
from mambadfuse.data.tasks import MODALITIES, TASKS, modality_of, task_of

if TYPE_CHECKING:
    from torch import nn

    from mambadfuse.data.issues import Issue
    from mambadfuse.data.pairs import Pair
    from mambadfuse.fusion.folders import FusionReport
    from mambadfuse.fusion.options import FusionOptions
    from mambadfuse.fusion.volumes import VolumeOptions

SUMMARY = "fuse two images, folders of images, or the samples of the kit"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--a",
        type=Path,
        metavar="PATH",
        help="infrared or MRI side: a file, a folder, or a folder that holds both sides",
    )
    parser.add_argument(
        "--b",
        type=Path,
        metavar="PATH",
        help="visible, CT, PET or SPECT side: a file or a folder; not needed if --a holds both sides",
    )
    parser.add_argument("--pairs-file", type=Path, metavar="CSV", help=f"instead: {PAIRS_FILE}")
    add_shard(parser)
    parser.add_argument(
        "--plane",
        choices=("axial", "coronal", "sagittal"),
        default="axial",
        help="of volumes (NIfTI, DICOM): the plane of the slices",
    )
    parser.add_argument(
        "--slice",
        type=int,
        metavar="N",
        help="of volumes, if --out is an image: which slice; default the middle one",
    )
    parser.add_argument("--samples", action="store_true", help="fuse the sample pairs of the kit instead")
    parser.add_argument("--out", type=Path, metavar="PATH", required=True, help="file, or folder, to write")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="shipped weights, or a file; default ivf, for samples those of each task",
    )
    add_component_option(parser)
    parser.add_argument(
        "--colour",
        choices=("auto", "a", "b", "grey"),
        default="auto",
        help="whose colour; auto: b's, else a's",
    )
    parser.add_argument(
        "--contrast",
        type=positive,
        metavar="C",
        help="contrast factor about the mean of the image; default that of the weights, 1 for none",
    )
    add_reading(parser)
    parser.add_argument(
        "--align",
        nargs="?",
        const="affine",
        choices=("translation", "euclidean", "affine", "homography"),
        help="first move side a onto side b by such a motion, affine if none is named; see mambadfuse align",
    )
    parser.add_argument(
        "--rate",
        type=frame_rate,
        metavar="FPS",
        help="of folders of frames that become a video: frames a second; default 25",
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="bits per channel of results")
    parser.add_argument(
        "--device",
        type=device,
        default="auto",
        metavar="NAME",
        help="cpu, cuda, cuda:1, ... or mps; auto: cuda if usable",
    )
    parser.add_argument(
        "--tile",
        type=pixels,
        metavar="PIXELS",
        help="fuse in blended tiles of this size: takes less memory, changes the result",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw a contact sheet, a .png file")


def run(options: Namespace) -> int:
    """Fuses what the options name; 1 if a pair failed or a file was skipped."""
    if names_video(options):
        return fuse_videos(options)
    if options.rate:
        options.usage_error("--rate is that of a video: give --out a name such as fused.mp4")
    _check_usage(options)
    name_components(options)
    if options.samples:
        return _fuse_samples(options)
    if options.pairs_file:
        from mambadfuse.data.pairs_file import lists_volumes

        return (_fuse_volume_folders if lists_volumes(options.pairs_file) else _fuse_folders)(options)
    if _both_volumes(options):
        return _fuse_volumes(options)
    if _both_hold_volumes(options):
        return _fuse_volume_folders(options)
    return _fuse_folders(options) if options.a.is_dir() else _fuse_files(options)


def _check_usage(options: Namespace) -> None:
    """Stops with a usage error if the options do not go together; a single folder becomes both --a and --b."""
    if options.sheet and options.sheet.suffix.lower() != ".png":
        options.usage_error(f"--sheet {options.sheet}: expected the name of a .png file")
    options.reading = reading_of(options)
    if options.samples:
        if options.a or options.b or options.pairs_file or options.shard or options.reading.settings():
            options.usage_error(
                "--samples brings its own images: leave out --a and --b, --pairs-file and --shard, --stretch, --resize "
                "and --alpha"
            )
        return
    if options.pairs_file:
        require_pairs_once(options)
        return
    check_sides(options, "--a and --b, or --samples, or --pairs-file")
    if options.a.is_dir() != options.b.is_dir() and not _both_volumes(options):
        options.usage_error("--a and --b must be two files or two folders, found one of each")
    if options.shard and not options.a.is_dir():
        options.usage_error("--shard is for folders, or --pairs-file")
    refuse_swapped_sides(options, options.a, options.b)


def _both_volumes(options: Namespace) -> bool:
    """Whether both sides are a volume each, NIfTI or DICOM; a usage error if one is and the other is an image."""
    from mambadfuse.data.images import FORMATS
    from mambadfuse.data.volumes import is_volume

    sides = (options.a, options.b)
    volumes = [is_volume(side) for side in sides]
    if any(volumes) and any(side.suffix.lower() in FORMATS and side.is_file() for side in sides):
        options.usage_error(
            f"one of {options.a} and {options.b} is a volume, the other an image: give two of a kind"
        )
    return all(volumes)


def _both_hold_volumes(options: Namespace) -> bool:
    """Whether both sides are folders of volumes."""
    from mambadfuse.data.volume_pairs import holds_volumes

    sides = (options.a, options.b)
    return all(side.is_dir() and holds_volumes(side) for side in sides)


def _mention_other_weights(options: Namespace, task: str | None) -> None:
    """Prints a note if no weights were chosen and the names of the images suggest others than the default."""
    if task and task != "ivf" and not options.model:
        complain(f"note: the weights are those of ivf; the names of these images suggest --model {task}")


def _fuse_files(options: Namespace) -> int:
    """One pair into one file."""
    import numpy as np

    from mambadfuse.data.images import picture_format, write_image
    from mambadfuse.fusion.manifest import manifest_of_pair, settings_of, why_outdated
    from mambadfuse.fusion.pair import fuse_with

    out = options.out
    if options.a.samefile(options.b) and options.alpha != "a":
        options.usage_error(f"--a and --b are the same file, {options.a}")
    if out.is_dir():
        options.usage_error(f"--out {out} is a folder: two files are fused into a file")
    check_outputs(
        options, results=[out], reports=[options.sheet], sources=[options.a, options.b, options.model]
    )
    _mention_other_weights(options, task_of(modality_of(options.a), modality_of(options.b)))
    picture_format(out, options.bits)  # refuse a name that cannot be written before the work is done
    network, fusion = _network(options, options.model), _fusion_options(options)
    settings = settings_of(network, options.model or "ivf", fusion)
    sources = (options.a, options.b)
    with manifest_of_pair([out], sources, settings, options.overwrite) as record:
        outdated = why_outdated(out, sources) if out.exists() and not options.overwrite else None
        if out.exists() and not outdated and not options.overwrite:
            say(f"kept {out}, made with these settings (--overwrite replaces it)")
        else:
            fused = fuse_with(network, *sources, fusion)
            write_image(out, np.asarray(fused.image), record.of(out, fused.tile))
            say(f"wrote {out}{f', which {outdated}' if outdated else ''}")
    if options.sheet:
        result = Result(out.stem, options.a, options.b, out)
        draw_sheet([result], options.sheet, _titles(options), options.reading.sides)
    return 0


def _fuse_volumes(options: Namespace) -> int:
    """Two volumes into one slice, a folder of slices or a volume, by the name of --out."""
    from mambadfuse.fusion.volumes import fuse_volumes

    _refuse_options_of_images(options)
    if options.a.samefile(options.b):
        options.usage_error(f"--a and --b are the same volume, {options.a}")
    _mention_other_weights(options, task_of(modality_of(options.a), modality_of(options.b)))
    sources = [options.a, options.b]
    folders = [path for path in sources if path.is_dir()]
    check_outputs(options, results=[options.out], sources=[*sources, options.model], folders=folders)
    written = fuse_volumes(
        options.a,
        options.b,
        options.out,
        _network(options, options.model),
        _volume_options(options),
        overwrite=options.overwrite,
    )
    say(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} slices into {options.out}")
    return 0


def _volume_options(options: Namespace) -> "VolumeOptions":
    from mambadfuse.fusion.volumes import VolumeOptions

    reading = options.reading
    return VolumeOptions(
        options.plane,
        options.slice,
        options.colour,
        options.contrast,
        options.bits,
        reading.stretch,
        reading.stretch_b,
    )


def _refuse_options_of_images(options: Namespace) -> None:
    not_for_volumes = ("sheet", "shard", "resize", "stretch_each", "align")
    if options.alpha != "black" or any(getattr(options, name) for name in not_for_volumes):
        options.usage_error(
            "--sheet, --shard, --resize, --alpha, --stretch-each and --align are not for volumes: leave them out"
        )


def _fuse_volume_folders(options: Namespace) -> int:
    """Every pair of volumes of two folders, or of a file of pairs, into a volume, or a slice of it."""
    from mambadfuse.data.volume_pairs import find_volume_pairs
    from mambadfuse.fusion.folders import require_outside
    from mambadfuse.fusion.volumes import fuse_volume_folders, results_of_volumes

    _refuse_options_of_images(options)
    if options.out.is_file():
        options.usage_error(f"--out {options.out} is a file: folders are fused into a folder")
    require_outside(options.out, *filter(None, (options.a, options.b)))
    found = find_volume_pairs(options.pairs_file or options.a, options.b)
    for pair in found.pairs:
        refuse_swapped_sides(options, pair.a, pair.b)
    _mention_other_weights(options, found.task)
    volume_options = _volume_options(options)
    targets = results_of_volumes(found.pairs, options.out, volume_options)
    with resumable(targets.values(), options.out, options.overwrite):
        report = fuse_volume_folders(
            found,
            None,
            options.out,
            _network(options, options.model),
            volume_options,
            overwrite=options.overwrite,
            progress=sys.stderr.isatty(),
        )
    _summarise([report], report.skipped, options.out)
    return 0 if report.complete else 1


def _fuse_folders(options: Namespace) -> int:
    """Every pair of two folders, of one that holds both sides, or of a file of pairs, into ``out/<name>.png``."""
    from mambadfuse.data.issues import problems
    from mambadfuse.fusion.folders import require_outside, result_file

    out = options.out
    if out.is_file():
        options.usage_error(f"--out {out} is a file: folders are fused into a folder")
    require_outside(out, *filter(None, (options.a, options.b)))
    found = pairs_of(options)
    for pair in found.pairs:
        refuse_swapped_sides(options, pair.a, pair.b)
    _mention_other_weights(options, found.task)
    targets = [result_file(out, pair) for pair in found.pairs]
    check_outputs(
        options,
        results=targets,
        reports=[options.sheet],
        sources=[*found.files, options.model, options.pairs_file],
        folders=found.folders,
    )
    if not options.stretch_each:
        options.reading = options.reading.over(found.pairs)
    if options.shard:
        found = found.shard(*options.shard)
    report = _fuse_pairs(found.pairs, out, options.model, options)
    skipped = problems(found.issues)
    _summarise([report], skipped, out)
    if options.sheet:
        one_folder = found.folder_a == found.folder_b
        columns = titles(found.task) if one_folder and found.task else _titles(options)
        draw_sheet(_results(found.pairs, out), options.sheet, columns, options.reading.sides)
    return 1 if report.failed or skipped else 0


def _fuse_samples(options: Namespace) -> int:
    """Every sample pair into ``out/<task>/<name>.png``, and all of them on a contact sheet."""
    from mambadfuse.data.samples import samples
    from mambadfuse.fusion.folders import result_file
    from mambadfuse.resources import resource_folder

    reports, results = [], []
    found = samples()
    sheet = options.sheet or options.out / "contact_sheet.png"
    targets = [result_file(options.out / str(pair.task), pair) for pair in found]
    sources = [options.model, *(path for pair in found for path in (pair.a, pair.b))]
    check_outputs(options, results=targets, reports=[sheet], sources=sources)
    tasks = list(dict.fromkeys(pair.task for pair in found if pair.task))
    for task in tasks:
        has_weights = (resource_folder("weights") / f"{task}.safetensors").is_file()
        weights = options.model or (task if has_weights else "ivf")
        pairs = [pair for pair in found if pair.task == task]
        why = "" if has_weights or options.model else ", as this task has none of its own"
        say(f"{task}: fusing {len(pairs)} with the weights {weights}{why}")
        reports.append(_fuse_pairs(pairs, options.out / task, weights, options))
        results += _results(pairs, options.out / task, prefix=f"{task}: ")
    _summarise(reports, (), options.out)
    a, b = (" / ".join(dict.fromkeys(names)) for names in zip(*map(titles, tasks), strict=True))
    draw_sheet(results, sheet, (a, b))
    return 1 if any(report.failed for report in reports) else 0


def _fuse_pairs(
    pairs: "Sequence[Pair]", out: Path, weights: str | None, options: Namespace
) -> "FusionReport":
    """Fuses pairs into a folder; after Ctrl-C it says what is done so far."""
    from mambadfuse.fusion.folders import fuse_pairs, result_file

    network = _network(options, weights)
    with resumable([result_file(out, pair) for pair in pairs], out, options.overwrite):
        return fuse_pairs(
            pairs,
            out,
            network,
            weights or "ivf",
            _fusion_options(options),
            overwrite=options.overwrite,
            shard=options.shard,
            progress=sys.stderr.isatty(),
        )


def _network(options: Namespace, weights: str | None) -> "nn.Module":
    """The network of the weights, wrapped to work tile by tile if a size is given."""
    from mambadfuse.fusion.pair import load_model
    from mambadfuse.fusion.tiling import TiledModel

    network, tile = load_model(weights, options.device), options.tile
    return network if tile is None else TiledModel(network, tile, min(64, tile // 2))


def _fusion_options(options: Namespace) -> "FusionOptions":
    from mambadfuse.fusion.options import FusionOptions

    return FusionOptions(options.colour, options.contrast, options.bits, options.reading, options.align)


def _results(pairs: "Sequence[Pair]", out: Path, prefix: str = "") -> list[Result]:
    """The pairs with the files of their results, for a contact sheet."""
    return [Result(f"{prefix}{pair.name}", pair.a, pair.b, out / f"{pair.name}.png") for pair in pairs]


def _summarise(reports: "Sequence[FusionReport]", skipped: "Sequence[Issue]", out: Path) -> None:
    """Prints on stderr what was made again, failed or was skipped, one line each, and a summary on stdout."""
    for result in (result for report in reports for result in report.outdated):
        complain(f"made again {result}")
    for failure in (failure for report in reports for failure in report.failed):
        complain(f"failed {failure}")
    for issue in skipped:
        complain(f"skipped {issue}")
    written, kept, failed = (
        sum(len(getattr(report, what)) for report in reports) for what in ("written", "kept", "failed")
    )
    say(f"{written} fused, {kept} kept, {failed} failed, {len(skipped)} skipped; results in {out}")


def _titles(options: Namespace) -> tuple[str, str]:
    """What --a and --b show, by their names, or else by the task of the weights."""
    a, b = (path and modality_of(path) for path in (options.a, options.b))
    if a is None and b is None and (options.model or "ivf") in TASKS:
        return titles(options.model or "ivf")
    return _title(a) if a else "side a", _title(b) if b else "side b"


def _title(modality: str | None) -> str:
    return MODALITIES[modality].title if modality else ""
