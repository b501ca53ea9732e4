"""Synthetic pairs: small procedural scenes whose ideal fusion is known, as many as you like.

A thermal and a daylight camera look at one place. The thermal one (a) sees a cold, featureless ground and warm
bodies; the other (b) sees the pattern of the ground and no bodies. Neither image alone shows everything, and the
right fusion keeps the pattern of b around the bodies of a.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class SyntheticPair:
    """A registered pair with its ideal fusion; every image is float32 in [0, 1], (H, W)."""

    a: Plane
    """What the thermal camera sees."""
    b: Plane
    """What the daylight camera sees."""
    mask: Plane
    """Where the bodies are: 1 inside, 0 outside, in between at their soft edges."""
    truth: Plane
    """The ideal fusion, the bodies of a over the ground of b: a where the mask is 1, b where it is 0."""


def synthetic_pair(seed: int, size: tuple[int, int] = (64, 64)) -> SyntheticPair:
    """One synthetic pair; the same seed and size always give the same pair.

    >>> from mambadfuse.data.synthetic import synthetic_pair
    >>> synthetic_pair(seed=0, size=(48, 64)).truth.shape
    (48, 64)

    Args:
        seed: of the random scene.
        size: (H, W).

    Raises:
        ValueError: the size is not positive.
    """
    height, width = size
    if min(size) < 1:
        raise ValueError(f"size must be at least (1, 1), found {size}")
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(size)  # both in [0, 1); shapes scale with the image
    mask = _bodies(y, x, size, rng)
    warmth = rng.uniform(0.85, 1)
    cold = 0.05 + 0.1 * y
    a = mask * warmth + (1 - mask) * cold
    b = _pattern(y, x, rng)
    truth = mask * warmth + (1 - mask) * b
    return SyntheticPair(*(plane.astype(np.float32) for plane in (a, b, mask, truth)))


def _bodies(
    y: NDArray[np.float64], x: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Two to four upright ellipses with soft edges: 1 inside, 0 outside."""
    tall, wide = (length / max(size) for length in size)
    mask = np.zeros(size)
    for _ in range(rng.integers(2, 5)):
        centre_y, centre_x = rng.uniform(0.2, 0.8, 2) * (tall, wide)
        radius = rng.uniform(0.05, 0.11)
        distance = np.hypot((y - centre_y) / 1.8, x - centre_x) / radius  # 1 on the outline
        mask = np.maximum(mask, np.clip((1.15 - distance) / 0.3, 0, 1))
    return mask


def _pattern(y: NDArray[np.float64], x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Stripes of one direction on one side of a slanted line, a chequered ground on the other; in [0.2, 0.8]."""
    angle = rng.uniform(0, np.pi)
    stripes = np.sin(2 * np.pi * rng.uniform(6, 10) * (np.cos(angle) * x + np.sin(angle) * y))
    squares = 1 - 2 * ((np.floor(10 * x) + np.floor(10 * y)) % 2)
    slant = rng.uniform(-0.5, 0.5)
    left = x - 0.5 < slant * (y - 0.5)
    return 0.5 + 0.3 * np.where(left, stripes, 0.7 * squares)
