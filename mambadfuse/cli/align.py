"""``mambadfuse align``: lays the infrared or MRI side of a pair onto the other side, before it is fused."""

from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mambadfuse.cli.arguments import check_outputs
from mambadfuse.cli.messages import complain, resumable, say, write
from mambadfuse.cli.pairs import PAIRS_FILE, check_sides, pairs_of
from mambadfuse.cli.reading import add_reading, reading_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mambadfuse.fusion.manifest import RunRecord

SUMMARY = "move one image of a pair onto the other, or one folder of images onto another"


class Job(NamedTuple):
    """One pair and the files that are made of it."""

    a: Path
    b: Path
    out: Path
    transform: Path | None
    overlay: Path | None

    @property
    def beside(self) -> list[Path]:
        """The files beside the moved side."""
        return [path for path in (self.transform, self.overlay) if path]


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--a",
        type=Path,
        metavar="PATH",
        help="infrared or MRI side: a file, a folder, or a folder that holds both sides",
    )
    parser.add_argument(
        "--b", type=Path, metavar="PATH", help="visible, CT, PET or SPECT side: a file or a folder"
    )
    parser.add_argument("--pairs-file", type=Path, metavar="CSV", help=f"instead: {PAIRS_FILE}")
    add_reading(parser, resize=False)
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
    from mambadfuse.data.remarks import first_of_each_kind

    options.reading = reading_of(options)
    if not options.pairs_file:
        check_sides(options, "--a and --b, or --pairs-file")
        if options.a.is_dir() != options.b.is_dir():
            options.usage_error("--a and --b must be two files or two folders, found one of each")
    single = not options.pairs_file and not options.a.is_dir()
    jobs, skipped = (_pair if single else _pairs)(options)
    for issue in skipped:
        complain(f"skipped {issue}")
    failed = 0
    results = [job.out for job in jobs]
    with (
        nullcontext() if single else resumable(results, options.out, options.overwrite),
        first_of_each_kind(),
        _manifest(jobs, single, options) as record,
    ):
        for job in jobs:
            try:
                _align(job, options, record)
            except (ValueError, OSError, MemoryError) as error:
                failed += 1
                complain(f"failed {job.a}: {str(error) or type(error).__name__}")
    return 1 if failed or skipped else 0


def _manifest(jobs: list[Job], single: bool, options: Namespace) -> "AbstractContextManager[RunRecord]":
    """The record of the settings; refuses existing files of other settings."""
    from mambadfuse.fusion.manifest import Settings, manifest_of_pair, recording

    settings: Settings = {
        "command": "align",
        "motion": options.motion,
        "moves": options.moves,
        "bits": options.bits,
        **options.reading.settings(),
    }
    if single:
        (job,) = jobs
        return manifest_of_pair([job.out, *job.beside], (job.a, job.b), settings, options.overwrite)
    targets = [file for job in jobs for file in (job.out, *job.beside)]
    return recording(options.out, targets, settings, options.overwrite)


def _pair(options: Namespace) -> tuple[list[Job], tuple[object, ...]]:
    """The one pair of two files."""
    from mambadfuse.data.images import picture_format

    if options.a.samefile(options.b) and options.alpha != "a":
        options.usage_error(f"--a and --b are the same, {options.a}")
    job = Job(options.a, options.b, options.out, options.transform, options.overlay)
    targets = [job.out, *job.beside]
    for target in targets:
        if target.is_dir():
            options.usage_error(f"{target} is a folder: two files are aligned into files")
    check_outputs(options, results=targets, sources=[options.a, options.b])
    picture_format(options.out, options.bits)
    if options.overlay and options.overlay.suffix.lower() != ".png":
        options.usage_error(f"--overlay {options.overlay}: expected the name of a .png file")
    return [job], ()


def _pairs(options: Namespace) -> tuple[list[Job], tuple[object, ...]]:
    """The pairs of two folders, of one that holds both sides, or of a file of pairs, and what is in none."""
    from mambadfuse.data.issues import problems
    from mambadfuse.fusion.folders import require_outside

    targets = [path for path in (options.out, options.transform, options.overlay) if path]
    for target in targets:
        if target.is_file():
            options.usage_error(f"{target} is a file: folders are aligned into folders")
        require_outside(target, *filter(None, (options.a, options.b)))
    if len({target.resolve() for target in targets}) < len(targets):
        options.usage_error("--out, --transform and --overlay must be different folders")

    def inside(folder: Path | None, name: str) -> Path | None:
        return folder and folder / name

    found = pairs_of(options)
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
    results = [path for job in jobs for path in (job.out, *job.beside)]
    check_outputs(options, results=results, sources=[*found.files, options.pairs_file], folders=found.folders)
    if not options.stretch_each:
        options.reading = options.reading.over(found.pairs)
    return jobs, problems(found.issues)


def _align(job: Job, options: Namespace, record: "RunRecord") -> None:
    """Aligns one pair and writes its files."""
    import numpy as np

    from mambadfuse.alignment.align import align, overlay
    from mambadfuse.data.images import write_image
    from mambadfuse.files import make_folder
    from mambadfuse.fusion.manifest import why_outdated
    from mambadfuse.plotting import png

    complete = all(path.exists() for path in (job.out, *job.beside))
    if complete and not options.overwrite and why_outdated(job.out, (job.a, job.b)) is None:
        say(f"kept {job.out}, made with these settings (--overwrite replaces it)")
        return
    a, b = (pixels[0] for pixels in options.reading.read(job.a, job.b))
    moving, fixed = (a, b) if options.moves == "a" else (b, a)
    found = align(moving, fixed, options.motion)
    numbers = np.rint(found.image * (2**options.bits - 1)).astype(
        np.uint8 if options.bits == 8 else np.uint16
    )
    make_folder(job.out.parent)
    write_image(job.out, numbers, record.of(job.out))
    say(
        f"wrote {job.out}: confidence {found.confidence:.2f}, {1 - found.inside.mean():.1%} of it black, outside"
    )
    if not found.trusted:
        complain(
            f"warning: {job.out}: the alignment is doubtful, confidence {found.confidence:.2f} of 1; look at it"
        )
    if job.transform:
        write(job.transform, found.to_json().encode(), record.of(job.transform))
    if job.overlay:
        drawn = overlay(found.image, fixed if fixed.shape[-1] == 3 else fixed[..., 0])
        write(job.overlay, png(drawn), record.of(job.overlay))
