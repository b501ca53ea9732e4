"""Pairs of volumes: which scan in one folder belongs to which in another, by their names."""

import unicodedata
from pathlib import Path

from mambadfuse.data.images import FORMATS
from mambadfuse.data.issues import Issue
from mambadfuse.data.pairs import (
    Pair,
    PairError,
    PairSet,
    is_hidden,
    match_names,
    require_folder,
    without_results,
)
from mambadfuse.data.pairs_file import lists_pairs, read_pairs_file
from mambadfuse.data.tasks import read_label, task_of
from mambadfuse.data.volumes import is_nifti, is_volume, without_suffix


def holds_volumes(folder: Path) -> bool:
    """Whether there are volumes below a folder, and no images but slices that were made from these volumes."""
    paths = _visible_below(folder)
    images, _ = without_results((path for path in paths if path.suffix.lower() in FORMATS), folder)
    return not images and any(is_nifti(path) or (path.is_dir() and is_volume(path)) for path in paths)


def find_volume_pairs(a: str | Path | PairSet, b: str | Path | None = None) -> PairSet:
    """The pairs of NIfTI files, or of folders with a DICOM series each, below two folders or below a single one.

    They are matched by their paths without suffix, as images are: by equal names, or by names that differ only in the
    words for the side. In a single folder those words say which side a volume is. A file ``*.csv`` lists pairs, see
    :func:`~mambadfuse.data.pairs_file.read_pairs_file`.

    Args:
        a: the folder of the MRI side, or of both sides; or a file of pairs; or pairs that were found before.
        b: the folder of the other side; None or ``a`` if both lie below ``a``.

    Raises:
        PairError: a folder is missing, or no volume has a partner.
    """
    if isinstance(a, PairSet):
        return a
    if b is None and lists_pairs(Path(a)):
        return read_pairs_file(a, volumes=True)
    folder_a, folder_b = Path(a), Path(a if b is None else b)
    require_folder(folder_a)
    require_folder(folder_b)
    (files_a, results), (files_b, results_b) = (_volumes_below(folder) for folder in (folder_a, folder_b))
    if folder_a.samefile(folder_b):
        results_b = []
        is_mri = {name: _modality(name) == "mri" for name in files_a}
        files_a, files_b = ({n: f for n, f in files_a.items() if is_mri[n] == side} for side in (True, False))
    partners, rivals = match_names(files_a, files_b, unmarked=True)
    issues = []
    for files, paired in ((files_a, partners.keys()), (files_b, set(partners.values()))):
        for name in sorted(files.keys() - paired):
            among = f"; it could be one of {', '.join(rivals[name])}" if name in rivals else ""
            issues.append(Issue(files[name], f"has no partner{among}"))
    if not partners:
        raise PairError(issues[0] if issues else Issue(folder_a, "there is no volume below it"))
    issues += [*results, *results_b]
    pairs = tuple(
        Pair(x, files_a[x], files_b[y], task_of(_modality(x), _modality(y)))
        for x, y in sorted(partners.items())
    )
    tasks = {pair.task for pair in pairs}
    return PairSet(folder_a, folder_b, pairs, tuple(issues), tasks.pop() if len(tasks) == 1 else None)


def _volumes_below(folder: Path) -> tuple[dict[str, Path], list[Issue]]:
    """The volumes by normalised path below the folder, without suffix, and a note on each result among them."""
    found = [
        path for path in _visible_below(folder) if (is_volume(path) if path.is_dir() else is_nifti(path))
    ]
    volumes, results = without_results(found, folder)
    by_name = {
        unicodedata.normalize("NFC", without_suffix(path.relative_to(folder)).as_posix()): path
        for path in volumes
    }
    return by_name, results


def _visible_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not any(map(is_hidden, path.relative_to(folder).parts))]


def _modality(name: str) -> str | None:
    return read_label(name.rpartition("/")[2], hints=True).modality
