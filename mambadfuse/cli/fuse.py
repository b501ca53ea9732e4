"""``mambadfuse fuse``: two images, folders of images, or the samples of the kit."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import device, pixels, positive, refuse_swapped_sides
from mambadfuse.cli.contact_sheet import Result, draw_sheet, titles
from mambadfuse.cli.messages import complain
from mambadfuse.data.tasks import MODALITIES, TASKS, modality_of, task_of

if TYPE_CHECKING:
    from torch import nn

    from mambadfuse.data.issues import Issue
    from mambadfuse.data.pairs import Pair
    from mambadfuse.fusion.folders import FusionReport

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
    parser.add_argument("--samples", action="store_true", help="fuse the sample pairs of the kit instead")
    parser.add_argument("--out", type=Path, metavar="PATH", required=True, help="file, or folder, to write")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="shipped weights, or a file; default ivf, for samples those of each task",
    )
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
    parser.add_argument(
        "--align",
        nargs="?",
        const="affine",
        choices=("translation", "euclidean", "affine", "homography"),
        help="first move side a onto side b by such a motion, affine if none is named; see mambadfuse align",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw a contact sheet, a .png file")


def run(options: Namespace) -> int:
    """Fuses what the options name; 1 if a pair failed or a file was skipped."""
    _check_usage(options)
    if options.samples:
        return _fuse_samples(options)
    _mention_other_weights(options)
    return _fuse_folders(options) if options.a.is_dir() else _fuse_files(options)


def _check_usage(options: Namespace) -> None:
    """Stops with a usage error if the options do not go together; a single folder becomes both --a and --b."""
    if options.sheet and options.sheet.suffix.lower() != ".png":
        options.usage_error(f"--sheet {options.sheet}: expected the name of a .png file")
    if options.samples:
        if options.a or options.b:
            options.usage_error("--samples brings its own images: leave out --a and --b")
        return
    if options.a and options.a.is_dir() and not options.b:
        options.b = options.a
    if not (options.a and options.b):
        options.usage_error("give --a and --b, or --samples")
    for path in (options.a, options.b):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    if options.a.is_dir() != options.b.is_dir():
        options.usage_error("--a and --b must be two files or two folders, found one of each")
    refuse_swapped_sides(options)


def _mention_other_weights(options: Namespace) -> None:
    """Prints a note if no weights were chosen and the names of the images suggest others than the default."""
    task = task_of(modality_of(options.a), modality_of(options.b))
    if task and task != "ivf" and not options.model:
        complain(f"note: the weights are those of ivf; the names of these images suggest --model {task}")


def _fuse_files(options: Namespace) -> int:
    """One pair into one file."""
    import numpy as np

    from mambadfuse.data.images import picture_format, write_image
    from mambadfuse.files import make_folder
    from mambadfuse.fusion.pair import fuse, load_model

    out = options.out
    if options.a.samefile(options.b):
        options.usage_error(f"--a and --b are the same file, {options.a}")
    if out.is_dir():
        options.usage_error(f"--out {out} is a folder: two files are fused into a file")
    if out.exists() and any(out.samefile(source) for source in (options.a, options.b)):
        options.usage_error(f"--out {out} would replace its own source")
    picture_format(out, options.bits)  # refuse a name that cannot be written before the work is done
    if out.exists() and not options.overwrite:
        print(f"kept {out}, whatever its settings (--overwrite replaces it)")
    else:
        network = _in_tiles(load_model(options.model, options.device), options.tile)
        fused = fuse(
            options.a,
            options.b,
            network,
            colour=options.colour,
            contrast=options.contrast,
            bits=options.bits,
            align=options.align,
        )
        make_folder(out.parent)
        write_image(out, np.asarray(fused))
        print(f"wrote {out}")
    if options.sheet:
        draw_sheet([Result(out.stem, options.a, options.b, out)], options.sheet, _titles(options))
    return 0


def _fuse_folders(options: Namespace) -> int:
    """Every pair of two folders, or of one that holds both sides, into ``out/<name>.png``."""
    from mambadfuse.data.discovery import find_pairs
    from mambadfuse.data.issues import problems
    from mambadfuse.fusion.folders import require_outside

    out = options.out
    if out.is_file():
        options.usage_error(f"--out {out} is a file: folders are fused into a folder")
    require_outside(out, options.a, options.b)
    found = find_pairs(options.a, options.b)
    report = _fuse_pairs(found.pairs, out, options.model, options)
    skipped = problems(found.issues)
    _summarise([report], skipped, out)
    if options.sheet:
        one_folder = found.folder_a == found.folder_b
        columns = titles(found.task) if one_folder and found.task else _titles(options)
        draw_sheet(_results(found.pairs, out), options.sheet, columns)
    return 1 if report.failed or skipped else 0


def _fuse_samples(options: Namespace) -> int:
    """Every sample pair into ``out/<task>/<name>.png``, and all of them on a contact sheet."""
    from mambadfuse.data.samples import samples
    from mambadfuse.resources import resource_folder

    reports, results = [], []
    found = samples()
    tasks = list(dict.fromkeys(pair.task for pair in found if pair.task))
    for task in tasks:
        has_weights = (resource_folder("weights") / f"{task}.safetensors").is_file()
        weights = options.model or (task if has_weights else "ivf")
        pairs = [pair for pair in found if pair.task == task]
        why = "" if has_weights or options.model else ", as this task has none of its own"
        print(f"{task}: fusing {len(pairs)} with the weights {weights}{why}", flush=True)
        reports.append(_fuse_pairs(pairs, options.out / task, weights, options))
        results += _results(pairs, options.out / task, prefix=f"{task}: ")
    _summarise(reports, (), options.out)
    a, b = (" / ".join(dict.fromkeys(names)) for names in zip(*map(titles, tasks), strict=True))
    draw_sheet(results, options.sheet or options.out / "contact_sheet.png", (a, b))
    return 1 if any(report.failed for report in reports) else 0


def _fuse_pairs(
    pairs: "Sequence[Pair]", out: Path, weights: str | None, options: Namespace
) -> "FusionReport":
    """Fuses pairs into a folder with a manifest of the settings; after Ctrl-C it says what is done so far."""
    from mambadfuse.fusion.folders import fuse_pairs
    from mambadfuse.fusion.manifest import manifest
    from mambadfuse.fusion.pair import load_model
    from mambadfuse.models.checkpoints import weights_digest

    network = load_model(weights, options.device)
    settings = {
        "model": weights or "ivf",
        "weights": weights_digest(network),
        "colour": options.colour,
        "contrast": getattr(network, "contrast", 1.0) if options.contrast is None else options.contrast,
        "bits": options.bits,
        "tile": options.tile,
    }
    if options.align:
        settings["align"] = options.align
    names = [pair.name for pair in pairs]
    with manifest(out, names, settings, options.overwrite):
        try:
            return fuse_pairs(
                pairs,
                out,
                _in_tiles(network, options.tile),
                overwrite=options.overwrite,
                colour=options.colour,
                contrast=options.contrast,
                bits=options.bits,
                align=options.align,
                progress=sys.stderr.isatty(),
            )
        except KeyboardInterrupt:
            if options.overwrite:
                complain(f"only part of the results in {out} is new; the same command starts over")
            else:
                done = sum((out / f"{name}.png").exists() for name in names)
                complain(f"{done} of {len(names)} results are in {out}; the same command makes the rest")
            raise


def _in_tiles(network: "nn.Module", tile: int | None) -> "nn.Module":
    """The network, wrapped to work tile by tile if a size is given."""
    from mambadfuse.fusion.tiling import TiledModel

    return network if tile is None else TiledModel(network, tile, min(64, tile // 2))


def _results(pairs: "Sequence[Pair]", out: Path, prefix: str = "") -> list[Result]:
    """The pairs with the files of their results, for a contact sheet."""
    return [Result(f"{prefix}{pair.name}", pair.a, pair.b, out / f"{pair.name}.png") for pair in pairs]


def _summarise(reports: "Sequence[FusionReport]", skipped: "Sequence[Issue]", out: Path) -> None:
    """Prints failures and skipped files on stderr, one line each, and a summary on stdout."""
    for failure in (failure for report in reports for failure in report.failed):
        complain(f"failed {failure}")
    for issue in skipped:
        complain(f"skipped {issue}")
    written, kept, failed = (
        sum(len(getattr(report, what)) for report in reports) for what in ("written", "kept", "failed")
    )
    print(f"{written} fused, {kept} kept, {failed} failed, {len(skipped)} skipped; results in {out}")


def _titles(options: Namespace) -> tuple[str, str]:
    """What --a and --b show, by their names, or else by the task of the weights."""
    a, b = modality_of(options.a), modality_of(options.b)
    if a is None and b is None and (options.model or "ivf") in TASKS:
        return titles(options.model or "ivf")
    return _title(a) if a else "side a", _title(b) if b else "side b"


def _title(modality: str | None) -> str:
    return MODALITIES[modality].title if modality else ""
