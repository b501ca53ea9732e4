"""``mambadfuse fuse``: two pictures, two folders of pictures, or the samples of the kit."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.messages import complain

if TYPE_CHECKING:
    from torch import nn

    from mambadfuse.fusing import FolderReport

SUMMARY = "fuse two pictures, two folders of pictures, or the samples of the kit"
SHEET_ROWS = 24  # pairs on a contact sheet; more would be too small to judge


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--a", type=Path, metavar="PATH", help="infrared or MRI side: a file or a folder")
    parser.add_argument("--b", type=Path, metavar="PATH", help="visible, CT, PET or SPECT side, likewise")
    parser.add_argument("--samples", action="store_true", help="fuse the sample pairs of the kit instead")
    parser.add_argument("--out", type=Path, metavar="PATH", required=True, help="file, or folder, to write")
    parser.add_argument(
        "--model", metavar="NAME|FILE", help="shipped weights or a file (ivf; samples: those of each task)"
    )
    parser.add_argument("--colour", choices=("auto", "a", "b", "grey"), default="auto", help="whose chroma")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="depth of the results")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="fuse in blended tiles of this side: less memory, other values",
    )
    parser.add_argument("--overwrite", action="store_true", help="make results again that are there already")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw a contact sheet, a .png file")


def run(options: Namespace) -> int:
    """Fuses what the options name; 1 if any pair failed."""
    if options.sheet and options.sheet.suffix.lower() != ".png":
        options.usage_error(f"--sheet {options.sheet}: expected the name of a .png file")
    if options.samples:
        if options.a or options.b:
            options.usage_error("--samples brings its own pictures: leave out --a and --b")
        return _fuse_samples(options)
    if not (options.a and options.b):
        options.usage_error("give --a and --b, or --samples")
    for path in (options.a, options.b):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    if options.a.is_dir() != options.b.is_dir():
        options.usage_error("--a and --b must be two files or two folders, found one of each")
    return _fuse_two_folders(options) if options.a.is_dir() else _fuse_two_files(options)


def _network(options: Namespace, weights: str | None) -> "nn.Module":
    """The network on its device, tile by tile if asked."""
    from mambadfuse.fusing import load_model
    from mambadfuse.tiling import InTiles

    network = load_model(weights, options.device)
    return network if options.tile is None else InTiles(network, options.tile, min(64, options.tile // 2))


def _fuse_two_files(options: Namespace) -> int:
    import numpy as np

    from mambadfuse.data.images import picture_format, write_image
    from mambadfuse.fusing import fuse

    out = options.out
    if out.is_dir():
        options.usage_error(f"--out {out} is a folder: two files are fused into a file")
    if out.exists() and any(out.samefile(source) for source in (options.a, options.b)):
        options.usage_error(f"--out {out} would replace its own source")
    picture_format(out, options.bits)  # a name that cannot be written is refused before the work is done
    if out.exists() and not options.overwrite:
        print(f"kept {out}, which was there already (--overwrite makes it again)")
    else:
        fused = fuse(
            options.a, options.b, _network(options, options.model), colour=options.colour, bits=options.bits
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        write_image(out, np.asarray(fused))
        print(f"wrote {out}")
    if options.sheet:
        _draw_sheet([(out.stem, options.a, options.b, out)], options.sheet)
    return 0


def _fuse_two_folders(options: Namespace) -> int:
    from mambadfuse.data.pairs import match_pairs
    from mambadfuse.fusing import fuse_folders

    report = fuse_folders(
        options.a,
        options.b,
        options.out,
        _network(options, options.model),
        overwrite=options.overwrite,
        colour=options.colour,
        bits=options.bits,
        progress=sys.stderr.isatty(),
    )
    _tell([report], options.out)
    if options.sheet:
        pairs = match_pairs(options.a, options.b).pairs
        rows = [(pair.name, pair.a, pair.b, options.out / f"{pair.name}.png") for pair in pairs]
        _draw_sheet(rows, options.sheet)
    return 0 if report.complete else 1


def _fuse_samples(options: Namespace) -> int:
    """Every sample pair into ``out/<task>/<name>.png``, and all of them on a contact sheet."""
    from mambadfuse.data.pairs import Pair
    from mambadfuse.data.samples import samples
    from mambadfuse.data.shipped import shipped
    from mambadfuse.fusing import fuse_pairs

    reports, rows = [], []
    found = samples()
    for task in dict.fromkeys(sample.task for sample in found):
        own = (shipped("weights") / f"{task}.safetensors").is_file()
        weights = options.model or (task if own else "ivf")
        pairs = [Pair(sample.name, sample.a, sample.b) for sample in found if sample.task == task]
        why = "" if own or options.model else ", as this task has none of its own"
        print(f"{task}: fusing {len(pairs)} with the weights {weights}{why}", flush=True)
        folder = options.out / task
        reports.append(
            fuse_pairs(
                pairs,
                folder,
                _network(options, weights),
                overwrite=options.overwrite,
                colour=options.colour,
                bits=options.bits,
                progress=sys.stderr.isatty(),
            )
        )
        rows += [(f"{task}: {pair.name}", pair.a, pair.b, folder / f"{pair.name}.png") for pair in pairs]
    _tell(reports, options.out)
    _draw_sheet(rows, options.sheet or options.out / "contact_sheet.png")
    return 0 if all(report.complete for report in reports) else 1


def _tell(reports: "Sequence[FolderReport]", out: Path) -> None:
    """The failures on stderr, one line each, and a summary on stdout."""
    for report in reports:
        for failure in report.failed:
            complain(f"failed {failure.name}: {failure.reason}")
        for file in report.unmatched:
            complain(f"left out {file.path}: {file.reason}")
    written = sum(len(report.written) for report in reports)
    kept = sum(len(report.kept) for report in reports)
    failed = sum(len(report.failed) for report in reports)
    unmatched = sum(len(report.unmatched) for report in reports)
    print(f"{written} fused, {kept} kept, {failed} failed, {unmatched} left out; results in {out}")


def _draw_sheet(rows: Sequence[tuple[str, Path, Path, Path]], path: Path) -> None:
    """A contact sheet of the pairs that have a result: name, a, b, fused."""
    from mambadfuse.data.images import read_image
    from mambadfuse.plotting import Row, contact_sheet

    done = [row for row in rows if row[3].exists()]
    if not done:
        complain("no contact sheet: there is no result to draw")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = done[:SHEET_ROWS]
    contact_sheet([Row(name, *(read_image(file) for file in files)) for name, *files in shown], path)
    part = f" (the first {len(shown)} of {len(done)} pairs)" if len(shown) < len(done) else ""
    print(f"contact sheet: {path}{part}")
