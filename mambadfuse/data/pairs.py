"""Pairs: which picture of one folder belongs to which picture of another."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.tasks import read_label


class PairError(ValueError):
    """Two folders yield no pair at all; the message names them and says why."""


@dataclass(frozen=True)
class Pair:
    """Two pictures of one scene; a is the infrared or MRI side, b the visible, CT, PET or SPECT side."""

    name: str
    a: Path
    b: Path


@dataclass(frozen=True)
class LeftOut:
    """A file that belongs to no pair, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Remark:
    """A file, or a folder, and what is worth knowing of it although nothing is wrong."""

    path: Path
    text: str


@dataclass(frozen=True)
class Matching:
    """All pairs of two folders in the order of their names, and every file that is in none of them."""

    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[Remark, ...] = ()


def match_pairs(folder_a: str | Path, folder_b: str | Path) -> Matching:
    """Pairs the pictures of two folders by file name without suffix: ``a/07.png`` goes with ``b/07.jpg``.

    Pictures in sub-folders go by their path: ``a/night/07.png`` with ``b/night/07.jpg``, under the name
    ``night/07``. Files left alone go together if their names differ only in the words that say which side they are:
    ``a/IR_07.png`` with ``b/VIS_07.png``, under the name of side a.

    Names are compared after Unicode normalisation (NFC), since file systems spell "é" in two ways. Whatever is
    hidden is passed over in silence; every other file is either in a pair or left out with a reason: no partner,
    not the suffix of a picture, or several files of one name.

    Raises:
        PairError: a folder is missing, not a folder or empty, or no file of one has a partner in the other.
    """
    folder_a, folder_b = Path(folder_a), Path(folder_b)
    files_a, left_out = pictures_by_name(files_below(folder_a), folder_a)
    files_b, more = pictures_by_name(files_below(folder_b), folder_b)
    partners = {name: name for name in files_a.keys() & files_b.keys()}
    partners |= _partners_by_scene(files_a.keys() - partners.keys(), files_b.keys() - partners.keys())
    if not partners:
        raise PairError(f"no picture in {folder_a} has the name of one in {folder_b} (suffixes may differ)")
    left_out += more
    left_out += _alone(files_a, partners.keys(), folder_b) + _alone(files_b, partners.values(), folder_a)
    pairs = (Pair(name, files_a[name], files_b[partners[name]]) for name in sorted(partners))
    return Matching(tuple(pairs), tuple(left_out))


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder and its sub-folders that is not hidden.

    Raises:
        PairError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise PairError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    names = {path: path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    files = [path for path, name in names.items() if not any(part.startswith(".") for part in name.parts)]
    if not files:
        raise PairError(f"{folder}: the folder holds no pictures")
    return files


def pictures_by_name(files: Iterable[Path], root: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """The pictures by normalised path below the root, and the files which cannot be in a pair."""
    same_name: dict[str, list[Path]] = defaultdict(list)
    left_out = []
    for path in sorted(files):
        if path.suffix.lower() in FORMATS:
            name = path.relative_to(root).with_suffix("").as_posix()
            same_name[unicodedata.normalize("NFC", name)].append(path)
        else:
            left_out.append(LeftOut(path, f"is no picture file ({', '.join(FORMATS)})"))
    for name, paths in same_name.items():
        if len(paths) > 1:
            rivals = " and ".join(path.name for path in paths)
            left_out += [LeftOut(path, f"shares its name {name!r}: {rivals}") for path in paths]
    return {name: paths[0] for name, paths in same_name.items() if len(paths) == 1}, left_out


def _alone(files: Mapping[str, Path], used: Iterable[str], other: Path) -> list[LeftOut]:
    return [LeftOut(files[name], f"has no partner in {other}") for name in sorted(files.keys() - set(used))]


def _partners_by_scene(names_a: Iterable[str], names_b: Iterable[str]) -> dict[str, str]:
    """Names of one scene in the same sub-folder, where there is one on each side and both say which side they are."""
    scenes: dict[tuple[str, str], tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, names in enumerate((names_a, names_b)):
        for name in names:
            folder, _, last = name.rpartition("/")
            label = read_label(last)
            if label.modality is not None:
                scenes[folder, label.scene][side].append(name)
    return {a[0]: b[0] for a, b in scenes.values() if len(a) == len(b) == 1}
