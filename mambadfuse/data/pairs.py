"""Pairs: which image of one folder belongs to which image of another, by their names."""

import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.issues import Issue
from mambadfuse.data.record import OLD_RECORD, old_record, results_among_sources
from mambadfuse.data.tasks import Label, read_label, side_of, task_of

_log = logging.getLogger("mambadfuse")
_RUN = re.compile(r"\d+|[^\W\d_]+|[\W_]+")  # a number, a word, or what separates them
_OF_SYSTEMS = ("thumbs.db", "desktop.ini")  # which Windows leaves in folders of images
_RESULT = "not used as a source: a result, made from images of this folder"


class PairError(ValueError):
    """There is no pair at all; the message names a folder or file and says why.

    Args:
        issue: the same, as a record.
    """

    def __init__(self, issue: Issue) -> None:
        super().__init__(issue)
        self.issue = issue


@dataclass(frozen=True)
class Pair:
    """Two images of one scene; a is the infrared or MRI side, b the visible, CT, PET or SPECT side."""

    name: str
    a: Path
    b: Path
    task: str | None = None
    """A key of :data:`mambadfuse.data.tasks.TASKS`; None if unknown."""


@dataclass(frozen=True)
class PairSet:
    """Pairs that were found together.

    Attributes:
        folder_a: the folder of the a sides.
        folder_b: the folder of the b sides; the same as ``folder_a`` where both sides lie below one folder, or where a
            CSV file in it lists the pairs.
        pairs: in the order of their names.
        issues: every file in no pair, as a problem, and what is worth knowing about the others, as a note.
        task: of the pairs; None if unknown.
        split: "train", "val" or "test"; "all" where no folder name says which.
    """

    folder_a: Path
    folder_b: Path
    pairs: tuple[Pair, ...]
    issues: tuple[Issue, ...] = ()
    task: str | None = None
    split: str = "all"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image file that was found, in a pair or not, also in folders that are not used."""
        paired = [path for pair in self.pairs for path in (pair.a, pair.b)]
        others = (file for issue in self.issues for file in images_at(Path(issue.subject)))
        return (*paired, *others)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders all of whose images are sources; none where both sides lie below one folder."""
        return () if self.folder_a == self.folder_b else (self.folder_a, self.folder_b)

    def shard(self, part: int, count: int) -> "PairSet":
        """Every count-th pair, from the part-th on: the shards 1/3, 2/3 and 3/3 hold each pair once.

        Raises:
            ValueError: there is no such part, or it would be empty.
        """
        if not 1 <= part <= count:
            raise ValueError(f"shard {part}/{count}: the parts go from 1 to {count}")
        if count > len(self.pairs):
            raise ValueError(
                f"shard {part}/{count}: there are only {len(self.pairs)} pairs, choose fewer shards"
            )
        return replace(self, pairs=self.pairs[part - 1 :: count])


def match_folders(
    folder_a: str | Path, folder_b: str | Path, task: str | None = None, split: str = "all"
) -> PairSet:
    """Pairs the images of two folders by file name without suffix: ``a/07.png`` goes with ``b/07.jpg``.

    Images in sub-folders go by their path: ``a/night/07.png`` with ``b/night/07.jpg``, under the name
    ``night/07``. Files without a partner after that go together if their names differ only in the words that say
    which side they are: ``a/IR_07.png`` with ``b/VIS_07.png``, under the name of side a. Words that could also mean
    something else come next: ``a/DJI_07_T.png`` with ``b/DJI_07_W.png``. Last come names of which only one has such a
    word: ``a/07_thermal.png`` with ``b/07.png``. Where no name has a partner by then, what all names of a folder begin
    or end with is left aside: ``a/i0001.png``, ``a/i0002.png`` go with ``b/v0001.png``, ``b/v0002.png``, and a
    warning is logged.

    Names are compared after Unicode normalisation (NFC), since file systems spell "é" in two ways. Hidden files are
    ignored; every other file is in a pair or among the issues: it has no partner, lacks the suffix of an image,
    shares its name with another one, or is the very file that would be its partner.

    Raises:
        PairError: a folder is missing, not a folder or empty, or no file of one has a partner in the other.
    """
    folder_a, folder_b = Path(folder_a), Path(folder_b)
    files_a, issues = sources_below(folder_a)
    files_b, issues_b = sources_below(folder_b)
    partners, rivals = match_names(files_a, files_b, unmarked=True)
    by_cores = {} if partners or rivals else _match_cores(files_a, files_b)
    partners = partners or by_cores
    if not partners and not rivals:
        raise PairError(_why_none(folder_a, folder_b, files_a, files_b, [*issues, *issues_b]))
    unusable_a, unusable_b = _by_stem(issues, folder_a), _by_stem(issues_b, folder_b)
    issues += issues_b
    if by_cores:
        _log.warning("%s", Issue(folder_a, _by_cores(by_cores, folder_b)))
    for files, paired, other, unusable in (
        (files_a, partners.keys(), folder_b, unusable_b),
        (files_b, set(partners.values()), folder_a, unusable_a),
    ):
        for name in sorted(files.keys() - paired, key=lambda name: (name in rivals, name)):
            among = f", which could be one of {', '.join(rivals[name])}" if name in rivals else ""
            issues.append(Issue(files[name], unusable.get(name, f"has no partner in {other}{among}")))
    pairs = []
    for name in sorted(partners):
        pair = Pair(name, files_a[name], files_b[partners[name]], task)
        if pair.a.samefile(pair.b):
            issues.append(Issue(pair.a, f"is the same file as its partner {pair.b}"))
        else:
            pairs.append(pair)
    if not pairs:
        raise PairError(issues[-1])
    return PairSet(folder_a, folder_b, tuple(pairs), tuple(issues), task, split)


def _by_stem(issues: Iterable[Issue], folder: Path) -> dict[str, str]:
    """What is to be said of a file whose partner is there but cannot be used, by its path without suffix."""
    stems = {Path(issue.subject).relative_to(folder).with_suffix("").as_posix(): issue for issue in issues}
    return {
        unicodedata.normalize("NFC", stem): f"has no partner that can be used: {issue.subject} {issue.reason}"
        for stem, issue in stems.items()
    }


def _why_none(
    folder_a: Path, folder_b: Path, files_a: dict[str, Path], files_b: dict[str, Path], issues: list[Issue]
) -> Issue:
    """Why two folders hold no pair: one has no file that can be used, or no name is in both."""
    for folder, files in ((folder_a, files_a), (folder_b, files_b)):
        if not files:
            first = next(issue for issue in issues if folder in Path(issue.subject).parents)
            name = Path(first.subject).relative_to(folder)
            return Issue(folder, f"none of its files can be used: {name} {first.reason}")
    reason = f"no image in it has the name of one in {folder_b} (suffixes may differ)"
    return Issue(folder_a, f"{reason}; a file of pairs can tell (--pairs-file)")


def _match_cores(names_a: Iterable[str], names_b: Iterable[str]) -> dict[str, str]:
    """The name on side b for names on side a by their cores, if one side has the cores of all names of the other."""
    cores_a, cores_b = _cores(names_a), _cores(names_b)
    if cores_a.keys() <= cores_b.keys() or cores_b.keys() <= cores_a.keys():
        return {cores_a[core]: cores_b[core] for core in cores_a.keys() & cores_b.keys()}
    return {}


def _cores(names: Iterable[str]) -> dict[tuple[str, ...], str]:
    """Names by what is left of them without the words, numbers and separators with which all begin or end.

    Zeros before a number do not count, sub-folders are part of a core. Empty if there are fewer than two names, two
    with one core, or nothing is left of one.
    """
    names = list(names)
    parts = {
        name: [
            part.lstrip("0") or "0" if part.isdecimal() else part
            for part in _RUN.findall(name.rpartition("/")[2].casefold())
        ]
        for name in names
    }
    for end in (0, -1):
        while len({own[end] if own else None for own in parts.values()}) == 1 and all(parts.values()):
            for own in parts.values():
                del own[end]
    cores = {(name.rpartition("/")[0], *own): name for name, own in parts.items() if own}
    return cores if len(cores) == len(names) > 1 else {}


def _by_cores(partners: dict[str, str], folder_b: Path) -> str:
    a, b = min(partners.items())
    return (
        f"paired with {folder_b} by what the names of each folder do not share, {a} with {b}: "
        "list the pairs in a file (--pairs-file) if that is wrong"
    )


def match_names(
    names_a: Iterable[str], names_b: Iterable[str], unmarked: bool = False
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The name on side b for each name on side a that has one: the same, or else one of the same scene.

    Names of one scene go together if they lie in the same sub-folder, both say which side they are, and each
    is the only one of its side.

    Args:
        names_a: of side a.
        names_b: of side b.
        unmarked: whether, after that, one of the two names may say nothing of its side.

    Returns:
        The partners, and the possible partners of names that have several, or share one.
    """
    names_a, names_b = set(names_a), set(names_b)
    partners = {name: name for name in names_a & names_b}
    rivals: dict[str, list[str]] = {}
    for one_unmarked, hints in product((False, True) if unmarked else (False,), (False, True)):
        left_a, left_b = names_a - partners.keys(), names_b - set(partners.values())
        scenes_a, scenes_b = (_scenes(left, hints, one_unmarked) for left in (left_a, left_b))
        for scene in scenes_a.keys() & scenes_b.keys():
            a, b = (sorted(scenes[scene]) for scenes in (scenes_a, scenes_b))
            labels = [*scenes_a[scene].values(), *scenes_b[scene].values()]
            sides = side_of(scenes_a[scene][a[0]].modality), side_of(scenes_b[scene][b[0]].modality)
            if one_unmarked and len({label.modality is None for label in labels}) == 1:
                continue
            if hints and not one_unmarked and task_of(*sides) is task_of(*reversed(sides)):
                continue  # a hint counts only beside the other side of its task
            if len(a) == len(b) == 1:
                partners[a[0]] = b[0]
            else:
                rivals |= dict.fromkeys(a, b) | dict.fromkeys(b, a)
    return partners, rivals


def _scenes(names: Iterable[str], hints: bool, unmarked: bool) -> dict[tuple[str, str], dict[str, Label]]:
    """The names that say their side, and maybe the others, with what they say, by sub-folder and scene."""
    scenes: dict[tuple[str, str], dict[str, Label]] = defaultdict(dict)
    for name in names:
        folder, _, last = name.rpartition("/")
        label = read_label(last, hints)
        if label.modality is not None or unmarked:
            scenes[folder, label.scene][name] = label
    return scenes


def require_folder(folder: Path) -> None:
    """Refuses a path that is not a folder.

    Raises:
        PairError: it is missing, or a file.
    """
    if not folder.is_dir():
        raise PairError(Issue(folder, "is not a folder" if folder.exists() else "there is no such folder"))


def images_at(path: Path) -> list[Path]:
    """The path if its name is that of an image, or all such paths in it and its sub-folders if it is a folder."""
    found = path.rglob("*") if path.is_dir() else [path]
    return [file for file in found if file.suffix.lower() in FORMATS]


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder and its sub-folders that is neither hidden nor left there by the system.

    Raises:
        PairError: there is no such folder, or nothing in it.
    """
    require_folder(folder)
    names = {path: path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    files = [path for path, name in names.items() if not any(map(is_hidden, name.parts))]
    if not files:
        raise PairError(Issue(folder, "the folder holds no images"))
    return files


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left there by the system."""
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def sources_below(folder: Path) -> tuple[dict[str, Path], list[Issue]]:
    """As :func:`pictures_by_name`, for a folder of sources: results that were made from its images are set apart.

    Raises:
        PairError: there is no such folder, or nothing in it.
    """
    files, results = without_results(files_below(folder), folder)
    pictures, issues = pictures_by_name(files, folder)
    return pictures, [*issues, *results]


def without_results(files: Iterable[Path], root: Path) -> tuple[list[Path], list[Issue]]:
    """The files but those that this kit has made from others below the root, and a note on each of these."""
    files = sorted(files)
    folders = {file.parent for file in files}
    results = {result for folder in folders for result in results_among_sources(folder, root)}
    for old in filter(None, map(old_record, sorted(folders))):
        _log.warning("%s: %s: what it lists counts as a source", old, OLD_RECORD)
    notes = [Issue(file, _RESULT, "note") for file in files if file in results]
    return [file for file in files if file not in results], notes


def pictures_by_name(files: Iterable[Path], root: Path) -> tuple[dict[str, Path], list[Issue]]:
    """The images by normalised path below the root, without suffix, and the files that cannot be in a pair."""
    same_name: dict[str, list[Path]] = defaultdict(list)
    issues = []
    for path in sorted(files):
        if not path.is_file():
            issues.append(Issue(path, "is a pipe, socket or device" if path.exists() else "is a broken link"))
        elif path.suffix.lower() in FORMATS:
            name = path.relative_to(root).with_suffix("").as_posix()
            same_name[unicodedata.normalize("NFC", name)].append(path)
        else:
            issues.append(Issue(path, f"is not an image file ({', '.join(FORMATS)})"))
    for name, paths in same_name.items():
        if len(paths) > 1:
            files_of_name = " and ".join(path.name for path in paths)
            issues += [Issue(path, f"shares its name {name!r}: {files_of_name}") for path in paths]
    return {name: paths[0] for name, paths in same_name.items() if len(paths) == 1}, issues
