"""The methods under comparison: folders of results and ways of fusing, each judged on every pair."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mambadfuse.data.images import ImageError, read_image
from mambadfuse.data.issues import problems
from mambadfuse.data.pairs import Pair, PairSet
from mambadfuse.data.reading import PairReading, require_one_size
from mambadfuse.data.remarks import first_of_each_kind
from mambadfuse.data.results import results_in
from mambadfuse.evaluation.table import RESULT, Scores
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


class Judged(NamedTuple):
    """What was found of several methods."""

    numbers: dict[Key, dict[str, Scores]]
    """Of each method that has any, by the name of the pair."""
    pictures: list[str]
    """The names of the pairs for which every one of these methods has numbers, on which all are compared."""
    problems: list[str]
    """What went wrong."""


def judge_pairs(
    found: PairSet,
    judges: Mapping[Key, Judge],
    reading: PairReading,
    description: str,
    *,
    stretch_each: bool,
    shard: tuple[int, int] | None,
    progress: bool,
    in_parallel: bool = True,
) -> Judged:
    """Judges every method on every pair; if results are among the methods, at least one of them must have numbers.

    That an image cannot be read, or has another size, or that a judge raises ValueError, is a problem.

    Args:
        found: the pairs; both sides become grey levels.
        judges: what is computed for each method.
        reading: how the pairs are read.
        description: of the progress bar.
        stretch_each: as in :func:`mambadfuse.fuse_folders`.
        shard: which of how many parts of the pairs to judge; None for all.
        progress: whether to show a progress bar.
        in_parallel: whether to judge several pairs at once, in threads.

    Raises:
        ValueError: no pair can be compared.
        KeyboardInterrupt: after Ctrl-C, once the pairs that are being judged are done; it says how many were.
    """
    pairs = (found.shard(*shard) if shard else found).pairs
    if not stretch_each:
        reading = reading.over(found.pairs)
    numbers, failures = _judge_all(pairs, judges, reading, description, progress, in_parallel)
    wrong = [*map(str, problems(found.issues)), *failures]
    if not shard:
        wrong += [f"{key[1]}: none of its images has numbers" for key in judges if key not in numbers]
    pictures = [pair.name for pair in pairs if all(pair.name in own for own in numbers.values())]
    kinds, judged = ({kind for kind, _ in methods} for methods in (judges, numbers))
    if not pictures or not judged or RESULT in kinds - judged:
        first = f"; the first of {len(wrong)} problems: {wrong[0]}" if wrong else ""
        raise ValueError(f"there is no image for which every method has numbers{first}")
    return Judged(numbers, pictures, wrong)


def _judge_all(
    pairs: Sequence[Pair],
    judges: Mapping[Key, Judge],
    reading: PairReading,
    description: str,
    progress: bool,
    in_parallel: bool,
) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
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
