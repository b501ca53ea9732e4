"""Made-up scenes for training: what photographs rarely show, and networks get wrong.

A region that is flat in both images, such as a sky, of any two brightnesses; signs and people in front of it; lamps
that blind the daylight camera with people beside them; textured ground. Photographs of a data set have few such places,
and almost no two of the same brightness, so a network that has seen nothing else fails where they differ.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mambadfuse.data.crops import checked_weights
from mambadfuse.data.training_pairs import Picture, Pictures, TrainingPair

SIDE = 288  # pixels: room for crops of 256
_COUNT = 200

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A made-up pair, 288 x 288 pixels, drawn anew whenever it is read; the same seed always gives the same pair.

    >>> a, b = Scene(seed=0).pictures()
    >>> a.shape, a.dtype.name
    ((288, 288), 'uint8')
    """

    seed: int

    @property
    def name(self) -> str:
        """What messages call the pair."""
        return f"scene {self.seed}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return SIDE, SIDE

    def pictures(self) -> Pictures:
        """Both sides, uint8, (H, W); turned by a multiple of 90 degrees, so that the sky may be on any side."""
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[:SIDE, :SIDE] / SIDE
        a, b = _sky_and_ground(y, x, rng)
        for _ in range(rng.integers(0, 4)):
            a, b = _with_sign(a, b, y, x, rng)
        lamp = rng.uniform(0.1, 0.9, 2), rng.uniform(0.04, 0.2)
        for _ in range(rng.integers(0, 6)):
            a, b = _with_person(a, b, y, x, lamp[0] + rng.normal(0, 1.5 * lamp[1], 2), rng)
        if rng.random() < 0.4:
            b = b + _glow(y, x, *lamp) * rng.uniform(200, 600)
        turns = int(rng.integers(4))
        return _as_picture(a, turns, rng), _as_picture(b, turns, rng)

    def digest(self) -> int:
        """CRC-32 of the pixels."""
        a, b = self.pictures()
        return zlib.crc32(b.tobytes(), zlib.crc32(a.tobytes()))


def with_scenes(
    sets: Sequence[Sequence[TrainingPair]], sampling_weights: Sequence[float] | None, share: float
) -> tuple[list[Sequence[TrainingPair]], list[float]]:
    """The sets and 200 scenes, with sampling weights that give the scenes this share of the crops, below 1.

    Raises:
        ValueError: as :func:`~mambadfuse.data.crops.checked_weights`.

    >>> with_scenes([[Scene(7)], [Scene(8)]], None, share=0.2)[1]
    [0.4, 0.4, 0.2]
    """
    weights = checked_weights(sets, sampling_weights)
    rest = (1 - share) / sum(weights)
    scenes: Sequence[TrainingPair] = [Scene(seed) for seed in range(_COUNT)]
    return [*sets, scenes], [*(rest * weight for weight in weights), share]


def _sky_and_ground(y: Plane, x: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A sky of any brightness on each side, often dark in a and bright in b, above ground that is partly alike."""
    horizon = rng.uniform(0.3, 0.8) + 0.05 * np.sin(rng.uniform(2, 12) * x + rng.uniform(0, 6))
    common = _texture(rng)
    sides = []
    for low, high in ((0, 40), (120, 255)):
        level = rng.uniform(low, high) if rng.random() < 0.4 else rng.uniform(0, 255)
        sky = level + rng.uniform(-30, 30) * (y - 0.3) + rng.uniform(-15, 15) * (x - 0.5)
        shared, own = rng.uniform(-40, 40), rng.uniform(2, 20)
        ground = rng.uniform(40, 180) + shared * common + own * _texture(rng)
        sides.append(np.where(y > horizon, ground, sky))
    return sides[0], sides[1]


def _texture(rng: np.random.Generator) -> Plane:
    """Clouds of noise at three scales, of mean 0 and standard deviation 1."""
    clouds = sum(
        weight * sigma * ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma)
        for sigma, weight in ((1, 1), (3, 2), (8, 4))
    )
    return np.asarray((clouds - np.mean(clouds)) / np.std(clouds))


def _with_sign(a: Plane, b: Plane, y: Plane, x: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A rectangle, plain or striped, of another brightness on each side."""
    (centre_y, centre_x), tall, wide = (
        rng.uniform(0.05, 0.95, 2),
        rng.uniform(0.02, 0.12),
        rng.uniform(0.02, 0.3),
    )
    sign = (abs(y - centre_y) < tall) & (abs(x - centre_x) < wide)
    stripes = np.sign(np.sin(rng.uniform(20, 120) * x))
    bright = [rng.uniform(20, 240) + rng.choice([0, 0, 25]) * stripes for _ in range(2)]
    return np.where(sign, bright[0], a), np.where(sign, bright[1], b)


def _with_person(
    a: Plane, b: Plane, y: Plane, x: Plane, centre: Plane, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """An upright bar, warm in a and at most faint in b."""
    tall, wide = rng.uniform(0.03, 0.1), rng.uniform(0.01, 0.03)
    person = (abs(y - centre[0]) < tall) & (abs(x - centre[1]) < wide)
    faint = rng.uniform(-30, 30) if rng.random() < 0.3 else 0.0
    return np.where(person, a + rng.uniform(60, 140), a), np.where(person, b + faint, b)


def _glow(y: Plane, x: Plane, centre: Plane, radius: float) -> Plane:
    return np.asarray(np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * radius**2)))


def _as_picture(side: Plane, turns: int, rng: np.random.Generator) -> Picture:
    """The side with the grain of a camera."""
    grainy = side + rng.normal(0, rng.uniform(0.3, 3), side.shape)
    return np.ascontiguousarray(np.rot90(grainy.round().clip(0, 255).astype(np.uint8), turns))
