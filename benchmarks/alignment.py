"""How closely alignment undoes known motions: ``python -m benchmarks.alignment --a DIR --b DIR [--warps 5]``.

Side a of every pair is moved by a random motion (black where it lacks pixels) and aligned to side b: shifts up to 8 %
of the width along both axes and, if the model knows them, rotations up to 5 degrees, scales within 8 %, shear up to
2 %, and a perspective that changes the scale by 2 % from the centre to each edge. The error is the median over the
four corners. Registered pairs of files are rarely registered to a pixel: "as stated" takes the files' word for it,
"consistent" compares with what the same method says of the pair as it came.
"""

import argparse
import os
import time
from collections.abc import Iterator
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


class Result(NamedTuple):
    before: float
    stated: float
    consistent: float
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


def measure(case: tuple[np.ndarray, np.ndarray, int], model: str, own: bool = True) -> Result:
    a, b, seed = case
    motion = random_motion(np.random.default_rng(seed), a.shape, model)
    image, start = moved(a, motion), time.process_time()
    found = estimate(image, b, model)
    seconds = time.process_time() - start
    own_error = estimate(a, b, model) if own else np.eye(3)
    errors = (
        displacement(x, y, a.shape)
        for x, y in ((np.eye(3), motion), (found, motion), (found, motion @ own_error))
    )
    return Result(*(float(np.median(e)) for e in errors), confidence(image, b, found), seconds)


def files(folder_a: Path, folder_b: Path, warps: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    from mambadfuse.data.discovery import find_pairs
    from mambadfuse.data.limited_range import read_luma

    for i, pair in enumerate(find_pairs(folder_a, folder_b).pairs):
        a, b = (read_luma(path).astype(np.float32) / 255 for path in (pair.a, pair.b))
        yield from ((a, b, 1000 * i + warp) for warp in range(warps))


def _mismatched(one: tuple, other: tuple) -> tuple[np.ndarray, np.ndarray, int]:
    """Side a of one pair and side b of another, cut to a common size."""
    height, width = (min(x, y) for x, y in zip(one[0].shape, other[1].shape, strict=True))
    return one[0][:height, :width], other[1][:height, :width], one[2]


def report(title: str, results: list[Result]) -> None:
    before, stated, consistent, trust, seconds = np.array(results).T
    worse = stated > before
    print(
        f"{title:26} {len(results):4d} pairs moved by {np.median(before):.1f} px: "
        f"as stated {(stated < CLOSE).mean():4.0%} below {CLOSE} px, median {np.median(stated):.2f}; "
        f"consistent {(consistent < CLOSE).mean():4.0%}, median {np.median(consistent):.2f}; "
        f"trusted {(trust >= TRUSTED).mean():4.0%}; worse {worse.sum()}, of these trusted "
        f"{(worse & (trust >= TRUSTED)).sum()}; {np.median(seconds):.2f} s a pair",
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
    made_up = [(*two_views(seed), seed) for seed in range(options.made_up)]
    unrelated = [_mismatched(*two) for two in pairwise(real[:: options.warps] or made_up)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for model in options.models:
            if made_up:
                report(f"{model}, made up", list(pool.map(partial(measure, model=model, own=False), made_up)))
            if real:
                report(f"{model}, files", list(pool.map(partial(measure, model=model), real)))
        if unrelated:
            report(
                "affine, unrelated", list(pool.map(partial(measure, model="affine", own=False), unrelated))
            )


if __name__ == "__main__":
    main()
