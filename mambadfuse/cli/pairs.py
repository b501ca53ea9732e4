"""The options by which a command is told its pairs, the same for every command."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import check_outputs
from mambadfuse.data.tasks import MODALITIES, modality_of, task_of

if TYPE_CHECKING:
    from mambadfuse.data.pairs import PairSet

PAIRS_FILE = "CSV file that lists the pairs, one a line: a,b or a,b,name; paths relative to its folder"


def add_folders(parser: ArgumentParser) -> None:
    """Declares --a, --b and --pairs-file for a command that compares images with the pairs in folders."""
    parser.add_argument(
        "--a", type=Path, metavar="DIR", help="folder of the infrared or MRI side, or of both sides"
    )
    parser.add_argument(
        "--b", type=Path, metavar="DIR", help="folder of the other side; not needed if --a holds both sides"
    )
    parser.add_argument("--pairs-file", type=Path, metavar="CSV", help=f"instead: {PAIRS_FILE}")


def add_training_pairs(parser: ArgumentParser, to_train: str, use: str) -> None:
    """Declares --pairs and --validate, each also as a file of pairs.

    Args:
        parser: of the command.
        to_train: the help for --pairs.
        use: what the other pairs are for: "validate on", "score".
    """
    sides = ("A", "B")
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=sides, action="append", help=to_train)
    parser.add_argument(
        "--pairs-file",
        type=Path,
        nargs=1,
        metavar="CSV",
        action="append",
        dest="pairs",
        help=f"{PAIRS_FILE}; counts as one of the --pairs",
    )
    parser.add_argument(
        "--validate", type=Path, nargs=2, metavar=sides, help=f"two folders of pairs to {use}"
    )
    parser.add_argument(
        "--validate-file",
        type=Path,
        nargs=1,
        metavar="CSV",
        dest="validate",
        help=f"CSV file of pairs to {use}",
    )


def training_pairs_of(
    options: Namespace,
    results: Iterable[Path | None],
    inputs: Iterable[str | Path | None],
    reports: Iterable[Path | None] = (),
) -> "tuple[list[PairSet], PairSet | None]":
    """The pairs to train on and those of --validate; results and reports are checked to replace none, nor an input."""
    from mambadfuse.cli.reading import reading_of
    from mambadfuse.data.pairs_file import read_pairs_file

    reading = reading_of(options)
    given = [*(options.pairs or []), *([options.validate] if options.validate else [])]
    found = [reading.find_pairs(*paths) if len(paths) == 2 else read_pairs_file(*paths) for paths in given]
    lists = [paths[0] for paths in given if len(paths) == 1]
    files = [file for each in found for file in each.files]
    check_outputs(
        options,
        results=results,
        reports=reports,
        sources=[*inputs, *lists, *files],
        folders=[folder for each in found for folder in each.folders],
    )
    return found[: len(options.pairs or [])], found[-1] if options.validate else None


def add_shard(parser: ArgumentParser) -> None:
    """Declares --shard."""
    parser.add_argument(
        "--shard", type=shard, metavar="K/N", help="only the K-th of N equal parts of the pairs, as in 3/16"
    )


def add_join(parser: ArgumentParser, doing: str) -> None:
    """Declares --join, which makes one table of those of all shards; ``doing`` says what it takes the place of."""
    parser.add_argument(
        "--join",
        type=Path,
        nargs="+",
        metavar="JSON",
        help=f"instead of {doing}: the table of the whole from the --json files of all shards",
    )


def require_nothing_but_tables(options: Namespace, others: Iterable[object]) -> None:
    """Stops with a usage error if other inputs are given beside --join."""
    if options.a or options.b or options.pairs_file or options.shard or options.fused or any(others):
        options.usage_error(
            "--join takes everything from the tables of the shards: leave out the other inputs"
        )


def shard(text: str) -> tuple[int, int]:
    """Which part of how many, both counted from 1."""
    part, _, count = text.partition("/")
    if part.isdecimal() and count.isdecimal() and 1 <= int(part) <= int(count):
        return int(part), int(count)
    raise ArgumentTypeError(f"expected a part such as 3/16, found {text!r}")


def pairs_of(options: Namespace) -> "PairSet":
    """The pairs that the options name; a usage error if they name none, or name them twice.

    With --alpha a these are the images of one folder.
    """
    from mambadfuse.cli.reading import reading_of
    from mambadfuse.data.pairs_file import read_pairs_file

    require_pairs_once(options)
    if options.pairs_file:
        return read_pairs_file(options.pairs_file)
    return reading_of(options).find_pairs(options.a, options.b)


def require_pairs_once(options: Namespace) -> None:
    """Stops with a usage error unless the pairs are given by folders or by a file of pairs."""
    if bool(options.a) == bool(options.pairs_file) or (options.b and options.pairs_file):
        options.usage_error("give --a, with --b or alone, or --pairs-file")


def check_sides(options: Namespace, wanted: str) -> None:
    """Stops unless --a and --b name existing files or folders; one folder that is given alone becomes both.

    Args:
        options: of the command; --alpha a takes both sides from one file or folder.
        wanted: what the usage error asks for if a side is missing.
    """
    if options.alpha == "a":
        options.a = options.a or options.b
        options.b = options.b or options.a
    elif options.a and options.a.is_dir():
        options.b = options.b or options.a
    if not (options.a and options.b):
        options.usage_error(f"give {wanted}")
    for path in (options.a, options.b):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    if options.alpha == "a" and not options.a.samefile(options.b):
        options.usage_error("--alpha a takes side a from the alpha channel of --b: leave out --a")


def refuse_swapped_sides(options: Namespace, a: Path, b: Path) -> None:
    """Stops with a usage error if by their names a shows what belongs on side b, and b what belongs on side a."""
    of_a, of_b = (modality_of(path, hints=path.suffix != "") for path in (a, b))
    if of_a and of_b and task_of(of_b, of_a):
        titles = MODALITIES[of_a].title, MODALITIES[of_b].title
        options.usage_error(f"by their names --a {a} is {titles[0]} and --b {b} is {titles[1]}: swap them")
