"""The two cameras: one sees reflected light, the other emitted heat. Both see the same surfaces."""

from collections.abc import Callable

import numpy as np

from ivf_scenes.geometry import OVERSAMPLING, Array
from ivf_scenes.light import Scene, mirrored


def gaussian_transfer(shape: tuple[int, int], sigma: float) -> Array:
    """The transfer function of a Gaussian blur, for the ``rfft2`` of an image of that shape."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    return np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2))


def pixel_transfer(shape: tuple[int, int]) -> Array:
    """The transfer function of the blur (1 6 1)/8 in both directions."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    return (0.75 + 0.25 * np.cos(2 * np.pi * fx)) * (0.75 + 0.25 * np.cos(2 * np.pi * fy))


def blurred(picture: Array, transfer_of: Callable[[tuple[int, int]], Array], margin: int = 40) -> Array:
    """The image (rows, columns) blurred by a transfer function; edges are mirrored."""
    padded = np.pad(picture, margin, mode="reflect")
    smooth = np.fft.irfft2(np.fft.rfft2(padded) * transfer_of(padded.shape), padded.shape)
    return smooth[margin:-margin, margin:-margin]


def averaged(scene: Scene, values: Array) -> Array:
    """Mean over the rays of each image element: (rows, columns) or (rows, columns, 3)."""
    n = OVERSAMPLING
    return values.reshape(scene.camera.height, n, scene.camera.width, n, *values.shape[1:]).mean((1, 3))


def visible(scene: Scene, exposure: float, noise: float, glare: float, seed: int) -> Array:
    """The colour image, (rows, columns, 3) in 0..255: reflection, glare of the lens, sensor noise, tone curve."""
    diffuse, mirror = scene.arriving
    surfaces, sky = scene.surfaces, scene.hits.thing < 0
    radiance = (
        surfaces.glow + surfaces.albedo * diffuse + surfaces.gloss[:, None] * (mirror + mirrored(scene))
    )
    radiance[sky] = scene.sky(scene.camera.rays[sky])
    radiance = radiance * scene.veil.light_passed[:, None] + scene.veil.light
    picture = averaged(scene, np.minimum(radiance, 60)) * exposure

    def lens(shape: tuple[int, int]) -> Array:
        sharp = 1 - glare
        return (
            sharp * pixel_transfer(shape)
            + 0.5 * glare * gaussian_transfer(shape, 3)
            + 0.3 * glare * gaussian_transfer(shape, 11)
            + 0.2 * glare * gaussian_transfer(shape, 36)
        )

    picture = np.stack([np.maximum(blurred(picture[..., k], lens, 100), 0) for k in range(3)], -1)
    rng = np.random.default_rng(seed)
    grain = 0.8 * rng.standard_normal(picture.shape[:2])[..., None] + 0.45 * rng.standard_normal(
        picture.shape
    )
    picture = np.maximum(picture + 0.3 * grain * (np.sqrt(picture * noise) + noise), 0)
    tone = picture * (2.51 * picture + 0.03) / (picture * (2.43 * picture + 0.59) + 0.14)
    return 255 * np.clip(tone, 0, 1) ** (1 / 2.2)


def band_radiance(kelvin: Array) -> Array:
    """Planck's law over 8-14 um (three lines of equal weight), relative to 300 K."""
    lines = np.linspace(9.0, 13.0, 3)[:, None] * 1e-6

    def planck(t: Array) -> Array:
        return (lines**-5 / np.expm1(0.014388 / (lines * t))).sum(0)

    return (planck(np.ravel(kelvin)) / planck(np.array([300.0]))).reshape(np.shape(kelvin)).astype(np.float32)


def thermal(
    scene: Scene, low: float, high: float, netd: float, haze: float, detail: float, seed: int
) -> Array:
    """The infrared image, (rows, columns) in 0..255; ``low`` and ``high`` kelvin become black and white.

    Emission and a little reflected sky, attenuated by ``haze`` (1/m) in air that has its own temperature, through a
    soft lens onto a sensor with the noise (``netd``, kelvin) and the column pattern of a microbolometer.
    """
    hits, surfaces, rays = scene.hits, scene.surfaces, scene.camera.rays

    def surroundings(directions: Array) -> Array:
        up = np.clip(directions[:, 1], 0, 1)
        return band_radiance(scene.air - scene.clear_sky * up**0.35 * (1 - 0.75 * scene.clouds(directions)))

    radiance = surroundings(rays)
    solid = np.flatnonzero(hits.thing >= 0)
    ray, normal = rays[solid], surfaces.normal[solid]
    reflected = ray - 2 * np.einsum("ij,ij->i", ray, normal)[:, None] * normal
    own = surfaces.emissivity[solid]
    absorbed = ((1 - surfaces.albedo[solid]) * scene.arriving[0][solid]).mean(1)
    kelvin = surfaces.kelvin[solid] + scene.sun_heat * absorbed
    radiance[solid] = own * band_radiance(kelvin) + (1 - own) * surroundings(reflected)
    passed = np.exp(-haze * np.minimum(hits.distance[solid], 500))
    radiance[solid] = passed * radiance[solid] + (1 - passed) * band_radiance(np.array([scene.air]))
    radiance = radiance * scene.veil.heat_passed + scene.veil.heat
    picture = averaged(scene, np.minimum(radiance, band_radiance(np.array([1.6 * high - 0.6 * low]))))

    def lens(shape: tuple[int, int]) -> Array:
        return 0.9 * gaussian_transfer(shape, 0.95) + 0.1 * gaussian_transfer(shape, 4)

    picture = blurred(picture, lens)
    black, white = band_radiance(np.array([low, high]))
    rng = np.random.default_rng(seed)
    kelvin_step = (white - black) / (high - low)
    picture += kelvin_step * netd * rng.standard_normal(picture.shape)
    picture += kelvin_step * 0.4 * netd * rng.standard_normal((1, picture.shape[1]))
    level = (picture - black) / (white - black)
    clipped = np.clip(level, -0.1, 1)
    level += detail * (clipped - blurred(clipped, lambda shape: gaussian_transfer(shape, 14)))
    return 255 * gain_curve(level)


def gain_curve(level: Array) -> Array:
    """Linear in the middle; the cold sky and the hottest spots are compressed into 0..1 instead of clipped."""
    low, high = 0.12, 0.80
    cold = low * np.exp(np.minimum(level - low, 0) / 0.45)
    hot = high + (1 - high) * (1 - np.exp(-np.maximum(level - high, 0) / (1 - high)))
    return np.select([level < low, level > high], [cold, hot], level)
