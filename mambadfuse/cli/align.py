"""``mambadfuse align``: lays the infrared or MRI side of a pair onto the other side, before it is fused."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple

from mambadfuse.cli.arguments import refuse_sources
from mambadfuse.cli.messages import complain, say, write

SUMMARY = "move one image of a pair onto the other, or one folder of images onto another"


class Job(NamedTuple):
    """One pair and the files that are made of it."""

    a: Path
    b: Path
    out: Path
    transform: Path | None
    overlay: Path | None


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--a", type=Path, metavar="PATH", required=True, help="infrared or MRI side: a file or a folder"
    )
    parser.add_argument(
        "--b",
        type=Path,
        metavar="PATH",
        required=True,
        help="visible, CT, PET or SPECT side: a file or a folder",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        required=True,
        help="the moved side in the size of the other: file or folder",
    )
    parser.add_argument("--moves", choices=("a", "b"), default="a", help="which side is moved; default a")
    parser.add_argument(
        "--motion",
        choices=("translation", "euclidean", "affine", "homography"),
        default="affine",
        help="what the motion may be; default affine",
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="bits per channel of results")
    parser.add_argument(
        "--transform",
        type=Path,
        metavar="PATH",
        help="also write the motion as JSON: a file, or a folder for folders",
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        metavar="PATH",
        help="also draw moved side red, other side cyan: a .png file, or a folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")


def run(options: Namespace) -> int:
    """Aligns what the options name; 1 if a pair failed or a file was skipped."""
    for path in (options.a, options.b):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    if options.a.is_dir() != options.b.is_dir():
        options.usage_error("--a and --b must be two files or two folders, found one of each")
    if options.a.samefile(options.b):
        options.usage_error(f"--a and --b are the same, {options.a}")
    jobs, skipped = (_pairs if options.a.is_dir() else _pair)(options)
    for issue in skipped:
        complain(f"skipped {issue}")
    failed = 0
    for job in jobs:
        try:
            _align(job, options)
        except (ValueError, OSError) as error:
            failed += 1
            complain(f"failed {job.a}: {error}")
    return 1 if failed or skipped else 0


def _pair(options: Namespace) -> tuple[list[Job], tuple[object, ...]]:
    """The one pair of two files."""
    from mambadfuse.data.images import picture_format

    targets = [path for path in (options.out, options.transform, options.overlay) if path]
    for target in targets:
        if target.is_dir():
            options.usage_error(f"{target} is a folder: two files are aligned into files")
    refuse_sources(options, targets, [options.a, options.b])
    picture_format(options.out, options.bits)
    if options.overlay and options.overlay.suffix.lower() != ".png":
        options.usage_error(f"--overlay {options.overlay}: expected the name of a .png file")
    return [Job(options.a, options.b, options.out, options.transform, options.overlay)], ()


def _pairs(options: Namespace) -> tuple[list[Job], tuple[object, ...]]:
    """The pairs of two folders, and what is in none."""
    from mambadfuse.data.discovery import find_pairs
    from mambadfuse.data.issues import problems
    from mambadfuse.fusion.folders import require_outside

    targets = [path for path in (options.out, options.transform, options.overlay) if path]
    for target in targets:
        if target.is_file():
            options.usage_error(f"{target} is a file: folders are aligned into folders")
        require_outside(target, options.a, options.b)
    if len({target.resolve() for target in targets}) < len(targets):
        options.usage_error("--out, --transform and --overlay must be different folders")

    def inside(folder: Path | None, name: str) -> Path | None:
        return folder and folder / name

    found = find_pairs(options.a, options.b)
    jobs = [
        Job(
            pair.a,
            pair.b,
            options.out / f"{pair.name}.png",
            inside(options.transform, f"{pair.name}.json"),
            inside(options.overlay, f"{pair.name}.png"),
        )
        for pair in found.pairs
    ]
    outputs = [path for job in jobs for path in (job.out, job.transform, job.overlay)]
    refuse_sources(options, outputs, found.files, found.folders)
    return jobs, problems(found.issues)


def _align(job: Job, options: Namespace) -> None:
    """Aligns one pair and writes its files."""
    import numpy as np

    from mambadfuse.alignment.align import align, overlay
    from mambadfuse.data.images import read_image, write_image
    from mambadfuse.files import make_folder
    from mambadfuse.fusion.manifest import why_outdated

    wanted = [path for path in (job.transform, job.overlay) if path]
    complete = all(path.exists() for path in (job.out, *wanted))
    if complete and not options.overwrite and why_outdated(job.out, (job.a, job.b)) is None:
        say(f"kept {job.out}, whatever its settings (--overwrite replaces it)")
        return
    a, b = read_image(job.a), read_image(job.b)
    moving, fixed = (a, b) if options.moves == "a" else (b, a)
    found = align(moving, fixed, options.motion)
    numbers = np.rint(found.image * (2**options.bits - 1)).astype(
        np.uint8 if options.bits == 8 else np.uint16
    )
    make_folder(job.out.parent)
    write_image(job.out, numbers)
    say(
        f"wrote {job.out}: confidence {found.confidence:.2f}, {1 - found.inside.mean():.1%} of it black, outside"
    )
    if not found.trusted:
        complain(
            f"warning: {job.out}: the alignment is doubtful, confidence {found.confidence:.2f} of 1; look at it"
        )
    if job.transform:
        write(job.transform, found.to_json().encode())
    if job.overlay:
        make_folder(job.overlay.parent)
        write_image(job.overlay, overlay(found.image, fixed))
        say(f"wrote {job.overlay}")
