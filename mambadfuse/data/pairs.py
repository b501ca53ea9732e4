"""Pairs: which picture of one folder belongs to which picture of the other."""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mambadfuse.data.images import FORMATS


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
class Matching:
    """All pairs of two folders in the order of their names, and every file that is in none of them."""

    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]


def match_pairs(folder_a: str | Path, folder_b: str | Path) -> Matching:
    """Pairs the pictures of two folders by file name without suffix: ``a/07.png`` goes with ``b/07.jpg``.

    Pictures in sub-folders go by their path: ``a/night/07.png`` with ``b/night/07.jpg``, under the name
    ``night/07``. Names are compared after Unicode normalisation (NFC), since file systems spell "é" in two
    ways. Whatever is hidden is passed over in silence; every other file is either in a pair or left out with
    a reason: no partner, not the suffix of a picture, or several files of one name.

    Raises:
        PairError: a folder is missing, not a folder or empty, or no file of one has a partner in the other.
    """
    folder_a, folder_b = Path(folder_a), Path(folder_b)
    files_a, left_out = _by_name(folder_a)
    files_b, more = _by_name(folder_b)
    left_out += more
    common = sorted(files_a.keys() & files_b.keys())
    for files, other in ((files_a, folder_b), (files_b, folder_a)):
        alone = [files[name] for name in sorted(files.keys() - set(common))]
        left_out += [LeftOut(path, f"has no partner in {other}") for path in alone]
    if not common:
        raise PairError(f"no picture in {folder_a} has the name of one in {folder_b} (suffixes may differ)")
    return Matching(tuple(Pair(name, files_a[name], files_b[name]) for name in common), tuple(left_out))


def _by_name(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """The pictures of a folder by normalised name, and the files which cannot be in a pair."""
    if not folder.is_dir():
        raise PairError(f"{folder}: {'is not a folder' if folder.exists() else 'there is no such folder'}")
    names = {path: path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    files = sorted(
        path for path, name in names.items() if not any(part.startswith(".") for part in name.parts)
    )
    if not files:
        raise PairError(f"{folder}: the folder holds no pictures")
    same_name: dict[str, list[Path]] = defaultdict(list)
    left_out = []
    for path in files:
        if path.suffix.lower() in FORMATS:
            same_name[unicodedata.normalize("NFC", names[path].with_suffix("").as_posix())].append(path)
        else:
            left_out.append(LeftOut(path, f"is no picture file ({', '.join(FORMATS)})"))
    for name, paths in same_name.items():
        if len(paths) > 1:
            rivals = " and ".join(path.name for path in paths)
            left_out += [LeftOut(path, f"shares its name {name!r}: {rivals}") for path in paths]
    return {name: paths[0] for name, paths in same_name.items() if len(paths) == 1}, left_out
