"""Pairs listed in a CSV file, for images whose names do not tell what belongs together."""

import csv
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import Path, PurePath

from mambadfuse.data.issues import Issue
from mambadfuse.data.pairs import Pair, PairError, PairSet
from mambadfuse.data.tasks import modality_of, task_of
from mambadfuse.data.volumes import is_volume, without_suffix
from mambadfuse.files import printable

HEADER = ["a", "b", "name"]
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}

Row = tuple[int, list[str]]  # number of the line, cells
_CELLS = (2, 3)  # of a line
_LONGEST = 250  # bytes of a name, so that a suffix fits into the 255 of most file systems


def lists_pairs(path: Path) -> bool:
    """Whether a path is that of a file of pairs, by its name."""
    return path.suffix.lower() == ".csv" and not path.is_dir()


def lists_volumes(path: str | Path) -> bool:
    """Whether the first pair in a file of pairs is one of volumes, not of images.

    Raises:
        PairError, OSError: as :func:`read_pairs_file`.
    """
    path = Path(path)
    _require_file(path)
    rows = _rows(path)
    return bool(rows) and any(_is_volume(path.parent / cell) for cell in rows[0][1][:2])


def read_pairs_file(path: str | Path, volumes: bool = False) -> PairSet:
    """The pairs in a CSV file, one a line: side a, side b and, if wanted, a name.

    Commas, semicolons or tabs separate the cells, whichever fits; the text is UTF-8, or UTF-16 with its mark.

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

    Args:
        path: of the CSV file.
        volumes: whether it lists volumes, NIfTI files, DICOM files or folders with a DICOM series, instead of images.

    Raises:
        PairError: a line is no pair of two files of its own, a name occurs twice or leads out of a folder of
            results, or there is no pair; the message names line and column.
        OSError: the file cannot be read.
    """
    path = Path(path)
    _require_file(path)
    pairs: list[Pair] = []
    lines: dict[str, int] = {}
    for number, cells in _rows(path):
        pair = _pair(path, number, cells, volumes)
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


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise PairError(Issue(path, "is not a file" if path.exists() else "there is no such file"))


def _rows(path: Path) -> list[Row]:
    """The lines that list pairs, with their numbers."""
    text = _text(path)
    readings = {delimiter: _split(text, delimiter) for delimiter in DELIMITERS}
    fitting = {
        delimiter: sum(len(cells) in _CELLS for _, cells in rows) for delimiter, (rows, _) in readings.items()
    }
    best = [delimiter for delimiter in DELIMITERS if fitting[delimiter] == max(fitting.values())]
    if not any(fitting.values()):
        best = best[:1]
    if len(best) > 1:
        best = [delimiter for delimiter in best if _lists_files(path, readings[delimiter][0])] or best[:1]
    if len(best) > 1:
        names = " or ".join(DELIMITERS[delimiter] for delimiter in best)
        raise PairError(
            Issue(path, f"its cells could be separated by {names}, and both list files; use one of them")
        )
    rows, error = readings[best[0]]
    if error:
        raise PairError(Issue(path, error))
    return rows


def _text(path: Path) -> str:
    """UTF-8 or UTF-16; names of files need not be UTF-8."""
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding, errors="strict" if encoding == "utf-16" else "surrogateescape")
    except UnicodeDecodeError as error:
        raise PairError(Issue(path, f"is damaged UTF-16 ({error.reason})")) from error
    if "\0" in text:
        raise PairError(
            Issue(path, "is not a text in UTF-8, or is UTF-16 without its mark: save it as UTF-8")
        )
    return text


def _split(text: str, delimiter: str) -> tuple[list[Row], str]:
    """The lines that list pairs if this separates their cells, and what is wrong with the line after them."""
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows: list[Row] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            header = reader.line_num == 1 and [cell.lower() for cell in cells] in (HEADER[:2], HEADER)
            if any(cells) and not header:
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        return rows, f"line {reader.line_num}: is not CSV ({error})"
    return rows, ""


def _lists_files(path: Path, rows: Sequence[Row]) -> bool:
    """Whether the first line names two files."""
    return bool(rows) and all(_is_file(path.parent / cell) for cell in rows[0][1][:2])


def _is_file(path: Path) -> bool:
    """Whether there is such a file; names too long for one are no error."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_volume(path: Path) -> bool:
    """Whether there is such a volume; names too long for one are no error."""
    try:
        return path.exists() and is_volume(path)
    except OSError:
        return False


def _pair(path: Path, number: int, cells: Sequence[str], volumes: bool) -> Pair:
    if len(cells) not in (2, 3):
        raise PairError(Issue(path, f"line {number}: expected a,b or a,b,name, found {len(cells)} cells"))
    sides = []
    for column, cell in zip(HEADER, cells[:2], strict=False):
        side = path.parent / cell
        if not cell:
            raise _wrong(path, number, column, "is empty, expected the path of an image")
        if not volumes and _is_volume(side):
            reason = (
                f"{cell}: is a volume, of which only mambadfuse fuse takes a list; here images are expected"
            )
            raise _wrong(path, number, column, reason)
        if volumes and _is_file(side) and not _is_volume(side):
            raise _wrong(
                path, number, column, f"{cell}: is no volume (NIfTI, DICOM), as others in the list are"
            )
        if not (_is_volume(side) if volumes else _is_file(side)):
            expected = "volume" if volumes else "file"
            state = f"is not a {expected}" if os.path.lexists(side) else f"there is no such {expected}"
            advice = "; the list is not UTF-8, save it as that" if printable(cell) != cell else ""
            raise _wrong(path, number, column, f"{cell}: {state} ({side}){advice}")
        sides.append(side)
    a, b = sides
    if a.samefile(b):
        raise _wrong(path, number, "b", f"{cells[1]}: is the same file as side a")
    name = (cells[2] if len(cells) == 3 else "") or (without_suffix(a).name if volumes else a.stem)
    parts = PurePath(name).parts
    if (
        not parts
        or PurePath(name).is_absolute()
        or "\\" in name
        or any(part.startswith(".") for part in parts)
        or re.search(r"[\x00-\x1f\x7f]", name)
    ):
        raise _wrong(path, number, "name", f"{name!r} is not the name of a result, such as 07 or night/07")
    if any(len(os.fsencode(part)) > _LONGEST for part in parts):
        raise _wrong(
            path, number, "name", f"{name[:40]!r}... is longer than {_LONGEST} bytes; give it a shorter one"
        )
    return Pair("/".join(parts), a, b, task_of(modality_of(a), modality_of(b)))


def _wrong(path: Path, number: int, column: str, reason: str) -> PairError:
    return PairError(Issue(path, f"line {number}, column {column}: {reason}"))
