"""``mambadfuse fuse``: two pictures, two folders of pictures, or the samples of the kit."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.messages import complain

if TYPE_CHECKING:
    from torch import nn

    from mambadfuse.data.pairs import LeftOut, Pair
    from mambadfuse.fusion.pair import FolderReport

SUMMARY = "fuse two pictures, two folders of pictures, or the samples of the kit"
SHEET_ROWS = 24  # pairs on a contact sheet; more would be too small to judge


_SMALLEST_TILE = 32  # smaller ones take for ever and show the scan next to nothing


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--a", type=Path, metavar="PATH", help="infrared or MRI side: a file or a folder")
    parser.add_argument(
        "--b",
        type=Path,
        metavar="PATH",
        help="visible, CT, PET or SPECT side, likewise; the same folder where both sides lie below it",
    )
    parser.add_argument("--samples", action="store_true", help="fuse the sample pairs of the kit instead")
    parser.add_argument("--out", type=Path, metavar="PATH", required=True, help="file, or folder, to write")
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="shipped weights, or a file; ivf if left out, samples: each task's",
    )
    parser.add_argument(
        "--colour",
        choices=("auto", "a", "b", "grey"),
        default="auto",
        help="whose colour; auto: b's, else a's",
    )
    parser.add_argument(
        "--contrast",
        type=_positive,
        metavar="C",
        help="about the mean of the picture; as the weights say if left out, 1: as the network returns it",
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="bits per channel of results")
    parser.add_argument(
        "--device",
        type=_device,
        default="auto",
        metavar="NAME",
        help="cpu, cuda, cuda:1, ... or mps; auto: cuda if usable",
    )
    parser.add_argument(
        "--tile",
        type=_pixels,
        metavar="PIXELS",
        help="fuse in blended tiles of this side: less memory, other values",
    )
    parser.add_argument("--overwrite", action="store_true", help="make results again that are there already")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw a contact sheet, a .png file")


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ArgumentTypeError(f"no device is called {name!r}: choose auto, cpu, cuda, cuda:1, ... or mps")
    return name


def _positive(text: str) -> float:
    try:
        if 0 < (number := float(text)) < inf:
            return number
    except ValueError:
        pass
    raise ArgumentTypeError(f"expected a positive number, found {text!r}")


def _pixels(text: str) -> int:
    if not text.isdecimal() or int(text) < _SMALLEST_TILE:
        raise ArgumentTypeError(f"expected a number of pixels, at least {_SMALLEST_TILE}, found {text!r}")
    return int(text)


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
    _require_order(options)
    _mention_weights(options)
    return _fuse_two_folders(options) if options.a.is_dir() else _fuse_two_files(options)


def _require_order(options: Namespace) -> None:
    """No two sides that are exchanged, as far as their names tell."""
    from mambadfuse.data.tasks import TASKS, modality_of

    a, b = modality_of(options.a), modality_of(options.b)
    if a and b and (b, a) in TASKS:
        options.usage_error(
            f"by their names --a {options.a} is {_title(a)} and --b {options.b} is {_title(b)}: exchange them"
        )


def _mention_weights(options: Namespace) -> None:
    """Says so if nobody chose weights, and by their names the pictures have others."""
    from mambadfuse.data.tasks import TASKS, modality_of

    a, b = modality_of(options.a), modality_of(options.b)
    task = TASKS.get((a, b)) if a and b else None
    if task and task != "ivf" and not options.model:
        complain(f"note: the weights are those of ivf; by their names these pictures have --model {task}")


def _fuse_two_files(options: Namespace) -> int:
    import numpy as np

    from mambadfuse.data.images import picture_format, write_image
    from mambadfuse.files import make_folder
    from mambadfuse.fusion.pair import fuse, load_model

    out = options.out
    if options.a.samefile(options.b):
        options.usage_error(f"--a and --b are one and the same file, {options.a}")
    if out.is_dir():
        options.usage_error(f"--out {out} is a folder: two files are fused into a file")
    if out.exists() and any(out.samefile(source) for source in (options.a, options.b)):
        options.usage_error(f"--out {out} would replace its own source")
    picture_format(out, options.bits)  # a name that cannot be written is refused before the work is done
    if out.exists() and not options.overwrite:
        print(f"kept {out}, which was there already, whatever it was made with (--overwrite makes it again)")
    else:
        network = _in_tiles(load_model(options.model, options.device), options.tile)
        fused = fuse(
            options.a, options.b, network, colour=options.colour, contrast=options.contrast, bits=options.bits
        )
        make_folder(out.parent)
        write_image(out, np.asarray(fused))
        print(f"wrote {out}")
    if options.sheet:
        _draw_sheet([(out.stem, options.a, options.b, out)], options.sheet, _sides(options))
    return 0


def _fuse_two_folders(options: Namespace) -> int:
    from mambadfuse.data.discovery import all_pairs
    from mambadfuse.data.pairs import match_pairs

    a, b, out = options.a, options.b, options.out
    if out.is_file():
        options.usage_error(f"--out {out} is a file: two folders are fused into a folder")
    if any(out.resolve().is_relative_to(source.resolve()) for source in (a, b)):
        raise ValueError(f"{out}: the results need a folder of their own, outside the sources")
    if a.samefile(b):
        found = all_pairs(a)
        matching, sides = found.matching, _sides_of(found.task)
    else:
        matching, sides = match_pairs(a, b), _sides(options)
    report = _fuse_pairs(matching.pairs, out, options.model, options)
    _tell([report], matching.left_out, out)
    if options.sheet:
        rows = [(pair.name, pair.a, pair.b, out / f"{pair.name}.png") for pair in matching.pairs]
        _draw_sheet(rows, options.sheet, sides)
    return 1 if report.failed or matching.left_out else 0


def _fuse_samples(options: Namespace) -> int:
    """Every sample pair into ``out/<task>/<name>.png``, and all of them on a contact sheet."""
    from mambadfuse.data.pairs import Pair
    from mambadfuse.data.samples import samples
    from mambadfuse.resources import resource_folder

    reports, rows = [], []
    found = samples()
    tasks = list(dict.fromkeys(sample.task for sample in found))
    for task in tasks:
        own = (resource_folder("weights") / f"{task}.safetensors").is_file()
        weights = options.model or (task if own else "ivf")
        pairs = [Pair(sample.name, sample.a, sample.b) for sample in found if sample.task == task]
        why = "" if own or options.model else ", as this task has none of its own"
        print(f"{task}: fusing {len(pairs)} with the weights {weights}{why}", flush=True)
        folder = options.out / task
        reports.append(_fuse_pairs(pairs, folder, weights, options))
        rows += [(f"{task}: {pair.name}", pair.a, pair.b, folder / f"{pair.name}.png") for pair in pairs]
    _tell(reports, (), options.out)
    each = zip(*map(_sides_of, tasks), strict=True)
    a, b = (" / ".join(dict.fromkeys(names)) for names in each)
    _draw_sheet(rows, options.sheet or options.out / "contact_sheet.png", (a, b))
    return 1 if any(report.failed for report in reports) else 0


def _fuse_pairs(
    pairs: "Sequence[Pair]", out: Path, weights: str | None, options: Namespace
) -> "FolderReport":
    """Fuses them into a folder that keeps a record of the settings; says what is done if Ctrl-C comes in between."""
    from mambadfuse.cli.record import fingerprint, recorded
    from mambadfuse.fusion.pair import fuse_pairs, load_model

    network = load_model(weights, options.device)
    settings = {
        "model": weights or "ivf",
        "weights": fingerprint(network),
        "colour": options.colour,
        "contrast": options.contrast,
        "bits": options.bits,
        "tile": options.tile,
    }
    names = [pair.name for pair in pairs]
    with recorded(out, names, settings, options.overwrite):
        try:
            return fuse_pairs(
                pairs,
                out,
                _in_tiles(network, options.tile),
                overwrite=options.overwrite,
                colour=options.colour,
                contrast=options.contrast,
                bits=options.bits,
                progress=sys.stderr.isatty(),
            )
        except KeyboardInterrupt:
            if options.overwrite:
                complain(f"not all results in {out} are made again; the same command starts from the first")
            else:
                done = sum((out / f"{name}.png").exists() for name in names)
                complain(
                    f"{done} of {len(names)} results are in {out}; the same command goes on with the others"
                )
            raise


def _in_tiles(network: "nn.Module", tile: int | None) -> "nn.Module":
    """The network, tile by tile if asked."""
    from mambadfuse.fusion.tiling import TiledModel

    return network if tile is None else TiledModel(network, tile, min(64, tile // 2))


def _sides(options: Namespace) -> tuple[str, str]:
    """What --a and --b show, by their names, or else by the task of the weights."""
    from mambadfuse.data.tasks import modality_of

    a, b = modality_of(options.a), modality_of(options.b)
    if a is None and b is None:
        return _sides_of(options.model or "ivf")
    return _title(a) if a else "side a", _title(b) if b else "side b"


def _sides_of(task: str) -> tuple[str, str]:
    """What the sides of a task show."""
    from mambadfuse.data.tasks import TASKS

    a, b = {task: sides for sides, task in TASKS.items()}.get(task, ("side a", "side b"))
    return _title(a), _title(b)


def _title(modality: str) -> str:
    return modality.upper() if modality in ("mri", "ct", "pet", "spect") else modality


def _tell(reports: "Sequence[FolderReport]", left_out: "Sequence[LeftOut]", out: Path) -> None:
    """The failures on stderr, one line each, and a summary on stdout."""
    for report in reports:
        for failure in report.failed:
            complain(f"failed {failure.name}: {failure.reason}")
    for file in left_out:
        complain(f"left out {file.path}: {file.reason}")
    written, kept, failed = (
        sum(len(getattr(report, what)) for report in reports) for what in ("written", "kept", "failed")
    )
    print(f"{written} fused, {kept} kept, {failed} failed, {len(left_out)} left out; results in {out}")


def _draw_sheet(rows: Sequence[tuple[str, Path, Path, Path]], path: Path, sides: tuple[str, str]) -> None:
    """A contact sheet of the pairs that have a result: name, a, b, fused."""
    from mambadfuse.data.images import read_image
    from mambadfuse.files import make_folder
    from mambadfuse.plotting import Row, contact_sheet

    done = [row for row in rows if row[3].exists()]
    if not done:
        complain("no contact sheet: there is no result to draw")
        return
    make_folder(path.parent)
    shown = done[:SHEET_ROWS]
    drawn = [Row(name, *(read_image(file) for file in files)) for name, *files in shown]
    contact_sheet(drawn, path, sides)
    part = f" (the first {len(shown)} of {len(done)} pairs)" if len(shown) < len(done) else ""
    print(f"contact sheet: {path}{part}")
