"""Pairs for an ablation where none are given, and smaller images to save time."""

from collections.abc import Iterable, Sequence

import numpy as np

from mambadfuse.data.samples import samples
from mambadfuse.data.synthetic import Plane, synthetic_pair
from mambadfuse.data.training_pairs import ArrayPair, FilePair, Picture, TrainingPair, find_training_pairs

_TRAINING, _VALIDATION = range(24), range(100, 112)  # seeds of toy pairs


def bundled_pairs(
    size: tuple[int, int] = (96, 128),
) -> tuple[list[Sequence[TrainingPair]], list[TrainingPair]]:
    """Pairs that come with the kit: the infrared-visible samples and 24 toy pairs to train on, 12 more to validate on.

    They show how an ablation works and that a change breaks a network; smaller differences on toy pairs say nothing
    about real images.

    Args:
        size: of the toy pairs, (H, W).

    Returns:
        Training sets, validation pairs.
    """
    found: list[FilePair] = []
    for sample in samples("ivf")[:1]:
        found = find_training_pairs(sample.a.parent, sample.b.parent)
    return [found, toy_pairs(_TRAINING, size)], toy_pairs(_VALIDATION, size)


def centre_crop(pairs: Iterable[TrainingPair], size: tuple[int, int]) -> list[TrainingPair]:
    """The pairs in memory, cropped to the central (H, W) of each image; a side that is smaller is not cropped."""
    cropped: list[TrainingPair] = []
    for pair in pairs:
        starts = [max(0, (have - want) // 2) for have, want in zip(pair.shape, size, strict=True)]
        window = tuple(slice(start, start + want) for start, want in zip(starts, size, strict=True))
        a, b = (np.ascontiguousarray(picture[window]) for picture in pair.pictures())
        cropped.append(ArrayPair(pair.name, a, b))
    return cropped


def toy_pairs(seeds: Iterable[int], size: tuple[int, int]) -> list[TrainingPair]:
    """Toy pairs with these seeds, as uint8."""
    made = {seed: synthetic_pair(seed, size) for seed in seeds}
    return [ArrayPair(f"toy {seed}", _bytes(toy.a), _bytes(toy.b)) for seed, toy in made.items()]


def _bytes(plane: Plane) -> Picture:
    return np.rint(255 * plane).astype(np.uint8)
