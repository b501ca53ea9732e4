"""Checking: everything that is wrong with a folder of pairs, file by file, before a night of training finds out."""

import hashlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mambadfuse.data import catalogue
from mambadfuse.data.discovery import (
    NOT_NAMED,
    Folders,
    PairSet,
    find_folders,
    missing_partner,
    sets_of_scenes,
)
from mambadfuse.data.images import FORMATS, ImageError, read_image
from mambadfuse.data.limited_range import looks_limited
from mambadfuse.data.pairs import Pair, PairError, Remark, match_pairs

_EXIF_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)


@dataclass(frozen=True)
class Problem:
    """A file or folder, and what is wrong with it."""

    path: Path
    reason: str


@dataclass(frozen=True)
class CheckedSet:
    """A set of pairs that was looked through.

    Attributes:
        pairs: the set.
        sizes: each (width, height) that occurs, and how often.
        limited: whether side b is a ``*_Y`` folder whose values look like limited range.
    """

    pairs: PairSet
    sizes: dict[tuple[int, int], int]
    limited: bool


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; ``str(report)`` is the text for people."""

    root: Path
    sets: tuple[CheckedSet, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Remark, ...] = ()
    """Nothing wrong: pictures that another was preferred to, folders that are not known."""

    @property
    def ok(self) -> bool:
        """Whether there is no problem at all."""
        return not self.problems

    def __str__(self) -> str:
        pairs = sum(len(checked.pairs.matching.pairs) for checked in self.sets)
        lines = [_describe(checked) for checked in self.sets]
        lines += [f"  problem: {problem.path}: {problem.reason}" for problem in self.problems]
        for text in dict.fromkeys(remark.text for remark in self.remarks):
            paths = [remark.path for remark in self.remarks if remark.text == text]
            lines += [f"  note: {text}:", *(f"    {path.relative_to(self.root)}" for path in paths)]
        counts = ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for count, name in ((len(self.sets), "set"), (pairs, "pair"), (len(self.problems), "problem"))
        )
        return "\n".join([f"{self.root}: {counts}", *lines])


def check(root: str | Path, dataset: str | None = None, decode: bool = False) -> Report:
    """Looks through every pair below a folder and lists all problems.

    They are: a folder or picture without a partner, an empty folder, several files of one name, files that are no
    pictures, pictures that cannot be read, pairs that differ in size.

    Args:
        root: any layout of :mod:`mambadfuse.data.discovery`.
        dataset: a name of the catalogue; the pairs must then be those of that data set: names and SHA-256 where
            they are known, number of pairs and picture size where they are not.
        decode: decode every picture, not only its header. Slower, but finds truncated files.

    Raises:
        ValueError: the catalogue has no such data set.
    """
    root = Path(root)
    expected = None if dataset is None else catalogue.load(dataset)
    try:
        found = find_folders(root)
    except PairError as error:
        return Report(root, (), (_problem(root, error),))
    problems = [Problem(folder, missing_partner(folder)) for folder in found.alone]
    remarks = [Remark(folder, NOT_NAMED) for folder in found.unknown]
    sets = []
    for folders in found.together:
        try:
            sets.append(_match(folders))
        except PairError as error:
            problems.append(_problem(folders.a, error))
    sets += sets_of_scenes(root, found.scenes)
    checked_sets = []
    for pairs in sets:
        checked, more = _check_set(pairs, decode)
        checked_sets.append(checked)
        problems += more
        remarks += pairs.matching.remarks
    if expected is not None:
        problems += _differences(root, checked_sets, expected)
    return Report(root, tuple(checked_sets), tuple(problems), tuple(remarks))


def picture_size(path: Path, decode: bool = False) -> tuple[int, int]:
    """Width and height of a picture as it is read, upright; without ``decode`` from its header alone.

    Raises:
        ImageError: the picture cannot be read.
    """
    if not decode:
        with (
            suppress(Exception),
            path.open("rb") as file,
        ):  # what is wrong with a header, read_image says plainly
            image = Image.open(file, formats=sorted(set(FORMATS.values())))
            exif = Image.Image.getexif(image)  # image.getexif() would decode all of a PNG
            if exif.get(_EXIF_ORIENTATION) not in _ON_ITS_SIDE:
                return image.size
    height, width = read_image(path).shape[:2]
    return width, height


def _match(folders: Folders) -> PairSet:
    return PairSet(folders.task, folders.split, folders.a, folders.b, match_pairs(folders.a, folders.b))


def _check_set(pairs: PairSet, decode: bool) -> tuple[CheckedSet, list[Problem]]:
    """A set, and all that is wrong with it."""
    problems = [Problem(file.path, file.reason) for file in pairs.matching.left_out]
    sizes: Counter[tuple[int, int]] = Counter()
    readable = []
    for pair in pairs.matching.pairs:
        found, more = _check_pair(pair, decode)
        sizes.update(found)
        problems += more
        readable += [] if more else [pair.b]
    is_luma = pairs.folder_b.name.lower().endswith("_y")
    try:
        limited = bool(is_luma and readable and looks_limited(readable))
    except ImageError as error:  # a header was fine, the picture below it is not
        limited, problems = False, [*problems, Problem(pairs.folder_b, str(error))]
    return CheckedSet(pairs, dict(sizes), limited), problems


def _check_pair(pair: Pair, decode: bool) -> tuple[list[tuple[int, int]], list[Problem]]:
    """The size of a pair, none if it has no common one, and what is wrong with it."""
    sizes, problems = [], []
    for path in (pair.a, pair.b):
        try:
            sizes.append(picture_size(path, decode))
        except ImageError as error:
            problems.append(_problem(path, error))
    if problems:
        return [], problems
    if sizes[0] != sizes[1]:
        (wide, high), (other_wide, other_high) = sizes
        reason = f"is {wide}x{high}, but its partner {pair.b} is {other_wide}x{other_high}"
        return [], [Problem(pair.a, reason)]
    return sizes[:1], []


def _differences(root: Path, sets: list[CheckedSet], dataset: catalogue.Dataset) -> list[Problem]:
    """Where the pairs found are not those of the data set."""
    sets = [checked for checked in sets if checked.pairs.task == dataset.task]
    pairs = {pair.name: pair for checked in sets for pair in checked.pairs.matching.pairs}
    problems = []
    for entry in dataset.entries:
        pair = pairs.get(entry.name)
        if pair is None:
            problems.append(Problem(root, f"lacks the pair {entry.name} of {dataset.name} {entry.split}"))
            continue
        for path, known in ((pair.a, entry.sha256_a), (pair.b, entry.sha256_b)):
            if known and (found := _sha256(path)) != known:
                problems.append(Problem(path, f"is another file: expected SHA-256 {known}, found {found}"))
    return problems if dataset.source else problems + _differences_of_structure(root, sets, dataset)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differences_of_structure(
    root: Path, sets: list[CheckedSet], dataset: catalogue.Dataset
) -> list[Problem]:
    counts: Counter[str] = Counter()
    for checked in sets:
        counts[checked.pairs.split] += len(checked.pairs.matching.pairs)
    problems = [
        Problem(root, f"holds {counts[split]} pairs of {split}, expected {expected} of {dataset.name}")
        for split, expected in dataset.pairs.items()
        if counts[split] != expected
    ]
    for checked in sets:
        for size in checked.sizes:
            if dataset.picture not in (None, size):
                found, expected = "{}x{}".format(*size), "{}x{}".format(*dataset.picture)
                reason = f"holds pictures of {found}, expected {expected} of {dataset.name}"
                problems.append(Problem(checked.pairs.folder_a, reason))
    return problems


def _describe(checked: CheckedSet) -> str:
    pairs, sizes = checked.pairs, [f"{width}x{height}" for width, height in checked.sizes]
    what = sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes"
    line = f"  {pairs.task} {pairs.split}: {len(pairs.matching.pairs)} pairs, {what}, "
    if pairs.folder_a == pairs.folder_b:
        root = pairs.folder_a
        found = [f"    {pair.a.relative_to(root)} with {pair.b.name}" for pair in pairs.matching.pairs]
        return "\n".join([f"{line}both sides in one folder:", *found])
    line += f"{pairs.folder_a} and {pairs.folder_b}"
    return f"{line}\n    side b looks like limited-range luma (16..235)" if checked.limited else line


def _problem(path: Path, error: ValueError) -> Problem:
    """An error of reading or pairing, whose message may start with the path."""
    return Problem(path, str(error).removeprefix(f"{path}: "))
