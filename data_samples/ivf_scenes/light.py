"""The scene that both cameras share, and the light that reaches its surfaces: lamps, sun, sky, shadows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ivf_scenes.geometry import OVERSAMPLING, Array, Camera, Capsule, Hits, Index, normalised, vector
from ivf_scenes.textures import smoothstep

SUN = 1e3  # metres; lights farther away than this have no fall-off


@dataclass
class Surfaces:
    """What the cameras need to know about the surface of each ray; filled in by the materials of a scene."""

    albedo: Array  # (n, 3) share of light reflected
    glow: Array  # (n, 3) light emitted
    gloss: Array  # (n,) strength of the mirror-like reflection
    kelvin: Array  # (n,) temperature
    emissivity: Array  # (n,)
    normal: Array  # (n, 3) with the relief of the texture

    @classmethod
    def blank(cls, hits: Hits) -> "Surfaces":
        """Black surfaces at 280 K, before the materials are applied."""
        n = len(hits.thing)
        return cls(
            np.zeros((n, 3), np.float32),
            np.zeros((n, 3), np.float32),
            np.zeros(n, np.float32),
            np.full(n, 280, np.float32),
            np.full(n, 0.95, np.float32),
            hits.normal.copy(),
        )


@dataclass
class Light:
    """A lamp or the sun; ``aim`` and ``beam`` narrow it to a cone, ``size`` softens its shadows."""

    place: Array
    colour: Array
    size: float = 0.1
    aim: Array | None = None
    beam: float = 1.0
    casts: bool = True

    @property
    def is_sun(self) -> bool:
        """Whether it is so far away that it has no fall-off."""
        return bool(self.place @ self.place > SUN**2)


@dataclass
class Veil:
    """Smoke between camera and surface, for each ray: what it lets pass and what it adds, as light and as heat."""

    light_passed: Array = field(default_factory=lambda: np.ones(1, np.float32))
    light: Array = field(default_factory=lambda: np.zeros((1, 3), np.float32))
    heat_passed: Array = field(default_factory=lambda: np.ones(1, np.float32))
    heat: Array = field(default_factory=lambda: np.zeros(1, np.float32))


@dataclass
class Scene:
    """Everything both cameras share."""

    camera: Camera
    hits: Hits
    surfaces: Surfaces
    blockers: list[list[Capsule]]
    lights: list[Light]
    sky: Callable[[Array], Array]  # directions (n, 3) -> visible radiance (n, 3)
    ambient_sky: Array
    ambient_ground: Array
    air: float  # kelvin
    clear_sky: float  # kelvin by which the zenith is colder than the air
    clouds: Callable[[Array], Array] = lambda rays: np.zeros(len(rays), np.float32)  # cover in 0..1
    sun_heat: float = 0.0  # kelvin by which a black surface in unit light is warmer than in the dark
    veil: Veil = field(default_factory=Veil)

    @cached_property
    def arriving(self) -> tuple[Array, Array]:
        """Light that reaches the surface of each ray, and its specular part, (n, 3) each."""
        return irradiance(self)


def half(scene: Scene) -> Index:
    """One ray for each pixel of the image: enough for shadows."""
    rows, columns = scene.camera.shape
    n = OVERSAMPLING
    return (np.arange(0, rows, n)[:, None] * columns + np.arange(0, columns, n)).ravel()


def spread(scene: Scene, values: Array) -> Array:
    """From one value for each pixel back to one for each ray."""
    picture = values.reshape(scene.camera.height, scene.camera.width)
    return np.repeat(np.repeat(picture, OVERSAMPLING, 0), OVERSAMPLING, 1).ravel()


def bounding_ball(group: list[Capsule]) -> tuple[Array, float]:
    """Centre and radius of a ball that contains all capsules of a group."""
    ends = np.array([end for c in group for end in (c.start, c.end)])
    centre = (ends.min(0) + ends.max(0)) / 2
    radius = np.linalg.norm(ends - centre, axis=1).max() + max(max(c.radius, c.end_radius) for c in group)
    return centre, float(radius)


def shadow(points: Array, light: Light, groups: list[list[Capsule]]) -> Array:
    """The fraction of a light (n,) that capsules let through to points (n, 3), with a soft edge."""
    through = np.ones(len(points), np.float32)
    way = light.place - points
    reach = np.sqrt(np.einsum("ij,ij->i", way, way))
    way /= reach[:, None]
    spread_rate = light.size / np.minimum(reach, 1) if light.is_sun else light.size / reach
    for group in groups:
        centre, radius = bounding_ball(group)
        to_centre = centre - points
        along = np.clip(np.einsum("ij,ij->i", to_centre, way), 0, reach)
        passing = (
            np.einsum("ij,ij->i", to_centre, to_centre)
            - 2 * along * np.einsum("ij,ij->i", to_centre, way)
            + along**2
        )
        near = np.flatnonzero(passing < (radius + 0.02 + spread_rate * along) ** 2)
        for c in group:
            through[near] *= passed(points[near], way[near], reach[near], spread_rate[near], c)
    return through


def passed(points: Array, way: Array, reach: Array, spread_rate: Array, c: Capsule) -> Array:
    """The fraction of a light (n,) that one capsule lets pass from points (n, 3) along the directions (n, 3)."""
    axis, start = c.end - c.start, points - c.start
    length = max(float(axis @ axis), 1e-6)
    slope, along_way, along_axis = way @ axis, np.einsum("ij,ij->i", way, start), start @ axis
    s = np.clip((along_axis - slope * along_way) / np.maximum(length - slope**2, 1e-6), 0, 1)
    t = np.clip(s * slope - along_way, 0, reach)
    gap = start + t[:, None] * way - s[:, None] * axis
    clear = np.sqrt(np.einsum("ij,ij->i", gap, gap)) - c.radius - (c.end_radius - c.radius) * s
    blur = 0.02 + spread_rate * t
    return 1 - (1 - smoothstep(-blur, blur, clear)) * smoothstep(0.04, 0.2, t)


def contact(points: Array, normals: Array, groups: list[list[Capsule]]) -> Array:
    """The fraction of the sky (n,) that nearby capsules leave open: ambient occlusion under and between things."""
    open_share = np.ones(len(points), np.float32)
    for group in groups:
        centre, reach = bounding_ball(group)
        reach += 5 * max(c.radius for c in group)
        away = points - centre
        near = np.flatnonzero(np.einsum("ij,ij->i", away, away) < reach**2)
        for c in group:
            axis, start = c.end - c.start, points[near] - c.start
            along = np.clip(start @ axis / max(float(axis @ axis), 1e-6), 0, 1)
            way = along[:, None] * axis - start
            radius = (c.radius + c.end_radius) / 2
            distance = np.maximum(np.sqrt(np.einsum("ij,ij->i", way, way)), radius)
            facing = np.clip(np.einsum("ij,ij->i", way, normals[near]) / distance, 0, 1)
            outside = smoothstep(1.02 * radius, 1.2 * radius, distance)
            open_share[near] *= 1 - 0.8 * facing * (radius / distance) ** 2 * outside
    return open_share


def irradiance(scene: Scene) -> tuple[Array, Array]:
    """Light that reaches the surface of each ray, (n, 3), and its specular part as seen from the camera."""
    hits, surfaces = scene.hits, scene.surfaces
    solid = np.flatnonzero(hits.thing >= 0)
    sparse = half(scene)
    landed = hits.thing[sparse] >= 0
    points = hits.points(sparse[landed])
    openness = np.ones(len(sparse), np.float32)
    openness[landed] = contact(points, hits.normal[sparse[landed]], scene.blockers)
    diffuse, mirror = np.zeros((2, len(hits.thing), 3), np.float32)
    upward = 0.5 + 0.5 * surfaces.normal[solid, 1:2]
    ambient = scene.ambient_sky * upward + scene.ambient_ground * (1 - upward)
    diffuse[solid] = ambient * spread(scene, openness)[solid, None]
    where_all, normal = hits.points(solid), surfaces.normal[solid]
    for light in scene.lights:
        through = np.ones(len(sparse), np.float32)
        if light.casts:
            through[landed] = shadow(points, light, scene.blockers)
        way = light.place - where_all
        distance = np.sqrt(np.einsum("ij,ij->i", way, way))
        way /= distance[:, None]
        strength = spread(scene, through)[solid]
        if not light.is_sun:
            strength = strength / (distance**2 + 0.3)
        if light.aim is not None:
            strength = strength * np.clip(-(way @ light.aim), 0, 1) ** light.beam
        facing = np.clip(np.einsum("ij,ij->i", way, normal), 0, 1)
        between = normalised(way - scene.camera.rays[solid])
        glint = np.clip(np.einsum("ij,ij->i", between, normal), 0, 1)
        diffuse[solid] += (strength * facing)[:, None] * light.colour
        mirror[solid] += (strength * (facing > 0) * (0.4 * glint**24 + 6 * glint**300))[
            :, None
        ] * light.colour
    return diffuse, mirror


def mirrored(scene: Scene) -> Array:
    """The sky or ground reflected in a glossy surface, (n, 3); stronger at grazing angles (Schlick's approximation)."""
    shown = np.zeros_like(scene.hits.normal)
    glossy = np.flatnonzero(scene.surfaces.gloss > 0.02)
    ray, normal = scene.camera.rays[glossy], scene.surfaces.normal[glossy]
    facing = np.einsum("ij,ij->i", ray, normal)[:, None]
    back = ray - 2 * facing * normal
    seen = np.where(back[:, 1:2] > 0, scene.sky(back), scene.ambient_ground)
    shown[glossy] = seen * (0.4 + 2 * np.clip(1 + facing, 0, 1) ** 5)
    return shown


def ball(centre: Array, radius: float) -> Capsule:
    """A sphere that casts a shadow."""
    return Capsule(centre, centre + vector(0, 0.01, 0), radius, radius)
