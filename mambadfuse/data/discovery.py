"""Layouts: which folders below a root hold pairs, told by their names alone.

The names known cover the authors' folders (trainsets/VIR/{IR,VI_Y}, valsets/PET-MRI/{PET_Y,MRI}, ...), MSRS
({train,test}/{ir,vi}), RoadScene (cropinfrared, crop_LR_visible), M3FD (Ir, Vis), LLVIP ({infrared,visible}/{train,
test}), TNO ({IR,VIS}) and the kit's own (ct-mri/train/{ct,mri}). Two folders belong together when their paths
differ in that one name only. In the whole archive of TNO both sides of a scene lie in one folder, with names that
say which is which: :mod:`mambadfuse.data.single_folder`.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.pairs import LeftOut, Matching, Pair, PairError, match_pairs
from mambadfuse.data.single_folder import match_within, tasks_in
from mambadfuse.data.tasks import FOLDERS, TASKS

NOT_NAMED = (
    "passed over, as neither folder nor pictures are named after both sides of a pair, such as IR_1 and VIS_1"
)

SPLITS = {
    "train": "train", "trainsets": "train",
    "val": "val", "valid": "val", "validation": "val", "valsets": "val",
    "test": "test", "testsets": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Folders:
    """Two folders whose names say that they belong together."""

    task: str
    split: str
    """"train", "val" or "test"; "all" where no folder name says which."""
    a: Path
    """The infrared or MRI side."""
    b: Path
    """The visible, CT, PET or SPECT side."""


@dataclass(frozen=True)
class PairSet:
    """The pairs of two folders; one and the same where both sides of each scene lie in one folder below it."""

    task: str
    split: str
    folder_a: Path
    folder_b: Path
    matching: Matching


@dataclass(frozen=True)
class Found:
    """What the folders below a root are, by their names and those of the pictures in them.

    Attributes:
        together: two folders each.
        alone: their name is known, but the partner missing.
        scenes: both sides of a pair lie in the folder itself.
        unknown: they hold pictures, but nothing says of what.
    """

    together: tuple[Folders, ...]
    alone: tuple[Path, ...]
    scenes: tuple[Path, ...]
    unknown: tuple[Path, ...]


def find_sets(root: str | Path) -> list[PairSet]:
    """Every set of pairs below a folder, in the order of their paths; side a is always infrared or MRI.

    ``visible/train`` goes with ``infrared/train``, ``Zürich/VIS`` with ``Zürich/IR``. A folder with partners of
    two kinds, MRI beside CT and PET, is in two sets. The scenes that are folders of their own come last, as one set
    for each task and split. Hidden folders are passed over, links are followed.

    Raises:
        PairError: there is no pair of folders whose names are known, a folder has no partner, or a set
            would have no pair of pictures. :func:`mambadfuse.data.checking.check` lists all such problems instead.
    """
    found = find_folders(root)
    for folder in found.alone:
        raise PairError(f"{folder}: {missing_partner(folder)}")
    scenes = sets_of_scenes(Path(root), found.scenes)
    for empty in (found.matching.left_out[0] for found in scenes if not found.matching.pairs):
        raise PairError(f"{empty.path}: {empty.reason}")
    return [PairSet(f.task, f.split, f.a, f.b, match_pairs(f.a, f.b)) for f in found.together] + scenes


def all_pairs(root: str | Path) -> PairSet:
    """Every pair below a folder as one set; pairs are named by the path of their side a.

    Raises:
        PairError: as :func:`find_sets`, or there are pairs of several tasks.
    """
    root = Path(root)
    sets = find_sets(root)
    tasks = list(dict.fromkeys(found.task for found in sets))
    if len(tasks) > 1:
        raise PairError(f"{root}: holds pairs of {' and '.join(tasks)}: name the two folders of one task")
    pairs = [pair for found in sets for pair in found.matching.pairs]
    named = [Pair(pair.a.relative_to(root).with_suffix("").as_posix(), pair.a, pair.b) for pair in pairs]
    left_out = [file for found in sets for file in found.matching.left_out]
    left_out += [LeftOut(folder, NOT_NAMED) for folder in find_folders(root).unknown]
    return PairSet(tasks[0], "all", root, root, Matching(tuple(named), tuple(left_out)))


def find_folders(root: str | Path) -> Found:
    """What each folder below ``root`` holds; those without pictures are passed over.

    Raises:
        PairError: the root is missing or no folder, or no name below it is known.
    """
    root = Path(root)
    if not root.is_dir():
        raise PairError(f"{root}: {'is not a folder' if root.exists() else 'there is no such folder'}")
    groups: dict[tuple[str, ...], list[tuple[str, Path]]] = defaultdict(list)
    scenes, unknown = [], []
    for folder in _picture_folders(root):
        parts = _parts(folder, root)
        telling = [i for i, part in enumerate(parts) if part.lower() in FOLDERS]
        if telling:
            modality = FOLDERS[parts[telling[-1]].lower()]
            parts[telling[-1]] = "*"
            groups[tuple(parts)].append((modality, folder))
        elif tasks_in(folder):
            scenes.append(folder)
        elif _holds_pictures(folder):
            unknown.append(folder)
    if not groups and not scenes and root.resolve().name.lower() in FOLDERS:
        raise PairError(f"{root}: is the folder of one side by its name; name the one that both sides lie in")
    if not groups and not scenes and not unknown:
        raise PairError(f"{root}: there is no picture below it")
    if not groups and not scenes:
        raise PairError(
            f"{root}: no folder below it has a known name ({', '.join(FOLDERS)}), and no names of pictures in one "
            "folder say two sides, as IR_1 and VIS_1 do"
        )
    together, alone = [], []
    for path, group in groups.items():
        split = _split((root.resolve().name, *path))
        pairs = [
            Folders(TASKS[kind_a, kind_b], split, a, b)
            for kind_a, a in group
            for kind_b, b in group
            if (kind_a, kind_b) in TASKS
        ]
        paired = {folder for pair in pairs for folder in (pair.a, pair.b)}
        together += pairs
        alone += [folder for _, folder in group if folder not in paired]
    return Found(tuple(together), tuple(alone), tuple(scenes), tuple(unknown))


def sets_of_scenes(root: Path, folders: Iterable[Path]) -> list[PairSet]:
    """The pairs within these folders below ``root``: one set for each task and split."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in folders:
        split = _split((root.resolve().name, *_parts(folder, root)))
        for task in tasks_in(folder):
            groups[task, split].append(folder)
    return [
        PairSet(task, split, root, root, match_within(root, own, task))
        for (task, split), own in groups.items()
    ]


def missing_partner(folder: Path) -> str:
    """The complaint about a folder which :func:`find_folders` found alone."""
    part = next(part for part in reversed(folder.parts) if part.lower() in FOLDERS)
    modality = FOLDERS[part.lower()]
    partners = {b if a == modality else a for a, b in TASKS if modality in (a, b)}
    names = ", ".join(name for name, kind in FOLDERS.items() if kind in partners)
    return f"has no partner: expected the same path with one of {names} in place of {part}"


def _picture_folders(root: Path) -> Iterator[Path]:
    """Every folder that holds picture files, and every one with no folder below it, be it empty."""
    for path, folders, _ in os.walk(root, followlinks=True):
        here = Path(path)
        folders[:] = sorted(name for name in folders if name[0] != "." and not _leads_back(here / name))
        if not folders or _holds_pictures(here):
            yield here


def _holds_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in FORMATS and path.name[0] != "." for path in folder.iterdir())


def _parts(folder: Path, root: Path) -> list[str]:
    """The names on the way from the root to a folder, normalised."""
    return [unicodedata.normalize("NFC", part) for part in folder.relative_to(root).parts]


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _split(parts: tuple[str, ...]) -> str:
    """What the innermost folder name with a meaning says."""
    return next((SPLITS[part.lower()] for part in reversed(parts) if part.lower() in SPLITS), "all")
