"""Pairs listed in a CSV file, for images whose names do not tell what belongs together."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from mambadfuse.data.issues import Issue
from mambadfuse.data.pairs import Pair, PairError, PairSet
from mambadfuse.data.tasks import modality_of, task_of

HEADER = ["a", "b", "name"]


def read_pairs_file(path: str | Path) -> PairSet:
    """The pairs in a CSV file (UTF-8, commas), one a line: side a, side b and, if wanted, a name.

    Paths are relative to the folder of the file. A pair without a name has that of side a, without suffix. The first
    line may be a header, ``a,b`` or ``a,b,name``; empty lines are ignored.

    >>> from mambadfuse.data.pairs_file import read_pairs_file
    >>> from mambadfuse.resources import resource_folder
    >>> from tempfile import TemporaryDirectory
    >>> samples = resource_folder("data_samples") / "ct-mri"
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "pairs.csv")
    ...     z16 = "icbm152_simulated_z16.png"
    ...     _ = file.write_text(f"a,b,name\\n{samples / 'mri' / z16},{samples / 'ct' / z16},slice 16\\n")
    ...     found = read_pairs_file(file)
    >>> [pair.name for pair in found.pairs], found.task
    (['slice 16'], 'ct-mri')

    Raises:
        PairError: a line is no pair of two files of its own, a name occurs twice or leads out of a folder of
            results, or there is no pair; the message names line and column.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise PairError(Issue(path, "is not a file" if path.exists() else "there is no such file"))
    pairs: list[Pair] = []
    lines: dict[str, int] = {}
    for number, cells in _rows(path):
        pair = _pair(path, number, cells)
        key = pair.name.casefold()  # two names that differ in case are one file on many systems
        if key in lines:
            reason = f"the name {pair.name!r} is that of line {lines[key]}, too; give each a name in a third column"
            raise _wrong(path, number, "name", reason)
        lines[key] = number
        pairs.append(pair)
    if not pairs:
        raise PairError(Issue(path, "lists no pairs; expected lines of a,b or a,b,name"))
    pairs.sort(key=lambda pair: pair.name)
    tasks = {task_of(modality_of(pair.a), modality_of(pair.b)) for pair in pairs}
    return PairSet(path.parent, path.parent, tuple(pairs), task=tasks.pop() if len(tasks) == 1 else None)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that list pairs, with their numbers; names of files need not be UTF-8."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                header = reader.line_num == 1 and [cell.lower() for cell in cells] in (HEADER[:2], HEADER)
                if any(cells) and not header:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise PairError(Issue(path, f"line {reader.line_num}: is not CSV ({error})")) from error


def _pair(path: Path, number: int, cells: Sequence[str]) -> Pair:
    if len(cells) not in (2, 3):
        raise PairError(Issue(path, f"line {number}: expected a,b or a,b,name, found {len(cells)} cells"))
    sides = []
    for column, cell in zip(HEADER, cells[:2], strict=False):
        side = path.parent / cell
        if not cell:
            raise _wrong(path, number, column, "is empty, expected the path of an image")
        if not side.is_file():
            state = "is not a file" if side.exists() else "there is no such file"
            raise _wrong(path, number, column, f"{cell}: {state} ({side})")
        sides.append(side)
    a, b = sides
    if a.samefile(b):
        raise _wrong(path, number, "b", f"{cells[1]}: is the same file as side a")
    name = (cells[2] if len(cells) == 3 else "") or a.stem
    parts = PurePath(name).parts
    if (
        PurePath(name).is_absolute()
        or ".." in parts
        or "\\" in name
        or any(part.startswith(".") for part in parts)
    ):
        raise _wrong(path, number, "name", f"{name!r} is not the name of a result, such as 07 or night/07")
    return Pair("/".join(parts), a, b, task_of(modality_of(a), modality_of(b)))


def _wrong(path: Path, number: int, column: str, reason: str) -> PairError:
    return PairError(Issue(path, f"line {number}, column {column}: {reason}"))
