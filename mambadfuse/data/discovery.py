"""Finding pairs: :func:`find_pairs` is how every command, and Python, gets from folders to pairs.

Given one folder, the names of the folders and images below it show what belongs together. The known layouts
are the authors' (trainsets/VIR/{IR,VI_Y}, valsets/PET-MRI/{PET_Y,MRI}, ...), MSRS ({train,test}/{ir,vi}), RoadScene
(cropinfrared, crop_LR_visible), M3FD (Ir, Vis), LLVIP ({infrared,visible}/{train,test}), TNO ({IR,VIS}) and the
kit's own (ct-mri/train/{ct,mri}). Two folders belong together when their paths differ in the name of the modality only.
Where both sides of a scene lie in one folder, as in the full TNO archive, the names of the images say which is
which: :mod:`mambadfuse.data.single_folder`.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain, product
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import (
    Pair,
    PairError,
    PairSet,
    match_folders,
    require_folder,
    sources_below,
)
from mambadfuse.data.pairs_file import lists_pairs, read_pairs_file
from mambadfuse.data.single_folder import match_within, several_readings, tasks_in
from mambadfuse.data.tasks import (
    FOLDERS,
    MODALITIES,
    SPLITS,
    TASKS,
    modality_of,
    modality_of_folder,
    read_folder_label,
    task_of,
)

_Sides = dict[tuple[str, ...], list[tuple[str, Path]]]  # path without the modality -> modalities and folders
_SHOWN = 4  # words for a modality in a message
_NO_SIDES = "not used: neither its name nor the names of its images give a side, as IR_1 and VIS_1 do"


def find_pairs(a: str | Path | PairSet, b: str | Path | None = None) -> PairSet:
    """The pairs of two folders, of one folder that holds both sides, or of a CSV file that lists them.

    Two folders are matched by the names of their files, see :func:`~mambadfuse.data.pairs.match_folders`. One folder,
    given alone or twice, is searched for both sides: folders such as ``ir`` and ``vi`` at any depth, and images
    such as ``IR_1.png`` and ``VIS_1.png`` in one folder. Its pairs are named by the path of side a below it.
    A file is never paired with itself. Where names do not tell, a file ``*.csv`` does, see
    :func:`~mambadfuse.data.pairs_file.read_pairs_file`.

    >>> from mambadfuse.data.discovery import find_pairs
    >>> from mambadfuse.resources import resource_folder
    >>> samples = resource_folder("data_samples") / "ivf"
    >>> [pair.name for pair in find_pairs(samples / "ir", samples / "vi").pairs]
    ['synthetic_night_street', 'synthetic_smoke_yard']
    >>> [pair.name for pair in find_pairs(samples).pairs]
    ['ir/synthetic_night_street', 'ir/synthetic_smoke_yard']

    Args:
        a: the folder of the infrared or MRI side, or of both sides; or a file of pairs; or pairs that were found
            before, which are returned as they are.
        b: the folder of the visible, CT, PET or SPECT side; None or ``a`` if both sides lie below ``a``.

    Raises:
        PairError: there is no pair, a folder is missing, or one folder holds pairs of several tasks.
    """
    if isinstance(a, PairSet):
        return a
    a = Path(a)
    if b is None and lists_pairs(a):
        return read_pairs_file(a)
    b = a if b is None else Path(b)
    require_folder(a)
    require_folder(b)
    if a.samefile(b):
        return _all_below(a)
    return match_folders(a, b, task_of(modality_of(a), modality_of(b)))


def find_images_with_alpha(a: str | Path, b: str | Path | None = None) -> PairSet:
    """Every image of a folder as both sides of a pair, for thermal images stored as an alpha channel.

    Raises:
        PairError: the folder is missing or holds no images.
        ValueError: ``b`` is another folder.
    """
    folder = Path(a)
    files, issues = sources_below(folder)
    if b is not None and not folder.samefile(b):
        raise ValueError(f'alpha="a" takes both sides from {a}, but b is another folder, {b}')
    if not files:
        raise PairError(issues[0])
    pairs = tuple(Pair(name, file, file) for name, file in sorted(files.items()))
    return PairSet(folder, folder, pairs, tuple(issues))


def _all_below(root: Path) -> PairSet:
    """Every pair below a folder as one set."""
    sets, issues = scan(root)
    _require_pairs(sets, issues)
    tasks = list(dict.fromkeys(found.task for found in sets if found.task))
    if len(tasks) > 1:
        several = f"holds pairs of {' and '.join(tasks)}: give the two folders of one task"
        raise PairError(Issue(root, several))
    pairs: dict[str, Pair] = {}
    for pair in (pair for found in sets for pair in found.pairs):
        name = unicodedata.normalize("NFC", pair.a.relative_to(root).with_suffix("").as_posix())
        if name in pairs:
            partners = " and ".join(str(one.b.relative_to(root)) for one in (pairs[name], pair))
            raise PairError(
                Issue(pair.a, f"has two partners, {partners}: give the two folders that belong together")
            )
        pairs[name] = replace(pair, name=name)
    # Skipping a whole folder must be reported.
    unknown = [replace(issue, severity="problem") for issue in issues]
    issues = [issue for found in sets for issue in found.issues] + unknown
    in_order = tuple(pairs[name] for name in sorted(pairs))
    return PairSet(root, root, in_order, tuple(issues), tasks[0])


def find_sets(root: str | Path) -> list[PairSet]:
    """Every set of pairs below a folder, in the order of their paths; side a is always infrared or MRI.

    ``visible/train`` goes with ``infrared/train``, ``Zürich/VIS`` with ``Zürich/IR``. A folder with partners of
    two modalities, MRI beside CT and PET, is in two sets. Pairs within single folders come last, as one set for each
    task and split. Hidden folders are ignored, links are followed.

    Raises:
        PairError: no folder or image has a known name, a folder has no partner, or a set has no
            pair. :func:`mambadfuse.data.checking.check` lists all such problems instead.
    """
    sets, issues = scan(Path(root))
    _require_pairs(sets, issues)
    return sets


def _require_pairs(sets: Iterable[PairSet], issues: Iterable[Issue]) -> None:
    for issue in problems(issues):
        raise PairError(issue)
    for found in sets:
        if not found.pairs:
            raise PairError(problems(found.issues)[0])


def scan(root: Path) -> tuple[list[PairSet], list[Issue]]:
    """Every set of pairs below a folder, and what is wrong with, or worth knowing about, the folders outside them.

    A file of pairs is one set. A folder without its partner is a problem, a folder of images whose names say nothing
    is a note. The issues of single files are in their sets.

    Raises:
        PairError: the root is missing or not a folder, or no name below it is known.
    """
    if lists_pairs(root):
        return [read_pairs_file(root)], []
    require_folder(root)
    sides: _Sides = defaultdict(list)
    doubtful: _Sides = defaultdict(list)
    single, unknown = [], []
    for folder in _picture_folders(root):
        if side := _side_by_name(folder, root):
            sides[side[0]].append((side[1], folder))
        elif tasks_in(folder):
            single.append(folder)
        elif side := _side_by_name(folder, root, hints=True):
            doubtful[side[0]].append((side[1], folder))
        elif _holds_pictures(folder):
            unknown.append(folder)
    unknown += _join_doubtful(sides, doubtful)
    unused = [several_readings(folder) or Issue(folder, _NO_SIDES, "note") for folder in unknown]
    if not sides and not single:
        raise PairError(next(iter(problems(unused)), Issue(root, _why_nothing(root, bool(unknown)))))
    sets, issues = _match_sides(root, sides)
    sets += _match_single(root, single)
    return sets, issues + unused


def _side_by_name(folder: Path, root: Path, hints: bool = False) -> tuple[tuple[str, ...], str] | None:
    """The path with the innermost name of a modality left out, and that modality; None if no name gives one."""
    parts = [unicodedata.normalize("NFC", part) for part in folder.relative_to(root).parts]
    for i in reversed(range(len(parts))):
        label = read_folder_label(parts[i], hints)
        if label.modality:
            return (*parts[:i], "*", *label.scene.split(), *parts[i + 1 :]), label.modality
    return None


def _join_doubtful(sides: _Sides, doubtful: _Sides) -> list[Path]:
    """Adds the folders whose names could be those of a partner; returns the others that hold images."""
    others = []
    for path, folders in doubtful.items():
        certain = {modality for modality, _ in sides[path]}
        found = certain | {modality for modality, _ in folders}
        for modality, folder in folders:
            has_partner = any(modality in both and found.issuperset(both) for both in TASKS.values())
            if has_partner and modality not in certain:
                sides[path].append((modality, folder))
            elif _holds_pictures(folder):
                others.append(folder)
        if not sides[path]:
            del sides[path]
    return others


def _match_sides(root: Path, sides: _Sides) -> tuple[list[PairSet], list[Issue]]:
    """The pairs of folders whose paths differ in the modality only, and the folders without a partner.

    The images of two folders are matched with those of their sub-folders, so these make no sets of their own.
    """
    sets, issues, failures = [], [], []
    matched: set[tuple[Path, Path]] = set()
    for path, folders in sides.items():
        split = _split((root.resolve().name, *path))
        paired = set()
        for modality_a, a in folders:
            for modality_b, b in folders:
                task = task_of(modality_a, modality_b)
                if task is None:
                    continue
                paired |= {a, b}
                if not matched.isdisjoint(product(_listing(a), _listing(b))):
                    continue
                try:
                    sets.append(match_folders(a, b, task, split))
                    matched.add((a, b))
                except PairError as error:
                    failures.append(error.issue)
        listed = set(chain.from_iterable(matched))
        issues += [
            Issue(folder, _missing_partner(folder))
            for _, folder in folders
            if folder not in paired and listed.isdisjoint(_listing(folder))
        ]
    return sets, issues + failures


def _listing(folder: Path) -> Iterator[Path]:
    """The folders above that list its files as theirs, which they do not through a link."""
    while not folder.is_symlink() and folder != folder.parent:
        folder = folder.parent
        yield folder


def _match_single(root: Path, folders: Iterable[Path]) -> list[PairSet]:
    """The pairs within single folders: one set for each task and split."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in folders:
        split = _split((root.resolve().name, *folder.relative_to(root).parts))
        for task in tasks_in(folder):
            groups[task, split].append(folder)
    return [match_within(root, own, task, split) for (task, split), own in groups.items()]


def _why_nothing(root: Path, has_pictures: bool) -> str:
    if modality_of_folder(root.resolve().name):
        return "is named after one side; give the folder that holds both"
    if not has_pictures:
        return "there is no image below it"
    return (
        f"no folder below it has a known name ({_known(FOLDERS.values())}), and no folder holds images "
        "named after both sides, as IR_1 and VIS_1 are; two folders can be given, or a file of pairs (--pairs-file)"
    )


def _missing_partner(folder: Path) -> str:
    part = next(part for part in reversed(folder.parts) if modality_of_folder(part))
    modality = modality_of_folder(part)
    partners = {b if a == modality else a for a, b in TASKS.values() if modality in (a, b)}
    return f"has no partner: expected the same path with one of {_known(partners)} in place of {part}"


def _known(modalities: Collection[str]) -> str:
    """The first names of folders for each modality."""
    words = [MODALITIES[name].words for name in MODALITIES if name in modalities]
    shown = [word for own in words for word in own[:_SHOWN]]
    return ", ".join(shown if len(shown) == sum(map(len, words)) else [*shown, "..."])


def _picture_folders(root: Path) -> Iterator[Path]:
    """Every folder that holds image files, and every one without sub-folders, even if it is empty."""
    for path, folders, _ in os.walk(root, followlinks=True):
        here = Path(path)
        folders[:] = sorted(name for name in folders if name[0] != "." and not _leads_back(here / name))
        if not folders or _holds_pictures(here):
            yield here


def _holds_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in FORMATS and path.name[0] != "." for path in folder.iterdir())


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that contains it."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _split(parts: tuple[str, ...]) -> str:
    """The split given by the innermost folder that is named after one; "all" if none is."""
    return next((SPLITS[part.lower()] for part in reversed(parts) if part.lower() in SPLITS), "all")
