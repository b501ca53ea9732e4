"""Evaluating folders of fused images: scored and compared, beside the classical baselines."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import ImageError, read_image
from mambadfuse.data.issues import Issue, problems
from mambadfuse.data.pairs import Pair, PairError, files_below, match_names, pictures_by_name
from mambadfuse.evaluation.published import PublishedSet, published
from mambadfuse.evaluation.table import BASELINE, PUBLISHED, RESULT, Method, Scores, Table, rank, summarise
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.metrics import EIGHT, evaluate, grey, require_known

_ROUNDING = 2e-3  # between our mean and the same one published to three decimals

Key = tuple[str, str]  # kind and name of a method
Fusion = Callable[[str, np.ndarray, np.ndarray], np.ndarray]  # name of a pair, a, b -> fused


def evaluate_folders(
    fused: str | Path | Sequence[str | Path],
    a: str | Path,
    b: str | Path | None = None,
    *,
    convention: str = "literature",
    metrics: Sequence[str] = EIGHT,
    baselines: bool = True,
    rows: str | None = None,
    progress: bool = True,
) -> Table:
    """Scores folders of fused images against their sources, and ranks them against each other.

    Pairs are found, and named, as by :func:`mambadfuse.data.discovery.find_pairs`, and fused images are matched by
    the names of the pairs. Colour images are scored by their luma. What cannot be scored (no fused image, another
    size, unreadable, too small for a metric) becomes one of the problems of the table. Means and ranks are over the
    images for which every method has a score, so that all methods are judged by the same ones.

    >>> import mambadfuse as mdf
    >>> from mambadfuse.resources import resource_folder
    >>> images = resource_folder("data_samples") / "ivf"
    >>> table = mdf.evaluate_folders([images / "ir"], images / "ir", images / "vi", progress=False)
    >>> sorted(method.label for method in table.methods)
    ['ir', 'laplacian pyramid (baseline)', 'maximum (baseline)', 'mean (baseline)']

    Args:
        fused: one folder for each method; images in it without sources are ignored.
        a: the folder of one side, or of both.
        b: the folder of the other side; None or ``a`` if both lie below ``a``. Two folders may be exchanged.
        convention: "literature" or "strict", as in :func:`mambadfuse.metrics.evaluate`.
        metrics: names of metrics, as there.
        baselines: whether to add :data:`mambadfuse.fusion.baselines.BASELINES` to the comparison.
        rows: a test set whose published rows are added, see :mod:`mambadfuse.evaluation.published`.
        progress: whether to show a progress bar.

    Returns:
        The table. A folder without any score is not in it, but among its problems.

    Raises:
        PairError: a folder is missing or empty, or has no image in common with the others.
        ValueError: no folder is given, or one twice; nothing can be compared; a metric, convention or test set is
            unknown; or the published rows are of other pairs, another convention or other metrics.
        ImportError: BLUR is requested and scikit-image is missing.
    """
    require_known(metrics, convention)
    found = find_pairs(a, b)
    beside = published(rows) if rows else None
    if beside:
        _require_comparable(beside, len(found.pairs), metrics, convention)
    fusions: dict[Key, Fusion] = {
        (RESULT, name): _read_from(folder, found.pairs) for name, folder in _named(fused).items()
    }
    if baselines:
        fusions |= {(BASELINE, name): _computed_by(fuse) for name, fuse in BASELINES.items()}
    scores, failures = _score_all(found.pairs, fusions, metrics, convention, progress)
    wrong = [*map(str, problems(found.issues)), *failures]
    wrong += [
        f"{name}: none of its images has a score" for kind, name in fusions if (kind, name) not in scores
    ]
    pictures = _scored_by_all(scores, found.pairs, wrong)
    methods = [Method(name, kind, *summarise(own, pictures), own) for (kind, name), own in scores.items()]
    if beside:
        wrong += _evidence_of_other_images(beside, methods, Path(a))
        methods += [Method(row.method, PUBLISHED, row.means, {}, {}, row.source) for row in beside.rows]
    return rank(methods, metrics, pictures, convention, wrong)


def _named(folders: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Each folder by its name, or by its path where several have the same name."""
    paths = [Path(x) for x in ([folders] if isinstance(folders, str | Path) else folders)]
    if not paths:
        raise ValueError("give at least one folder of fused images")
    if twice := [path for path in paths if [other.resolve() for other in paths].count(path.resolve()) > 1]:
        raise ValueError(f"{twice[0]}: is given twice")
    names = [path.resolve().name for path in paths]
    return {
        path.as_posix() if names.count(name) > 1 else name: path
        for name, path in zip(names, paths, strict=True)
    }


def _read_from(folder: Path, pairs: Sequence[Pair]) -> Fusion:
    """The fusion that looks its results up in a folder."""
    pictures, _ = pictures_by_name(files_below(folder), folder)
    partners = match_names([pair.name for pair in pairs], pictures)
    if not partners:
        reason = f"no image in it has the name of a pair, such as {pairs[0].name} (suffixes may differ)"
        raise PairError(Issue(folder, reason))
    files = {name: pictures[partner] for name, partner in partners.items()}

    def fusion(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if name not in files:
            raise ImageError(f"{folder}: holds no image, or more than one, named {name}")
        return _read(files[name], a.shape)

    return fusion


def _computed_by(fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fusion:
    return lambda name, a, b: fuse(a, b)


def _read(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The grey levels of an image, which must have the expected size."""
    picture = grey(read_image(path))
    if shape not in (None, picture.shape):
        found, expected = (f"{width}x{height}" for height, width in (picture.shape, shape))
        raise ImageError(f"{path}: is {found}, expected {expected}, the size of side a")
    return picture


def _score_all(
    pairs: Sequence[Pair],
    fusions: Mapping[Key, Fusion],
    metrics: Sequence[str],
    convention: str,
    progress: bool,
) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
    """The scores of each method that has any, by the name of the pair, and what went wrong."""
    score = partial(_score, fusions=fusions, metrics=metrics, convention=convention)
    scores: dict[Key, dict[str, Scores]] = {key: {} for key in fusions}
    failures = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the metrics release the interpreter lock
        done = pool.map(score, pairs)
        bar = tqdm(done, desc="evaluate", total=len(pairs), unit="pair", disable=not progress)
        for pair, (of_pair, more) in zip(pairs, bar, strict=True):
            failures += more
            for key, own in of_pair.items():
                scores[key][pair.name] = own
    return {key: own for key, own in scores.items() if own}, failures


def _score(
    pair: Pair, fusions: Mapping[Key, Fusion], metrics: Sequence[str], convention: str
) -> tuple[dict[Key, Scores], list[str]]:
    """The scores of one pair by method, and what went wrong."""
    scores, failures = {}, []
    try:
        a = _read(pair.a)
        b = _read(pair.b, a.shape)
    except ImageError as error:
        return {}, [str(error)]
    for key, fusion in fusions.items():
        try:
            scores[key] = evaluate(fusion(pair.name, a, b), a, b, convention=convention, metrics=metrics)
        except ImageError as error:
            failures.append(str(error))
        except ValueError as error:  # too small for a metric, and so are all fusions of this pair
            return {}, [f"{pair.a}: {error}"]
    return scores, failures


def _scored_by_all(
    scores: Mapping[Key, Mapping[str, Scores]], pairs: Sequence[Pair], wrong: Sequence[str]
) -> list[str]:
    """The images for which every method has a score."""
    pictures = [pair.name for pair in pairs if all(pair.name in own for own in scores.values())]
    if not any(kind == RESULT for kind, _ in scores) or not pictures:
        first = f"; the first of {len(wrong)} problems: {wrong[0]}" if wrong else ""
        raise ValueError(f"there is no image for which every method has a score{first}")
    return pictures


def _require_comparable(beside: PublishedSet, pairs: int, metrics: Sequence[str], convention: str) -> None:
    if convention != "literature":
        raise ValueError(f"published rows follow the convention 'literature', found {convention!r}")
    if pairs != beside.pairs:
        raise ValueError(f"{beside.name} has {beside.pairs} pairs, found {pairs}")
    if not any(set(metrics) & row.means.keys() for row in beside.rows):
        raise ValueError(f"none of {', '.join(metrics)} is published for {beside.name}")


def _evidence_of_other_images(beside: PublishedSet, methods: Sequence[Method], a: Path) -> list[str]:
    """A problem if the scores of the baselines are not those on the published test set."""
    for method in methods:
        known = beside.baselines.get(method.name, {}) if method.kind == BASELINE else {}
        for metric in known.keys() & method.means.keys():
            if abs(known[metric] - method.means[metric]) > _ROUNDING:
                values = f"{metric} of the {method.name} is {method.means[metric]:.3f}, expected {known[metric]:.3f}"
                return [f"{a}: does not hold the images of {beside.name}: {values}"]
    return []
