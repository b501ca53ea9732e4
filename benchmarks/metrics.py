"""All eight scores of 640 x 480 images: one triple, several in parallel on all cores, and folders of files."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.machine import median_seconds
from mambadfuse.data.images import write_image
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.evaluation.folders import evaluate_folders
from mambadfuse.metrics import EIGHT, evaluate

SIZE = (480, 640)
USUAL_EVALUATOR = 1.24  # seconds a triple of this size, measured once on another machine

Triple = dict[str, np.ndarray]


def triple(seed: int) -> Triple:
    """A toy pair and its ideal fusion under the noise of a sensor, so that no window is flat."""
    pair, rng = synthetic_pair(seed, SIZE), np.random.default_rng(seed)
    planes = {"fused": pair.truth, "a": pair.a, "b": pair.b}
    return {
        name: np.rint(255 * np.clip(plane + rng.normal(0, 0.02, SIZE), 0, 1)).astype(np.uint8)
        for name, plane in planes.items()
    }


def triple_seconds(convention: str, runs: int = 5) -> dict[str, object]:
    """Seconds per triple: one alone, on one thread, and on average with one on every core."""
    triples = [triple(seed) for seed in range(2 * (os.cpu_count() or 1))]

    def score(one: Triple) -> dict[str, float]:
        return evaluate(**one, convention=convention, metrics=EIGHT)

    alone, _ = median_seconds(lambda: score(triples[0]), runs)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        together, _ = median_seconds(lambda: list(pool.map(score, triples)), runs)
    shared = together / len(triples)
    print(
        f"  {convention:10} one triple {1000 * alone:.0f} ms on one thread, "
        f"{1000 * shared:.0f} ms each on {os.cpu_count()}",
        flush=True,
    )
    return {"convention": convention, "one_thread": alone, "all_threads": shared}


def folder_rate(pairs: int) -> dict[str, object]:
    """Fused images read from PNG files and scored per second, by all cores, without the baselines."""
    with TemporaryDirectory() as place:
        for seed in range(pairs):
            for name, picture in triple(seed).items():
                (Path(place) / name).mkdir(exist_ok=True)
                write_image(Path(place) / name / f"{seed}.png", picture)
        fused, a, b = (Path(place) / name for name in ("fused", "a", "b"))
        start = time.perf_counter()
        evaluate_folders([fused], a, b, baselines=False, progress=False)
        seconds = time.perf_counter() - start
    print(f"  {pairs} pairs from files: {pairs / seconds:.1f} images a second", flush=True)
    return {"pairs": pairs, "seconds": seconds, "pictures_per_second": pairs / seconds}
