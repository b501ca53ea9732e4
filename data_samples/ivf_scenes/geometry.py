"""Ray casting: which surface each ray of the camera meets first.

Axes: x to the right, y up, z forward, in metres; the camera is at (0, eye, 0). Rays are traced at twice the resolution
of the image and averaged at the end (anti-aliasing).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ivf_scenes.textures import Array

OVERSAMPLING = 2
Index = NDArray[np.intp]
Distance = Callable[[Array], tuple[Array, Array]]  # points (n, 3) -> signed distance (n,), part number (n,)


def vector(x: float, y: float, z: float) -> Array:
    """A point or direction as an array."""
    return np.array([x, y, z], np.float32)


def normalised(v: Array) -> Array:
    """Vectors (n, 3) scaled to unit length."""
    return v / np.maximum(np.sqrt(np.einsum("...i,...i->...", v, v)), 1e-9)[..., None]


@dataclass
class Capsule:
    """All points closer to a segment than a radius, which may change along it."""

    start: Array
    end: Array
    radius: float
    end_radius: float

    def distance(self, points: Array) -> Array:
        """Signed distance (n,) of points (n, 3), negative inside."""
        axis = self.end - self.start
        along = np.clip((points - self.start) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
        gap = points - self.start - along[:, None] * axis
        radius = self.radius + (self.end_radius - self.radius) * along
        return np.sqrt(np.einsum("ij,ij->i", gap, gap)) - radius


def capsule(start: Array, end: Array, radius: float, end_radius: float | None = None) -> Capsule:
    """A capsule; ``end_radius`` defaults to ``radius``."""
    return Capsule(start, end, radius, radius if end_radius is None else end_radius)


@dataclass
class Camera:
    """A pinhole camera. ``focal`` is in pixels, ``pitch`` in radians, positive when it looks down."""

    width: int
    height: int
    focal: float
    eye: float
    pitch: float
    rays: Array = field(init=False)

    def __post_init__(self) -> None:
        n = OVERSAMPLING
        x = (np.arange(self.width * n) + 0.5) / n - self.width / 2
        y = self.height / 2 - (np.arange(self.height * n) + 0.5) / n
        grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None], self.focal), -1).reshape(-1, 3)
        sin, cos = np.sin(self.pitch), np.cos(self.pitch)
        up, forward = cos * grid[:, 1] - sin * grid[:, 2], cos * grid[:, 2] + sin * grid[:, 1]
        self.rays = normalised(np.stack([grid[:, 0], up, forward], 1)).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the oversampled image."""
        return self.height * OVERSAMPLING, self.width * OVERSAMPLING

    @property
    def origin(self) -> Array:
        """The position of the camera."""
        return vector(0, self.eye, 0)

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """Column and row in the oversampled image, and distance along the axis, of points (n, 3)."""
        x, y, z = (points - self.origin).T
        sin, cos = np.sin(self.pitch), np.cos(self.pitch)
        depth = cos * z - sin * y
        scale = self.focal * OVERSAMPLING / np.maximum(depth, 1e-3)
        column = self.shape[1] / 2 + scale * x
        row = self.shape[0] / 2 - scale * (cos * y + sin * z)
        return column, row, depth

    def window(self, low: Array, high: Array) -> Index:
        """The rays that may hit the axis-parallel box from ``low`` to ``high``."""
        corners = np.array(
            [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )
        column, row, depth = self.project(corners)
        rows, columns = self.shape
        if depth.min() < 0.1:
            return np.arange(rows * columns)
        left, right = np.clip([column.min() - 1, column.max() + 2], 0, columns).astype(int)
        top, bottom = np.clip([row.min() - 1, row.max() + 2], 0, rows).astype(int)
        return (np.arange(top, bottom)[:, None] * columns + np.arange(left, right)).ravel()


class Hits:
    """What each ray hits first: distance, normal, the number of the thing and of its part; thing -1 is the sky."""

    def __init__(self, camera: Camera) -> None:
        n = len(camera.rays)
        self.camera = camera
        self.distance = np.full(n, np.inf, np.float32)
        self.normal = np.zeros((n, 3), np.float32)
        self.thing = np.full(n, -1, np.int16)
        self.part = np.zeros(n, np.float32)

    def points(self, where: Index) -> Array:
        """The points (n, 3) that the rays ``where`` hit."""
        return self.camera.origin + self.distance[where, None] * self.camera.rays[where]

    def keep_nearer(
        self, where: Index, distance: Array, normal: Array, thing: int, part: Array | float
    ) -> None:
        """Records the hits that are closer than those known so far."""
        nearer = distance < self.distance[where]
        where = where[nearer]
        self.distance[where] = distance[nearer]
        self.normal[where] = normal[nearer] if normal.ndim == 2 else normal
        self.thing[where] = thing
        self.part[where] = part[nearer] if isinstance(part, np.ndarray) else part

    def ground(self, thing: int) -> None:
        """The plane y = 0."""
        down = self.camera.rays[:, 1]
        where = np.flatnonzero(down < -1e-4)
        self.keep_nearer(where, -self.camera.eye / down[where], vector(0, 1, 0), thing, 0.0)

    def box(self, low: Array, high: Array, thing: int) -> None:
        """An axis-parallel box."""
        where = self.camera.window(low, high)
        rays = self.camera.rays[where]
        with np.errstate(divide="ignore", over="ignore"):
            near, far = (low - self.camera.origin) / rays, (high - self.camera.origin) / rays
        near, far = np.minimum(near, far), np.maximum(near, far)
        axis = near.argmax(1)
        enter = near[np.arange(len(rays)), axis]
        normal = np.zeros_like(rays)
        normal[np.arange(len(rays)), axis] = -np.sign(rays[np.arange(len(rays)), axis])
        met = (enter < far.min(1)) & (enter > 0)
        self.keep_nearer(where[met], enter[met], normal[met], thing, 0.0)

    def solid(self, shape: Distance, low: Array, high: Array, thing: int, steps: int = 48) -> None:
        """A body given by its signed distance function, by ray marching."""
        centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
        where = self.camera.window(low, high)
        rays = self.camera.rays[where]
        middle = rays @ (centre - self.camera.origin)
        travelled = np.maximum(middle - radius, 0.05)
        active = np.arange(len(where))
        met = np.zeros(len(where), bool)
        for _ in range(steps):
            gap, _ = shape(self.camera.origin + travelled[active, None] * rays[active])
            travelled[active] += 0.8 * gap
            met[active] = gap < 0.002
            active = active[~met[active] & (travelled[active] < middle[active] + radius)]
        if not met.any():
            return
        points = self.camera.origin + travelled[met, None] * rays[met]
        _, part = shape(points)
        self.keep_nearer(where[met], travelled[met], gradient(shape, points), thing, part)

    def dots(self, points: Array, normals: Array, part: Array, thing: int) -> None:
        """A cloud of points, each one sub-pixel wide: leaves and blades of grass."""
        column, row, depth = self.camera.project(points)
        rows, columns = self.camera.shape
        seen = (depth > 0.3) & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        far_to_near = np.flatnonzero(seen)[np.argsort(-depth[seen], kind="stable")]
        where = row[far_to_near].astype(np.intp) * columns + column[far_to_near].astype(np.intp)
        last, first_from_end = np.unique(where[::-1], return_index=True)
        nearest = far_to_near[::-1][first_from_end]
        distance = np.linalg.norm(points[nearest] - self.camera.origin, axis=1).astype(np.float32)
        self.keep_nearer(last, distance, normals[nearest], thing, part[nearest])


def gradient(shape: Distance, points: Array, step: float = 0.004) -> Array:
    """Unit normals (n, 3) of a signed distance function, from differences at the corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    return normalised(sum(corner * shape(points + step * corner)[0][:, None] for corner in corners))
