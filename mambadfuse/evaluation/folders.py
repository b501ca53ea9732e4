"""Evaluation: folders of fused pictures scored and compared, always beside fusions without a network."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mambadfuse.data.images import ImageError, read_image
from mambadfuse.data.pairs import Pair, match_pairs
from mambadfuse.evaluation.published import PublishedSet, published
from mambadfuse.evaluation.table import BASELINE, PUBLISHED, RESULT, Method, Scores, Table, rank, summarise
from mambadfuse.fusion.baselines import laplacian_pyramid, maximum, mean
from mambadfuse.metrics import EIGHT, evaluate, grey, require_known

BASELINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "maximum": maximum,
    "laplacian pyramid": laplacian_pyramid,
}
_ROUNDING = 2e-3  # between a mean of ours and the same one published to three decimals

Key = tuple[str, str]  # kind and name of a method
Fusion = Callable[[str, np.ndarray, np.ndarray], np.ndarray]  # name of a pair, a, b -> fused


def evaluate_folders(
    fused: Sequence[str | Path],
    a: str | Path,
    b: str | Path,
    *,
    convention: str = "literature",
    metrics: Sequence[str] = EIGHT,
    baselines: bool = True,
    rows: str | None = None,
    progress: bool = True,
) -> Table:
    """Scores folders of fused pictures against their sources, and ranks them among each other.

    Pictures belong together by file name without suffix; of colour the luma is judged. What cannot be scored (no
    fused picture, another size, unreadable, too small for a metric) becomes one of the problems of the table. Means
    and ranks are over the pictures which every method has a score for, so that all are judged by the same ones.

    Args:
        fused: one folder for each method; pictures in it without sources are passed over.
        a: folder of the one side.
        b: folder of the other; the two may be exchanged.
        convention: "literature" or "strict", as in :func:`mambadfuse.metrics.evaluate`.
        metrics: names of metrics, as there.
        baselines: whether mean, maximum and Laplacian pyramid of a and b are compared as well.
        rows: a test set whose published rows are added, see :mod:`mambadfuse.evaluation.published`.
        progress: whether to show a progress bar.

    Returns:
        The table. A folder without any score is not in it, but among its problems.

    Raises:
        PairError: a folder is missing or empty, or has no picture in common with the others.
        ValueError: no folder is given, or one twice; nothing can be compared; a metric, convention or test set is
            unknown; or the published rows are of other pairs, another convention or other metrics.
        ImportError: BLUR is asked for and scikit-image is missing.
    """
    require_known(metrics, convention)
    matching = match_pairs(a, b)
    beside = published(rows) if rows else None
    if beside:
        _require_comparable(beside, len(matching.pairs), metrics, convention)
    fusions: dict[Key, Fusion] = {(RESULT, name): _read_from(path, a) for name, path in _named(fused).items()}
    if baselines:
        fusions |= {(BASELINE, name): _computed_by(fuse) for name, fuse in BASELINES.items()}
    scores, problems = _score_all(matching.pairs, fusions, metrics, convention, progress)
    problems = [f"{file.path}: {file.reason}" for file in matching.left_out] + problems
    problems += [
        f"{name}: none of its pictures has a score" for kind, name in fusions if (kind, name) not in scores
    ]
    pictures = _had_by_all(scores, matching.pairs, problems)
    methods = [Method(name, kind, *summarise(own, pictures), own) for (kind, name), own in scores.items()]
    if beside:
        problems += _signs_of_other_pictures(beside, methods, Path(a))
        methods += [Method(row.method, PUBLISHED, row.means, {}, {}, row.source) for row in beside.rows]
    return rank(methods, metrics, pictures, convention, problems)


def _named(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Each folder under its own name, or under its path where several have the same name."""
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise ValueError("give at least one folder of fused pictures")
    if twice := [path for path in paths if [other.resolve() for other in paths].count(path.resolve()) > 1]:
        raise ValueError(f"{twice[0]}: is given twice")
    names = [path.resolve().name for path in paths]
    return {
        path.as_posix() if names.count(name) > 1 else name: path
        for name, path in zip(names, paths, strict=True)
    }


def _read_from(folder: Path, a: str | Path) -> Fusion:
    files = {pair.name: pair.b for pair in match_pairs(a, folder).pairs}

    def fusion(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if name not in files:
            raise ImageError(f"{folder}: holds no picture, or more than one, of the name {name}")
        return _read(files[name], a.shape)

    return fusion


def _computed_by(fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fusion:
    return lambda name, a, b: fuse(a, b)


def _read(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The grey levels of a picture, whose size must be the one expected."""
    picture = grey(read_image(path))
    if shape not in (None, picture.shape):
        (height, width), (high, wide) = picture.shape, shape
        raise ImageError(f"{path}: is {width}x{height}, expected {wide}x{high}, the size of side a")
    return picture


def _score_all(
    pairs: Sequence[Pair],
    fusions: Mapping[Key, Fusion],
    metrics: Sequence[str],
    convention: str,
    progress: bool,
) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
    """The scores of every method that has any, by the name of the pair, and what went wrong."""
    score = partial(_score, fusions=fusions, metrics=metrics, convention=convention)
    scores: dict[Key, dict[str, Scores]] = {key: {} for key in fusions}
    problems = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the metrics compute outside the interpreter lock
        done = pool.map(score, pairs)
        bar = tqdm(done, desc="evaluate", total=len(pairs), unit="pair", disable=not progress)
        for pair, (of_pair, more) in zip(pairs, bar, strict=True):
            problems += more
            for key, own in of_pair.items():
                scores[key][pair.name] = own
    return {key: own for key, own in scores.items() if own}, problems


def _score(
    pair: Pair, fusions: Mapping[Key, Fusion], metrics: Sequence[str], convention: str
) -> tuple[dict[Key, Scores], list[str]]:
    """The scores of one pair by method, and what went wrong."""
    scores, problems = {}, []
    try:
        a = _read(pair.a)
        b = _read(pair.b, a.shape)
    except ImageError as error:
        return {}, [str(error)]
    for key, fusion in fusions.items():
        try:
            scores[key] = evaluate(fusion(pair.name, a, b), a, b, convention=convention, metrics=metrics)
        except ImageError as error:
            problems.append(str(error))
        except ValueError as error:  # too small for a metric, and so are all fusions of this pair
            return {}, [f"{pair.a}: {error}"]
    return scores, problems


def _had_by_all(
    scores: Mapping[Key, Mapping[str, Scores]], pairs: Sequence[Pair], problems: Sequence[str]
) -> list[str]:
    """The pictures that every method has a score for."""
    pictures = [pair.name for pair in pairs if all(pair.name in own for own in scores.values())]
    if not any(kind == RESULT for kind, _ in scores) or not pictures:
        first = f"; the first of {len(problems)} problems: {problems[0]}" if problems else ""
        raise ValueError(f"there is no picture by which all methods could be compared{first}")
    return pictures


def _require_comparable(beside: PublishedSet, pairs: int, metrics: Sequence[str], convention: str) -> None:
    if convention != "literature":
        raise ValueError(f"published rows are of the convention 'literature', found {convention!r}")
    if pairs != beside.pairs:
        raise ValueError(f"{beside.name} has {beside.pairs} pairs, found {pairs}")
    if not any(set(metrics) & row.means.keys() for row in beside.rows):
        raise ValueError(f"none of {', '.join(metrics)} is published for {beside.name}")


def _signs_of_other_pictures(beside: PublishedSet, methods: Sequence[Method], a: Path) -> list[str]:
    """A problem if the baselines do not have the scores that they have on the published test set."""
    for method in methods:
        known = beside.baselines.get(method.name, {}) if method.kind == BASELINE else {}
        for metric in known.keys() & method.means.keys():
            if abs(known[metric] - method.means[metric]) > _ROUNDING:
                values = (
                    f"{metric} of the {method.name} is {method.means[metric]:.3f}, there {known[metric]:.3f}"
                )
                return [f"{a}: does not hold the pictures of {beside.name}: {values}"]
    return []
