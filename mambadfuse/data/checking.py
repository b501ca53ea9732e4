"""Checking: everything that is wrong with a folder of pairs, file by file, before a night of training finds out."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data import catalogue
from mambadfuse.data.colour import Floats
from mambadfuse.data.discovery import scan
from mambadfuse.data.images import ImageError, picture_size, read_picture
from mambadfuse.data.issues import Issue, notes, problems
from mambadfuse.data.limited_range import looks_limited
from mambadfuse.data.pairs import Pair, PairError, PairSet


@dataclass(frozen=True)
class CheckedSet:
    """A set of pairs whose images were looked at.

    Attributes:
        pair_set: the set.
        sizes: each (width, height) that occurs, and how often.
        limited: whether side b is a ``*_Y`` folder whose values look like limited range.
    """

    pair_set: PairSet
    sizes: dict[tuple[int, int], int]
    limited: bool


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; ``str(report)`` is the text for people.

    Attributes:
        root: the folder that was checked.
        sets: the sets of pairs in it.
        issues: problems, and notes on what is not wrong: folders of unknown content, images that another one was
            preferred to.
        decoded: whether the pixels were looked at, too, and not only the headers.
    """

    root: Path
    sets: tuple[CheckedSet, ...]
    issues: tuple[Issue, ...]
    decoded: bool = False

    @property
    def problems(self) -> tuple[Issue, ...]:
        """What is wrong."""
        return problems(self.issues)

    @property
    def notes(self) -> tuple[Issue, ...]:
        """What is worth knowing although nothing is wrong."""
        return notes(self.issues)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        pairs = sum(len(checked.pair_set.pairs) for checked in self.sets)
        counts = ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for count, name in ((len(self.sets), "set"), (pairs, "pair"), (len(self.problems), "problem"))
        )
        lines = [f"{self.root}: {counts}", *map(_describe, self.sets)]
        lines += [f"  problem: {problem}" for problem in self.problems]
        if not self.decoded:
            lines.append("  only headers were read: --decode looks at the pixels, too")
        for reason in dict.fromkeys(note.reason for note in self.notes):
            paths = [Path(note.subject) for note in self.notes if note.reason == reason]
            lines += [f"  note: {reason}:", *(f"    {path.relative_to(self.root)}" for path in paths)]
        return "\n".join(lines)


PairRemark = Callable[[Floats, Floats], str | None]


def check(
    root: str | Path,
    dataset: str | None = None,
    decode: bool = False,
    pair_remark: PairRemark | None = None,
) -> Report:
    """Looks at every pair below a folder and lists all problems.

    These are folders or images without a partner, empty folders, several files of one name, files that are no
    images, images that cannot be read, and pairs that differ in size; with ``decode`` also those of
    :mod:`~mambadfuse.data.remarks`: images that are black or constant, use a narrow part of their range, hold several
    pages or frames, or have an alpha channel that looks like an image.

    >>> from mambadfuse.data.checking import check
    >>> from mambadfuse.resources import resource_folder
    >>> check(resource_folder("data_samples") / "ivf").ok
    True

    Args:
        root: a folder in any layout of :mod:`mambadfuse.data.discovery`.
        dataset: a name of the catalogue; the pairs must then be those of that data set: names and SHA-256 where
            they are known, number of pairs and image size where they are not.
        decode: whether to decode every image, not only its header: slower, but it finds truncated files and odd values.
        pair_remark: what is wrong with two decoded images of one size, None for nothing, such as
            :func:`mambadfuse.alignment.shift_remark`, which ``mambadfuse data check --decode`` asks.

    Raises:
        ValueError: the catalogue has no such data set.
    """
    root = Path(root)
    expected = None if dataset is None else catalogue.load(dataset)
    try:
        sets, issues = scan(root)
    except PairError as error:
        return Report(root, (), (error.issue,), decode)
    checked_sets = []
    for pair_set in sets:
        checked, more = _check_set(pair_set, decode, pair_remark)
        checked_sets.append(checked)
        issues += more
    if expected is not None:
        issues += _differences(root, checked_sets, expected)
    return Report(root, tuple(checked_sets), tuple(issues), decode)


def _check_set(
    pair_set: PairSet, decode: bool, pair_remark: PairRemark | None
) -> tuple[CheckedSet, list[Issue]]:
    """A set, and all that is to be said of it."""
    issues = list(pair_set.issues)
    sizes: Counter[tuple[int, int]] = Counter()
    readable = []
    for pair in pair_set.pairs:
        size, wrong = _check_pair(pair, decode, pair_remark)
        sizes.update(size)
        issues += wrong
        readable += [pair.b] if size else []
    is_luma = pair_set.folder_b.name.lower().endswith("_y")
    try:
        limited = bool(is_luma and readable and looks_limited(readable))
    except ImageError as error:  # a header was fine, the image below it is not
        limited, issues = False, [*issues, Issue(pair_set.folder_b, str(error))]
    return CheckedSet(pair_set, dict(sizes), limited), issues


def _check_pair(
    pair: Pair, decode: bool, pair_remark: PairRemark | None
) -> tuple[list[tuple[int, int]], list[Issue]]:
    """The size of a pair, none if its images share none, and what is wrong with it."""
    sizes, decoded, wrong = [], [], []
    for path in (pair.a, pair.b):
        try:
            picture = read_picture(path) if decode else None
            size = picture_size(path) if picture is None else picture.pixels.shape[1::-1]
        except ImageError as error:
            wrong.append(Issue(path, str(error).removeprefix(f"{path}: ")))
        else:
            sizes.append(size)
            if picture:
                decoded.append(picture.pixels)
                wrong += [Issue(path, str(remark)) for remark in picture.remarks]
    if len(sizes) < 2:
        return [], wrong
    if sizes[0] != sizes[1]:
        return [], [*wrong, size_mismatch(pair, sizes[0], sizes[1])]
    if pair_remark and decoded and (remark := pair_remark(*decoded)):
        wrong.append(Issue(pair.a, remark))
    return sizes[:1], wrong


def size_mismatch(pair: Pair, size_a: tuple[int, int], size_b: tuple[int, int]) -> Issue:
    """The problem of a pair whose images differ in size, (width, height) each."""
    found, other = ("{}x{}".format(*size) for size in (size_a, size_b))
    return Issue(pair.a, f"is {found}, but its partner {pair.b} is {other}")


def _differences(root: Path, sets: Iterable[CheckedSet], dataset: catalogue.Dataset) -> list[Issue]:
    """Where the pairs found are not those of the data set."""
    sets = [checked for checked in sets if checked.pair_set.task == dataset.task]
    pairs = {pair.name: pair for checked in sets for pair in checked.pair_set.pairs}
    wrong = []
    for entry in dataset.entries:
        pair = pairs.get(entry.name)
        if pair is None:
            wrong.append(Issue(root, f"lacks the pair {entry.name} of {dataset.name} {entry.split}"))
            continue
        for path, known in ((pair.a, entry.sha256_a), (pair.b, entry.sha256_b)):
            if known and (found := _sha256(path)) != known:
                wrong.append(Issue(path, f"is a different file: expected SHA-256 {known}, found {found}"))
    return wrong if dataset.source else wrong + _differences_of_structure(root, sets, dataset)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differences_of_structure(
    root: Path, sets: Iterable[CheckedSet], dataset: catalogue.Dataset
) -> list[Issue]:
    counts: Counter[str] = Counter()
    for checked in sets:
        counts[checked.pair_set.split] += len(checked.pair_set.pairs)
    wrong = [
        Issue(root, f"holds {counts[split]} pairs of {split}, expected {expected} of {dataset.name}")
        for split, expected in dataset.pairs.items()
        if counts[split] != expected
    ]
    for checked in sets:
        for size in checked.sizes:
            if dataset.picture not in (None, size):
                found, expected = "{}x{}".format(*size), "{}x{}".format(*dataset.picture)
                reason = f"holds images of {found}, expected {expected} of {dataset.name}"
                wrong.append(Issue(checked.pair_set.folder_a, reason))
    return wrong


def _describe(checked: CheckedSet) -> str:
    pair_set = checked.pair_set
    sizes = [f"{width}x{height}" for width, height in checked.sizes]
    size = sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes"
    line = f"  {pair_set.task} {pair_set.split}: {len(pair_set.pairs)} pairs, {size}, "
    root = pair_set.folder_a
    if root == pair_set.folder_b:
        found = [f"    {_below(root, pair.a)} with {pair.b.name}" for pair in pair_set.pairs]
        return "\n".join([f"{line}both sides in one folder:", *found])
    line += f"{root} and {pair_set.folder_b}"
    return f"{line}\n    side b looks like limited-range luma (16..235)" if checked.limited else line


def _below(root: Path, path: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
