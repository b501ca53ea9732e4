"""Materials of both scenes: what they reflect (albedo, colour) and what they emit (temperature, emissivity)."""

from dataclasses import dataclass

import numpy as np

from ivf_scenes.bodies import Frame, Part
from ivf_scenes.geometry import normalised, vector
from ivf_scenes.stage import Material, Matter, Patch
from ivf_scenes.textures import Array, Noise, bricks, mix, smoothstep


def plain(n: int, colour: tuple[float, float, float]) -> Array:
    """One colour for n rays."""
    return np.broadcast_to(np.array(colour, np.float32), (n, 3)).copy()


def rough(patch: Patch, noise: Noise, wavelength: float, depth: float) -> Array:
    """Normals tilted by fractal noise: the relief of bark, asphalt, cloth."""
    at = patch.points / wavelength
    footprint = patch.footprint / wavelength
    tilt = np.stack([noise.fractal(at + 31.7 * k, 2, footprint) for k in range(3)], 1)
    return normalised(patch.normal + depth * tilt)


@dataclass
class Clothes:
    """The colours of a person's clothes, hair and skin, and whether the coat has bands of reflective tape."""

    coat: tuple[float, float, float]
    trousers: tuple[float, float, float]
    hair: tuple[float, float, float] = (0.03, 0.022, 0.015)
    skin: tuple[float, float, float] = (0.50, 0.33, 0.25)
    tape: bool = False


def dressed(clothes: Clothes, frame: Frame, noise: Noise, air: float) -> Material:
    """A person: bare skin is near 306 K, clothes lie between skin and air, thinnest at the joints."""

    def material(patch: Patch) -> Matter:
        own = frame.local(patch.points)
        up = own[:, 1]
        scalp = (patch.part == Part.SKIN) & (up > 1.655) & (np.abs(own[:, 0]) < 0.13)
        part = np.where(scalp, Part.HAIR, patch.part)
        colours = np.array(
            [clothes.skin, clothes.hair, clothes.coat, clothes.trousers, (0.03, 0.027, 0.025)], np.float32
        )
        albedo = colours[part.astype(int)]
        cloth = (part == Part.COAT) | (part == Part.TROUSERS)
        folds = noise.fractal(own * np.array([7, 4, 7], np.float32), 3)
        albedo *= (1 + 0.25 * folds * cloth)[:, None]
        if clothes.tape:
            band = ((np.abs(up - 1.08) < 0.03) | (np.abs(up - 1.26) < 0.03)) & (part == Part.COAT)
            albedo[band] = (0.75, 0.77, 0.78)
        lips = (part == Part.SKIN) & (up > 1.45) & (own[:, 2] > 0.08)
        features = (np.abs(up - 1.625) < 0.012) & (np.abs(np.abs(own[:, 0]) - 0.034) < 0.018)
        albedo[lips & features] *= 0.35
        warmth = np.select(
            [part == Part.SKIN, part == Part.HAIR, part == Part.COAT, part == Part.TROUSERS],
            [np.where(up > 1.4, 0.95, 0.80), 0.55, 0.46, 0.50],
            0.28,
        )
        chest = np.exp(-(((up - 1.28) / 0.16) ** 2) - (own[:, 0] / 0.13) ** 2)
        collar = np.exp(-(((up - 1.46) / 0.05) ** 2))
        warmth = warmth + (part == Part.COAT) * (0.10 * chest + 0.22 * collar) + cloth * 0.07 * folds
        warmth -= (part == Part.TROUSERS) * 0.10 * smoothstep(0.6, 0.2, up)
        nose = (part == Part.SKIN) & (np.abs(up - 1.585) < 0.02) & (own[:, 2] > 0.09)
        kelvin = air + (307 - air) * (warmth - 0.12 * nose)
        normal = np.where(cloth[:, None], rough(patch, noise, 0.15, 0.35), patch.normal)
        return Matter(albedo, kelvin, 0.97, 0.01, normal=normal)

    return material


def saloon(
    colour: tuple[float, float, float], frame: Frame, noise: Noise, base: float, engine: float, lit: bool
) -> Material:
    """A car: glossy sheet metal, glass that is opaque to heat, warm engine and tyres.

    ``base`` is the temperature of its body; ``engine`` sets how many kelvin warmer bonnet, tyres and exhaust are.
    """

    def material(patch: Patch) -> Matter:
        part, n = patch.part, len(patch.part)
        own = frame.local(patch.points)
        palette = np.zeros((12, 3), np.float32)
        palette[Part.PAINT] = colour
        palette[Part.GLASS] = (0.015, 0.018, 0.022)
        palette[Part.TYRE] = (0.018, 0.018, 0.018)
        palette[Part.RIM] = (0.45, 0.46, 0.48)
        palette[Part.HEADLAMP] = (0.6, 0.62, 0.65)
        palette[Part.TAILLAMP] = (0.35, 0.02, 0.02)
        palette[Part.TRIM] = (0.02, 0.02, 0.02)
        albedo = palette[part.astype(int)]
        dirt = 0.5 + 0.5 * noise.fractal(own * 2.5, 3)
        albedo *= (1 - 0.35 * dirt * smoothstep(0.9, 0.2, own[:, 1]))[:, None]
        seam = (part == Part.PAINT) & (own[:, 1] > 0.4) & (own[:, 1] < 0.97) & (np.abs(own[:, 0]) > 0.6)
        seam &= (
            (np.abs(own[:, 2] - 0.85) < 0.012)
            | (np.abs(own[:, 2] + 0.28) < 0.012)
            | (np.abs(own[:, 2] + 1.2) < 0.012)
        )
        albedo[seam] *= 0.3
        front = smoothstep(0.5, 1.6, own[:, 2])
        kelvin = base + 0.55 * engine * front * (part == Part.PAINT)
        kelvin = np.where(part == Part.TYRE, base + 0.8 * engine, kelvin)
        kelvin = np.where(part == Part.RIM, base + 0.5 * engine, kelvin)
        kelvin = np.where(part == Part.GLASS, base + 0.15 * engine, kelvin)
        exhaust = np.hypot(own[:, 0] - 0.45, own[:, 1] - 0.36) < 0.09
        kelvin = np.where(exhaust & (own[:, 2] < -1.8), base + 2.2 * engine, kelvin)
        under = (part == Part.TRIM) & (own[:, 1] < 0.37)
        kelvin = np.where(under, base + 0.7 * engine, kelvin)
        emissivity = np.select(
            [part == Part.GLASS, part == Part.PAINT, part == Part.RIM], [0.86, 0.90, 0.75], 0.95
        )
        gloss = np.select(
            [part == Part.GLASS, part == Part.PAINT, part == Part.RIM], [0.35, 0.16, 0.12], 0.02
        )
        glow = np.zeros((n, 3), np.float32)
        if lit:
            glow[part == Part.TAILLAMP] = (2.6, 0.08, 0.05)
        return Matter(albedo, kelvin, emissivity, gloss, glow)

    return material


def brickwork(patch: Patch, u: Array, v: Array, noise: Noise) -> tuple[Array, Array]:
    """The colour (n, 3) of a brick wall, and the fraction of mortar (n,)."""
    mortar, shade = bricks(u, v, patch.footprint, noise)
    stain = noise.fractal(np.stack([u * 0.5, v * 0.35, 0 * u], 1), 4)
    red = plain(len(u), (0.27, 0.115, 0.075)) * (1 + 0.45 * shade + 0.25 * stain)[:, None]
    grain = noise.fractal(patch.points * 40, 2, patch.footprint * 40)
    red *= (1 + 0.25 * grain)[:, None]
    return mix(np.maximum(red, 0.01), vector(0.30, 0.28, 0.25), mortar * 0.85), mortar


def leaves(colour: tuple[float, float, float], air: float, spread: float, noise: Noise) -> Material:
    """Foliage: thin, so its temperature follows the air; deep leaves are dark and a little warmer."""

    def material(patch: Patch) -> Matter:
        tint = noise(patch.points * 1.3)
        albedo = plain(len(patch.part), colour) * (0.35 + 0.9 * patch.part)[:, None]
        albedo[:, 0] *= 1 + 0.35 * tint
        kelvin = air + spread * (0.5 - patch.part) + 0.3 * tint
        return Matter(albedo, kelvin, 0.97, 0.03)

    return material


def bark(air: float, noise: Noise) -> Material:
    """A trunk."""

    def material(patch: Patch) -> Matter:
        grooves = noise.fractal(patch.points * np.array([16, 3, 16], np.float32), 3, patch.footprint * 16)
        albedo = plain(len(patch.part), (0.13, 0.10, 0.075)) * (1 + 0.6 * grooves)[:, None]
        return Matter(albedo, air + 1.2 + 0.3 * grooves, 0.95, normal=rough(patch, noise, 0.08, 0.5))

    return material


def enamel(
    colour: tuple[float, float, float], kelvin: float, emissivity: float = 0.9, gloss: float = 0.08
) -> Material:
    """A uniform coat of paint on metal or wood."""
    return lambda patch: Matter(plain(len(patch.part), colour), kelvin, emissivity, gloss)
