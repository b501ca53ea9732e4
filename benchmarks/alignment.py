"""How closely alignment undoes known motions: ``python -m benchmarks.alignment --a DIR --b DIR [--warps 5]``.

Side a of every pair is moved by a random motion (black where it lacks pixels) and aligned to side b: shifts up to 8 %
of the width along both axes and, if the model knows them, rotations up to 5 degrees, scales within 8 %, shear up to
2 %, and a perspective that changes the scale by 2 % from the centre to each edge. The error is the median over the
four corners; "worse" are motions that leave the corners further apart on average than they were. Registered pairs of
files are rarely registered to a pixel: "as stated" takes the files' word for it, "consistent" compares with what the
same method says of the pair as it came.
"""

import argparse
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mambadfuse.alignment.estimate import confidence, estimate
from mambadfuse.alignment.motion import MODELS, displacement, normalise
from mambadfuse.alignment.resample import resample
from mambadfuse.data.synthetic import synthetic_pair

CLOSE = 1.5  # pixels
TRUSTED = 0.5


class Case(NamedTuple):
    """A pair and the seeds of the motions it is measured with."""

    a: np.ndarray
    b: np.ndarray
    seeds: list[int]


class Result(NamedTuple):
    stated: float
    consistent: float
    change: float  # mean over the corners, after the alignment less before
    confidence: float
    seconds: float


def two_views(seed: int, size: tuple[int, int] = (240, 320)) -> tuple[np.ndarray, np.ndarray]:
    """A made-up scene in two modalities that share edges but neither brightness nor its sign.

    The two sides of a synthetic pair show nothing in common. Here the bright parts of the ground are the cold ones,
    the warm bodies are dark by daylight, and both cameras have noise.
    """
    scene, noise = synthetic_pair(seed, size), np.random.default_rng(seed)
    a = scene.a + 0.3 * (1 - scene.mask) * (1 - scene.b)
    b = (1 - scene.mask) * scene.b + 0.1 * scene.mask
    views = (np.clip(x + noise.normal(0, 0.02, size), 0, 1).astype(np.float32) for x in (a, b))
    return next(views), next(views)


def random_motion(rng: np.random.Generator, size: tuple[int, int], model: str) -> np.ndarray:
    """A motion of the fixed image's pixels as far as the benchmark goes."""
    height, width = size
    turn, grow = np.radians(rng.uniform(-5, 5)), 1 + rng.uniform(-0.08, 0.08)
    shift, shear = rng.uniform(-0.08, 0.08, 2) * width, rng.uniform(-0.02, 0.02, (2, 2))
    tilt = rng.uniform(-0.02, 0.02, 2) / (width / 2, height / 2)
    turn = 0 if model == "translation" else turn
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    motion, centre = np.eye(3), np.eye(3)
    if model in ("affine", "homography"):
        linear = grow * linear @ (np.eye(2) + shear)
    motion[:2, :2], motion[:2, 2] = linear, shift
    if model == "homography":
        motion[2, :2] = tilt
    centre[:2, 2] = (width - 1) / 2, (height - 1) / 2
    return normalise(centre @ motion @ np.linalg.inv(centre))


def moved(a: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Side a after a motion: what was seen at x is seen at motion(x)."""
    image, inside = resample(a, np.linalg.inv(motion), a.shape, order=3)
    return np.clip(image, 0, 1) * inside


def measure(case: Case, model: str, own: bool) -> list[Result]:
    """One result for each motion of a pair; ``own`` also aligns the pair as it came, for "consistent"."""
    a, b, seeds = case
    own_motion = estimate(a, b, model) if own else np.eye(3)
    results = []
    for seed in seeds:
        motion = random_motion(np.random.default_rng(seed), a.shape, model)
        image, start = moved(a, motion), time.process_time()
        found = estimate(image, b, model)
        seconds = time.process_time() - start
        before, stated, consistent = (
            displacement(x, y, a.shape)
            for x, y in ((np.eye(3), motion), (found, motion), (found, motion @ own_motion))
        )
        change = float(stated.mean() - before.mean())
        errors = (float(np.median(error)) for error in (stated, consistent))
        results.append(Result(*errors, change, confidence(image, b, found), seconds))
    return results


def files(folder_a: Path, folder_b: Path, warps: int) -> Iterator[Case]:
    from mambadfuse.data.discovery import find_pairs
    from mambadfuse.data.limited_range import read_luma

    for i, pair in enumerate(find_pairs(folder_a, folder_b).pairs):
        a, b = (read_luma(path).astype(np.float32) / 255 for path in (pair.a, pair.b))
        yield Case(a, b, [1000 * i + warp for warp in range(warps)])


def mismatched(one: Case, other: Case) -> Case:
    """Side a of one pair and side b of another, cut to a common size."""
    height, width = (min(x, y) for x, y in zip(one.a.shape, other.b.shape, strict=True))
    return Case(one.a[:height, :width], other.b[:height, :width], one.seeds[:1])


def report(title: str, results: Iterable[list[Result]]) -> None:
    rows = [result for of_pair in results for result in of_pair]
    stated, consistent, change, trust, seconds = np.array(rows).T
    trusted, worse = trust >= TRUSTED, change > 0
    print(
        f"{title:22} {len(rows):4d} motions: as stated {(stated < CLOSE).mean():4.0%} below {CLOSE} px, median "
        f"{np.median(stated):.2f}; consistent {(consistent < CLOSE).mean():4.0%}, median {np.median(consistent):.2f}; "
        f"trusted {trusted.mean():4.0%}; worse {worse.sum()}, of these trusted {(worse & trusted).sum()}; "
        f"{np.median(seconds):.2f} s a pair",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alignment", description=__doc__)
    parser.add_argument("--a", type=Path, help="folder of registered images, infrared or MRI")
    parser.add_argument("--b", type=Path, help="folder of their partners")
    parser.add_argument("--warps", type=int, default=5, help="random motions of each pair of files")
    parser.add_argument("--made-up", type=int, default=100, help="number of made-up pairs")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    options = parser.parse_args()
    real = list(files(options.a, options.b, options.warps)) if options.a and options.b else []
    made_up = [Case(*two_views(seed), [seed]) for seed in range(options.made_up)]
    unrelated = [mismatched(*two) for two in pairwise(real or made_up)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for model in options.models:
            for name, cases in (("made up", made_up), ("files", real), ("unrelated", unrelated)):
                if cases:
                    run = partial(measure, model=model, own=name == "files")
                    report(f"{model}, {name}", pool.map(run, cases))


if __name__ == "__main__":
    main()
