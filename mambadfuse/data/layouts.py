"""Layouts: which folders below a root hold pairs, told by their names alone.

The tables below cover the authors' folders (trainsets/VIR/{IR,VI_Y}, valsets/PET-MRI/{PET_Y,MRI}, ...), MSRS
({train,test}/{ir,vi}), RoadScene (cropinfrared, crop_LR_visible), M3FD (Ir, Vis), LLVIP ({infrared,visible}/{train,
test}), TNO ({IR,VIS}) and the kit's own (ct-mri/train/{ct,mri}). Two folders belong together when their paths
differ in that one name only.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.pairs import Matching, PairError, match_pairs

# What the pictures of a folder show; its name is compared without regard to case.
MODALITIES = {
    "ir": "infrared", "inf": "infrared", "infrared": "infrared", "cropinfrared": "infrared",
    "vi": "visible", "vi_y": "visible", "vis": "visible", "vis_y": "visible", "visible": "visible",
    "crop_lr_visible": "visible",
    "mri": "mri",
    "ct": "ct",
    "pet": "pet", "pet_y": "pet",
    "spect": "spect", "spect_y": "spect",
}  # fmt: skip

# The task of two modalities, side a first.
TASKS = {
    ("infrared", "visible"): "ivf",
    ("mri", "ct"): "ct-mri",
    ("mri", "pet"): "pet-mri",
    ("mri", "spect"): "spect-mri",
}

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
    """The pairs of two folders."""

    task: str
    split: str
    folder_a: Path
    folder_b: Path
    matching: Matching


def find_sets(root: str | Path) -> list[PairSet]:
    """Every set of pairs below a folder, in the order of their paths; side a is always infrared or MRI.

    ``visible/train`` goes with ``infrared/train``, ``Zürich/VIS`` with ``Zürich/IR``. A folder with partners of
    two kinds, MRI beside CT and PET, is in two sets. Hidden folders are passed over, links are followed.

    Raises:
        PairError: there is no pair of folders whose names are known, a folder has no partner, or two folders
            yield no pair of pictures. :func:`mambadfuse.data.checking.check` lists all such problems instead.
    """
    found, alone = find_folders(root)
    for folder in alone:
        raise PairError(f"{folder}: {missing_partner(folder)}")
    return [PairSet(f.task, f.split, f.a, f.b, match_pairs(f.a, f.b)) for f in found]


def find_folders(root: str | Path) -> tuple[list[Folders], list[Path]]:
    """The folders below ``root`` that belong together, and those whose name is known but partner missing.

    Raises:
        PairError: the root is missing or no folder, or none below it has a known name.
    """
    root = Path(root)
    if not root.is_dir():
        raise PairError(f"{root}: {'is not a folder' if root.exists() else 'there is no such folder'}")
    groups: dict[tuple[str, ...], list[tuple[str, Path]]] = defaultdict(list)
    for folder in _picture_folders(root):
        parts = [unicodedata.normalize("NFC", part) for part in folder.relative_to(root).parts]
        telling = [i for i, part in enumerate(parts) if part.lower() in MODALITIES]
        if telling:
            modality = MODALITIES[parts[telling[-1]].lower()]
            parts[telling[-1]] = "*"
            groups[tuple(parts)].append((modality, folder))
    if not groups:
        raise PairError(f"{root}: no folder below it has a known name: {', '.join(MODALITIES)}")
    found, alone = [], []
    for path, group in groups.items():
        split = _split((root.resolve().name, *path))
        pairs = [
            Folders(TASKS[kind_a, kind_b], split, a, b)
            for kind_a, a in group
            for kind_b, b in group
            if (kind_a, kind_b) in TASKS
        ]
        paired = {folder for pair in pairs for folder in (pair.a, pair.b)}
        found += pairs
        alone += [folder for _, folder in group if folder not in paired]
    return found, alone


def missing_partner(folder: Path) -> str:
    """The complaint about a folder which :func:`find_folders` found alone."""
    part = next(part for part in reversed(folder.parts) if part.lower() in MODALITIES)
    modality = MODALITIES[part.lower()]
    partners = {b if a == modality else a for a, b in TASKS if modality in (a, b)}
    names = ", ".join(name for name, kind in MODALITIES.items() if kind in partners)
    return f"has no partner: expected the same path with one of {names} in place of {part}"


def _picture_folders(root: Path) -> Iterator[Path]:
    """Every folder that holds picture files, and every one with no folder below it, be it empty."""
    for path, folders, files in os.walk(root, followlinks=True):
        here = Path(path)
        folders[:] = sorted(name for name in folders if name[0] != "." and not _leads_back(here / name))
        if not folders or any(name[0] != "." and Path(name).suffix.lower() in FORMATS for name in files):
            yield here


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _split(parts: tuple[str, ...]) -> str:
    """What the innermost folder name with a meaning says."""
    return next((SPLITS[part.lower()] for part in reversed(parts) if part.lower() in SPLITS), "all")
