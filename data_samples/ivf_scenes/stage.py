"""The stage: collects things with their materials, then evaluates the material that each ray hits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ivf_scenes.bodies import Body
from ivf_scenes.geometry import OVERSAMPLING, Array, Camera, Capsule, Hits
from ivf_scenes.light import Surfaces


@dataclass
class Patch:
    """The n rays that hit one thing."""

    points: Array  # (n, 3)
    normal: Array  # (n, 3)
    part: Array  # (n,)
    footprint: Array  # (n,) width on the surface that one ray covers, in metres


@dataclass
class Matter:
    """The properties of a patch: what it reflects and what it emits."""

    albedo: Array  # (n, 3)
    kelvin: Array | float
    emissivity: Array | float = 0.95
    gloss: Array | float = 0.0
    glow: Array | float = 0.0
    normal: Array | None = None


Material = Callable[[Patch], Matter]


class Stage:
    """Collects things; ``blockers`` are groups of capsules that cast shadows."""

    def __init__(self, camera: Camera) -> None:
        self.hits = Hits(camera)
        self.blockers: list[list[Capsule]] = []
        self.materials: list[Material] = []

    def _number(self, material: Material) -> int:
        self.materials.append(material)
        return len(self.materials) - 1

    def ground(self, material: Material) -> None:
        """The plane y = 0."""
        self.hits.ground(self._number(material))

    def box(self, low: Array, high: Array, material: Material) -> None:
        """An axis-parallel box."""
        self.hits.box(low, high, self._number(material))

    def body(self, body: Body, material: Material) -> None:
        """A person or a car; it casts a shadow."""
        self.hits.solid(body.shape, body.low, body.high, self._number(material))
        self.blockers.append(body.blockers)

    def rods(self, capsules: list[Capsule], material: Material) -> None:
        """Trunks, branches, poles: capsules one by one; they cast shadows."""
        number = self._number(material)
        for c in capsules:
            margin = max(c.radius, c.end_radius)
            low, high = np.minimum(c.start, c.end) - margin, np.maximum(c.start, c.end) + margin

            def shape(points: Array, c: Capsule = c) -> tuple[Array, Array]:
                return c.distance(points), np.zeros(len(points), np.float32)

            self.hits.solid(shape, low, high, number, 32)
        self.blockers.append(capsules)

    def cloud(self, dots: tuple[Array, Array, Array], material: Material) -> None:
        """Leaves or grass."""
        points, normals, part = dots
        self.hits.dots(points, normals, part, self._number(material))

    def painted(self) -> Surfaces:
        """The surface that each ray hits."""
        surfaces, hits = Surfaces.blank(self.hits), self.hits
        for number, material in enumerate(self.materials):
            where = np.flatnonzero(hits.thing == number)
            if not len(where):
                continue
            slant = np.abs(np.einsum("ij,ij->i", hits.camera.rays[where], hits.normal[where]))
            width = hits.distance[where] / (hits.camera.focal * OVERSAMPLING)
            footprint = width / np.sqrt(np.clip(slant, 0.02, 1))
            patch = Patch(hits.points(where), hits.normal[where], hits.part[where], footprint)
            matter = material(patch)
            surfaces.albedo[where] = matter.albedo
            surfaces.kelvin[where] = matter.kelvin
            surfaces.emissivity[where] = matter.emissivity
            surfaces.gloss[where] = matter.gloss
            surfaces.glow[where] = matter.glow
            if matter.normal is not None:
                surfaces.normal[where] = matter.normal
        return surfaces
