"""Made-up scenes with objects and their boxes: what a detector can be trained on without a data set.

A registered infrared (a) and visible (b) image of one place, by day, by night, in smoke or against a glaring lamp, with
people, cars and signs. Each object is painted into both images through one mask, with a contrast of its own in each:
some stand out in a alone, some in b alone, some in both, and some in neither. Soft blobs and bars that are no
objects distract. The scenes show what fusion can and cannot do for a detector; they are no benchmark.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Kind = Literal["person", "car", "sign"]
Condition = Literal["day", "night", "smoke", "glare"]
Visibility = Literal["only a", "only b", "both", "camouflaged"]

KINDS: tuple[Kind, ...] = get_args(Kind)
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
VISIBILITIES: tuple[Visibility, ...] = get_args(Visibility)

SEEN = 20.0  # grey levels: an object stands out in an image from this mean contrast on
TRACE = 5.0  # below it in both images there is nothing to find, and the object is left out
SMALLEST = 48  # pixels: scenes with shorter sides have no room for a car

Plane = NDArray[np.float64]

# How often an object is meant to stand out in a alone, in b alone, in both, in neither.
_SHARES = {
    "person": (0.4, 0.15, 0.25, 0.2),
    "car": (0.25, 0.25, 0.3, 0.2),
    "sign": (0.15, 0.45, 0.2, 0.2),
}


@dataclass(frozen=True)
class SceneObject:
    """An object of a scene.

    Attributes:
        kind: what it is.
        box: (left, top, right, bottom) of its mask in pixels, right and bottom exclusive.
        contrast_a: mean change of a by the object, over its mask and without noise, in grey levels.
        contrast_b: the same of b.
    """

    kind: Kind
    box: tuple[int, int, int, int]
    contrast_a: float
    contrast_b: float

    @property
    def visibility(self) -> Visibility:
        """Where it stands out: where its contrast is at least 20 grey levels."""
        if self.contrast_a >= SEEN:
            return "both" if self.contrast_b >= SEEN else "only a"
        return "only b" if self.contrast_b >= SEEN else "camouflaged"


@dataclass(frozen=True, eq=False)
class ObjectScene:
    """A made-up scene: both images uint8, (H, W)."""

    a: NDArray[np.uint8]
    """What the infrared camera sees."""
    b: NDArray[np.uint8]
    """What the visible camera sees."""
    condition: Condition
    objects: tuple[SceneObject, ...]


def object_scene(
    seed: int, index: int = 0, size: tuple[int, int] = (64, 96), difficulty: float = 0.5
) -> ObjectScene:
    """One scene; the same arguments always give the same one, so that a seed stands for thousands of scenes.

    >>> from mambadfuse.data.object_scenes import object_scene
    >>> scene = object_scene(seed=0, index=5)
    >>> scene.a.shape, scene.condition
    ((64, 96), 'smoke')
    >>> [(found.kind, found.visibility) for found in scene.objects]
    [('car', 'both'), ('car', 'only a'), ('car', 'only b')]

    Args:
        seed: of a series of scenes.
        index: of the scene in its series.
        size: (H, W), at least 48 pixels each.
        difficulty: in [0, 1]; higher means fainter objects, more noise and more that distracts.

    Raises:
        ValueError: an argument is out of its range.
    """
    if min(seed, index) < 0:
        raise ValueError(f"seed and index must be at least 0, found {seed} and {index}")
    if min(size) < SMALLEST:
        raise ValueError(f"size must be at least ({SMALLEST}, {SMALLEST}), found {size}")
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must be in [0, 1], found {difficulty}")
    rng = np.random.default_rng([seed, index])
    condition = CONDITIONS[rng.integers(len(CONDITIONS))]
    a, b = _place(size, rng)
    for _ in range(rng.integers(0, 2 + round(4 * difficulty))):
        distraction = _distraction(size, rng)
        a, b = (side + distraction * rng.normal(0, 30) for side in (a, b))
    lens = _Lens(condition, size, rng)
    objects = []
    for kind, mask, shade, box in _shapes(size, rng):
        strength_a, strength_b = _strengths(kind, difficulty, rng)
        with_a, with_b = a + mask * shade * strength_a, b + mask * shade * strength_b
        inside = mask > 0.5
        contrast_a = float(abs(with_a.clip(0, 255) - a.clip(0, 255))[inside].mean())
        contrast_b = float(abs(lens(with_b) - lens(b))[inside].mean())
        if max(contrast_a, contrast_b) >= TRACE:
            a, b = with_a, with_b
            objects.append(SceneObject(kind, box, contrast_a, contrast_b))
    noise = 2 + 4 * difficulty
    noise_b = noise * (1.5 if condition == "night" else 1)
    return ObjectScene(_as_image(a, noise, rng), _as_image(lens(b), noise_b, rng), condition, tuple(objects))


class _Lens:
    """What the visible camera makes of a scene: transmission * gain * scene + light, in [0, 255]."""

    def __init__(self, condition: Condition, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.gain = rng.uniform(0.2, 0.45) if condition == "night" else 1.0
        self.transmission: Plane | float = 1.0
        self.light: Plane | float = 0.0
        if condition == "smoke":
            self.transmission = 1 - 0.9 / (1 + np.exp(-3 * _clouds(size, rng, (6, 14))))
            self.light = (1 - self.transmission) * rng.uniform(150, 220)
        if condition == "glare":
            y, x = np.mgrid[: size[0], : size[1]]
            centre_y, centre_x = rng.uniform(0.1, 0.9, 2) * size
            radius = rng.uniform(0.15, 0.35) * min(size)
            distance = np.hypot(y - centre_y, x - centre_x) / radius
            self.light = rng.uniform(250, 500) * np.exp(-(distance**2) / 2)

    def __call__(self, scene: Plane) -> Plane:
        return np.asarray(self.transmission * self.gain * scene + self.light).clip(0, 255)


def _place(size: tuple[int, int], rng: np.random.Generator) -> tuple[Plane, Plane]:
    """An empty place: a sky over a textured ground, on each side of another brightness."""
    y = np.mgrid[: size[0], : size[1]][0] / size[0]
    ground = y > rng.uniform(0.05, 0.4)
    common = _clouds(size, rng, (2, 6))
    a = np.where(ground, rng.uniform(60, 110), rng.uniform(20, 60)) + rng.uniform(0, 6) * common
    b = np.where(ground, rng.uniform(80, 140), rng.uniform(140, 200)) + rng.uniform(4, 10) * common
    return a + rng.uniform(2, 8) * _clouds(size, rng, (2, 8)), b + rng.uniform(4, 12) * _clouds(
        size, rng, (1, 5)
    )


def _clouds(size: tuple[int, int], rng: np.random.Generator, scales: tuple[float, ...]) -> Plane:
    """Smooth noise of mean 0 and standard deviation 1."""
    clouds = sum(scale * ndimage.gaussian_filter(rng.normal(size=size), scale) for scale in scales)
    return np.asarray((clouds - np.mean(clouds)) / np.std(clouds))


def _distraction(size: tuple[int, int], rng: np.random.Generator) -> Plane:
    """A soft blob, or a bar that is longer than any object; in [0, 1]."""
    y, x = np.mgrid[: size[0], : size[1]]
    centre_y, centre_x = rng.uniform(0, 1, 2) * size
    if rng.random() < 0.5:
        wide, tall = rng.uniform(3, 9, 2)
        return np.asarray(np.exp(-(((x - centre_x) / wide) ** 2 + ((y - centre_y) / tall) ** 2) / 2))
    angle = rng.uniform(0, np.pi)
    across = abs((x - centre_x) * np.sin(angle) - (y - centre_y) * np.cos(angle))
    return _inside(across - rng.uniform(0.8, 2.5))


def _shapes(
    size: tuple[int, int], rng: np.random.Generator
) -> list[tuple[Kind, Plane, Plane, tuple[int, int, int, int]]]:
    """One to six objects that do not touch: kind, mask in [0, 1], shade about 1, and box."""
    y, x = np.mgrid[: size[0], : size[1]]
    taken = np.zeros(size, dtype=bool)
    shapes = []
    for _ in range(rng.integers(2, 9)):
        kind = KINDS[rng.integers(len(KINDS))]
        wide, tall = _extent(kind, rng)
        centre_y = rng.uniform(tall / 2 + 1, size[0] - tall / 2 - 1)
        centre_x = rng.uniform(wide / 2 + 1, size[1] - wide / 2 - 1)
        mask, shade = _DRAW[kind](x - centre_x, y - centre_y, wide, tall)
        rows, columns = np.nonzero(mask > 0.5)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        around = slice(max(top - 2, 0), bottom + 2), slice(max(left - 2, 0), right + 2)
        if not taken[around].any():
            taken[around] = True
            shapes.append((kind, mask, shade, (int(left), int(top), int(right), int(bottom))))
    return shapes


def _extent(kind: Kind, rng: np.random.Generator) -> tuple[float, float]:
    """Width and height in pixels."""
    if kind == "person":
        tall = rng.uniform(12, 24)
        return rng.uniform(0.36, 0.46) * tall, tall
    if kind == "car":
        wide = rng.uniform(16, 30)
        return wide, rng.uniform(0.45, 0.55) * wide
    side = rng.uniform(7, 13)
    return side, side


def _person(x: Plane, y: Plane, wide: float, tall: float) -> tuple[Plane, Plane]:
    """A head over a body."""
    head = np.hypot(x, y + 0.37 * tall) - 0.13 * tall
    body = (np.hypot(x / (wide / 2), (y - 0.13 * tall) / (0.37 * tall)) - 1) * wide / 2
    return _inside(np.minimum(head, body)), np.where(head < 0, 1.2, 1.0)


def _car(x: Plane, y: Plane, wide: float, tall: float) -> tuple[Plane, Plane]:
    """A box with a narrower cabin on it, whose windows are fainter, and two wheels, which are stronger."""
    body = np.maximum(abs(x) - wide / 2, abs(y - 0.15 * tall) - 0.2 * tall)
    cabin = np.maximum(abs(x) - 0.32 * wide + 0.3 * np.maximum(0, -y), abs(y + 0.25 * tall) - 0.25 * tall)
    wheels = np.hypot(abs(x) - 0.28 * wide, y - 0.33 * tall) - 0.17 * tall
    shade = np.where(wheels < 0, 1.3, np.where(body < 0, 1.0, 0.5))
    return _inside(np.minimum(np.minimum(body, cabin), wheels)), shade


def _sign(x: Plane, y: Plane, wide: float, tall: float) -> tuple[Plane, Plane]:
    """A diamond with a fainter core."""
    ring = abs(x) + abs(y) - wide / 2
    return _inside(ring), np.where(ring < -0.25 * wide, 0.3, 1.3)


_DRAW = {"person": _person, "car": _car, "sign": _sign}


def _inside(distance: Plane) -> Plane:
    """1 inside an outline, 0 outside, between the two where the outline runs through a pixel."""
    return np.clip(0.5 - distance, 0, 1)


def _strengths(kind: Kind, difficulty: float, rng: np.random.Generator) -> tuple[float, float]:
    """By how many grey levels an object changes each side; people and cars are mostly warm, so brighter in a."""
    meant = rng.choice(len(VISIBILITIES), p=_SHARES[kind])
    warm = 1 if kind != "sign" and rng.random() < 0.85 else rng.choice([-1, 1])
    strong = (70 - 35 * difficulty) * rng.uniform(0.8, 1.6, 2)
    faint = rng.uniform(8, 17, 2) if meant == 3 else rng.uniform(0, 8, 2)
    a, b = np.where([meant in (0, 2), meant in (1, 2)], strong, faint)
    return float(warm * a), float(rng.choice([-1, 1]) * b)


def _as_image(side: Plane, noise: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return (side + rng.normal(0, noise, side.shape)).round().clip(0, 255).astype(np.uint8)
