"""The methods under comparison: folders of results and ways of fusing, each judged on every pair."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mambadfuse.data.images import ImageError, read_image
from mambadfuse.data.pairs import Pair
from mambadfuse.data.reading import PairReading, require_one_size
from mambadfuse.data.remarks import first_of_each_kind
from mambadfuse.data.results import results_in
from mambadfuse.evaluation.table import Scores
from mambadfuse.metrics import grey

Key = tuple[str, str]  # kind and name of a method
Fusion = Callable[[str, np.ndarray, np.ndarray], np.ndarray]  # name of a pair, a, b -> fused
Judge = Callable[[str, np.ndarray, np.ndarray], Scores]  # name of a pair, a, b -> its numbers by name


def folders_by_name(folders: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Each folder by its name, or by its path where several have the same name.

    >>> sorted(folders_by_name(["ours/night", "theirs/night", "mean"]))
    ['mean', 'ours/night', 'theirs/night']

    Raises:
        ValueError: a folder is given twice.
    """
    paths = [Path(x) for x in ([folders] if isinstance(folders, str | Path) else folders)]
    if twice := [path for path in paths if [other.resolve() for other in paths].count(path.resolve()) > 1]:
        raise ValueError(f"{twice[0]}: is given twice")
    names = [path.resolve().name for path in paths]
    return {
        path.as_posix() if names.count(name) > 1 else name: path
        for name, path in zip(names, paths, strict=True)
    }


def read_from(folder: Path, pairs: Sequence[Pair]) -> Fusion:
    """The fusion that looks its results up in a folder; it raises ImageError where there is none.

    Raises:
        PairError: as in :func:`~mambadfuse.data.results.results_in`.
    """
    files = results_in(folder, pairs)

    def fusion(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if name not in files:
            raise ImageError(f"{folder}: holds no image, or more than one, named {name}")
        fused = grey(read_image(files[name]))
        if fused.shape != a.shape:
            found, expected = (f"{width}x{height}" for height, width in (fused.shape, a.shape))
            raise ImageError(f"{files[name]}: is {found}, expected {expected}, the size of side a")
        return fused

    return fusion


def judge_all(
    pairs: Sequence[Pair],
    judges: Mapping[Key, Judge],
    reading: PairReading,
    description: str,
    progress: bool,
    in_parallel: bool = True,
) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
    """Judges every method on every pair.

    Args:
        pairs: the pairs; both sides become grey levels.
        judges: what is computed for each method.
        reading: how the pairs are read.
        description: of the progress bar.
        progress: whether to show it.
        in_parallel: whether to judge several pairs at once, in threads.

    Returns:
        The numbers of each method that has any, by the name of the pair; and what went wrong, one text for each
        problem. That an image cannot be read, or has another size, or that a judge raises ValueError, is a problem.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the pairs that are being judged are done; it says how many were.
    """
    judge = partial(_judge, judges=judges, reading=reading)
    numbers: dict[Key, dict[str, Scores]] = {key: {} for key in judges}
    failures = []
    with first_of_each_kind(), ThreadPoolExecutor(os.cpu_count()) if in_parallel else nullcontext() as pool:
        done = pool.map(judge, pairs) if pool else map(judge, pairs)
        bar = tqdm(done, desc=description, total=len(pairs), unit="pair", disable=not progress)
        finished = 0
        try:
            for pair, (of_pair, more) in zip(pairs, bar, strict=True):
                failures += more
                finished += 1
                for key, own in of_pair.items():
                    numbers[key][pair.name] = own
        except KeyboardInterrupt:
            if pool:
                pool.shutdown(wait=False, cancel_futures=True)
            raise KeyboardInterrupt(
                f"{finished} of {len(pairs)} pairs were done, and nothing is written; the same command starts over"
            ) from None
    return {key: own for key, own in numbers.items() if own}, failures


def _judge(
    pair: Pair, judges: Mapping[Key, Judge], reading: PairReading
) -> tuple[dict[Key, Scores], list[str]]:
    """The numbers of one pair by method, and what went wrong."""
    numbers: dict[Key, Scores] = {}
    failures = []
    try:
        a, b = _grey_levels(pair, reading)
    except ValueError as error:
        return {}, [str(error)]
    for key, judge in judges.items():
        try:
            numbers[key] = judge(pair.name, a, b)
        except ImageError as error:
            failures.append(str(error))
        except ValueError as error:
            failures.append(f"{pair.a}: {error}")
    return numbers, list(dict.fromkeys(failures))  # a pair too small for a metric is so for every method


def _grey_levels(pair: Pair, reading: PairReading) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a pair."""
    a, b = reading.read(pair.a, pair.b)
    require_one_size(a, b, (pair.a, pair.b))
    side_a, side_b = (grey(x[0, ..., 0] if x.shape[-1] == 1 else x[0]) for x in (a, b))
    return side_a, side_b


def judged_by_all(numbers: Mapping[Key, Mapping[str, Scores]], pairs: Sequence[Pair]) -> list[str]:
    """The names of the pairs for which every method has numbers, so that all are compared on the same ones."""
    return [pair.name for pair in pairs if all(pair.name in own for own in numbers.values())]
