"""Smoke and flame: volumes without a surface. Smoke scatters light, heat passes almost unhindered."""

import numpy as np
from PIL import Image

from ivf_scenes.cameras import band_radiance
from ivf_scenes.geometry import OVERSAMPLING, Array, Hits, vector
from ivf_scenes.light import Veil
from ivf_scenes.textures import Noise, smoothstep

# The box that may contain smoke, relative to its source
REACH = (vector(-0.8, 0.0, -2.2), vector(14.0, 6.5, 6.2))
SEEN = vector(-1.25, 0.0, 12.2)  # offset into the noise that shapes the smoke
STEP = 0.3  # metres between two planes of the ray march
EXTINCTION = 1.5  # of light, per metre at density 1
HEAT_EXTINCTION = 0.05  # of heat, relative to light: soot is far smaller than a wavelength of 10 um
COARSE = 4 * OVERSAMPLING // 2  # density is smooth: one ray in COARSE along each axis is enough


def plume(points: Array, noise: Noise) -> Array:
    """Density (n,) at points (n, 3) relative to the source: drifts to the right, growing wider and thinner."""
    x, y, z = points.T
    way = np.maximum(x + 0.15, 0)
    high, tall, deep = 0.95 + 0.30 * way**0.8, 0.20 + 0.34 * way**0.7, 0.22 + 0.30 * way**0.8
    moved = points + SEEN
    warp = np.stack([noise(moved * 0.9 + shift) for shift in (5, 25, 45)], 1) * 0.35
    billow = noise.fractal((moved + warp) * vector(1.1, 1.5, 1.5), 4)
    up, aside = (y - high) / tall, (z - 0.10 * way) / deep
    sinking = 1.6 - 1.22 * smoothstep(0.1, 1.1, way)  # cooled smoke sinks to the ground
    shape = np.exp(-0.9 * np.where(up < 0, sinking, 1.0) * up**2 - 0.7 * aside**2)
    fresh = smoothstep(0.02, 0.25, way) * smoothstep(-0.35, 0.45, y + 0.5 * billow)
    return fresh * np.maximum(shape * (1.0 + 1.1 * billow) - 0.10, 0) * 4.2 / (1.02 + 0.16 * way)


def flame(points: Array, noise: Noise) -> Array:
    """Brightness (n,) of the fire at points (n, 3) relative to the source."""
    x, y, z = points.T
    tongue = np.exp(-(((x - 0.12 * (y - 0.9)) / 0.19) ** 2) - (z / 0.3) ** 2)
    return tongue * smoothstep(0.85, 0.95, y) * smoothstep(1.55, 0.95, y + 0.35 * noise((points + SEEN) * 6))


def smoke(
    hits: Hits, noise: Noise, source: Array, sun: Array, sunlight: Array, skylight: Array, air: float
) -> Veil:
    """Marches through the plume plane by plane, and accumulates what is in front of each surface."""
    camera = hits.camera
    rows, columns = camera.shape
    small = camera.rays.reshape(rows, columns, 3)[COARSE // 2 :: COARSE, COARSE // 2 :: COARSE]
    shape, small = small.shape[:2], small.reshape(-1, 3)
    where = camera.window(source + REACH[0], source + REACH[1])

    def full(values: Array) -> Array:
        picture = Image.fromarray(values.reshape(shape))
        return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR)).ravel()[where]

    depth = hits.distance[where] * camera.rays[where, 2]
    passed, light = np.ones(len(where), np.float32), np.zeros((len(where), 3), np.float32)
    fire = np.zeros(len(where), np.float32)
    for z in np.arange(source[2] + REACH[0][2], source[2] + REACH[1][2], STEP):
        points = (camera.origin - source + (z / small[:, 2:]) * small).astype(np.float32)
        inner = np.flatnonzero(((points > REACH[0]) & (points < REACH[1])).all(1))
        density, shade, burning = np.zeros((3, len(points)), np.float32)
        density[inner] = plume(points[inner], noise)
        towards_sun = plume(points[inner] + 0.45 * sun, noise)
        shade[inner] = np.exp(-0.55 * (towards_sun + 0.6 * density[inner]))
        burning[inner] = flame(points[inner], noise) * STEP
        front = depth > z
        share = (1 - np.exp(-EXTINCTION * STEP * full(density))) * front
        glow = full(burning) * front
        scattered = 0.62 * skylight + 0.62 * full(shade)[:, None] * sunlight
        light += (passed * share)[:, None] * scattered + (passed * glow)[:, None] * vector(9.0, 3.3, 0.6)
        fire += glow
        passed *= 1 - share
    heat_passed = passed**HEAT_EXTINCTION
    heat = (1 - heat_passed) * band_radiance(np.array([air + 6.0])) + 9.0 * fire

    def everywhere(values: Array, elsewhere: float) -> Array:
        picture = np.full((rows * columns, *values.shape[1:]), elsewhere, np.float32)
        picture[where] = values
        return picture

    return Veil(everywhere(passed, 1), everywhere(light, 0), everywhere(heat_passed, 1), everywhere(heat, 0))
