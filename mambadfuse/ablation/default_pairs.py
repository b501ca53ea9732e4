"""Pairs for an ablation where none are given, and smaller pictures where time is short."""

from collections.abc import Iterable, Sequence

import numpy as np

from mambadfuse.data.samples import samples
from mambadfuse.data.synthetic import Plane, synthetic_pair
from mambadfuse.data.training_pairs import ArrayPair, FilePair, Picture, TrainingPair, find_training_pairs

TRAINED, JUDGED = range(24), range(100, 112)  # seeds of toys


def own_pairs(size: tuple[int, int] = (96, 128)) -> tuple[list[Sequence[TrainingPair]], list[TrainingPair]]:
    """What the kit has itself to train on, the infrared-visible samples and 24 toys, and 12 other toys to be judged by.

    It shows how an ablation works, and that a change breaks a network; finer differences on toys say nothing of
    real pictures.

    Args:
        size: of the toys, (H, W).
    """
    found: list[FilePair] = []
    for sample in samples("ivf")[:1]:
        found = find_training_pairs(sample.a.parent, sample.b.parent)
    return [found, toys(TRAINED, size)], toys(JUDGED, size)


def middle(pairs: Iterable[TrainingPair], size: tuple[int, int]) -> list[TrainingPair]:
    """The pairs in memory, cut to the middle (H, W) of each; what is smaller stays as it is."""
    cut: list[TrainingPair] = []
    for pair in pairs:
        starts = [max(0, (have - want) // 2) for have, want in zip(pair.shape, size, strict=True)]
        window = tuple(slice(start, start + want) for start, want in zip(starts, size, strict=True))
        a, b = (np.ascontiguousarray(picture[window]) for picture in pair.pictures())
        cut.append(ArrayPair(pair.name, a, b))
    return cut


def toys(seeds: Iterable[int], size: tuple[int, int]) -> list[TrainingPair]:
    """Toy pairs with these seeds."""
    made = {seed: synthetic_pair(seed, size) for seed in seeds}
    return [ArrayPair(f"toy {seed}", _bytes(toy.a), _bytes(toy.b)) for seed, toy in made.items()]


def _bytes(plane: Plane) -> Picture:
    return np.rint(255 * plane).astype(np.uint8)
