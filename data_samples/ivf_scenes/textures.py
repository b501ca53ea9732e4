"""Procedural textures: functions of a position in metres, faded out where they are finer than a pixel.

``footprint`` is the width in metres that one ray covers at a point; detail finer than about two footprints is
replaced by its mean, so that distant bricks become a uniform red instead of a moiré pattern.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.float32]


def smoothstep(low: float | Array, high: float | Array, x: Array) -> Array:
    """0 below ``low``, 1 above ``high``, a smooth cubic in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Interpolates colours from ``a`` (n, 3) to ``b`` (n, 3) by a weight (n,) in 0..1."""
    return a + (np.asarray(b, np.float32) - a) * weight[:, None]


class Noise:
    """A smooth random field in about -1..1: random values on a lattice, with cubic interpolation."""

    def __init__(self, seed: int) -> None:
        self.lattice = np.random.default_rng(seed).random(64**3, np.float32) * 2 - 1

    def __call__(self, points: Array) -> Array:
        """One octave at points (n, 3); the lattice spacing is 1."""
        floor = np.floor(points)
        t = (points - floor).astype(np.float32)
        t = t * t * (3 - 2 * t)
        low = floor.astype(np.int32) & 63
        high = (low + 1) & 63
        corner = [(low[:, k] << shift, high[:, k] << shift) for k, shift in enumerate((12, 6, 0))]

        def along_z(i: int, j: int) -> Array:
            base = corner[0][i] + corner[1][j]
            a = self.lattice[base + corner[2][0]]
            return a + (self.lattice[base + corner[2][1]] - a) * t[:, 2]

        a = along_z(0, 0)
        a = a + (along_z(0, 1) - a) * t[:, 1]
        b = along_z(1, 0)
        b = b + (along_z(1, 1) - b) * t[:, 1]
        return a + (b - a) * t[:, 0]

    def fractal(self, points: Array, octaves: int = 4, footprint: Array | None = None) -> Array:
        """A sum of octaves, each with half the wavelength and amplitude; ``footprint`` in the unit of the points."""
        total = np.zeros(len(points), np.float32)
        for octave in range(octaves):
            value = self(points * 2.0**octave + 17.3 * octave) * 0.5**octave
            if footprint is not None:
                value *= np.clip(1.5 - 2 * footprint * 2.0**octave, 0, 1)
            total += value
        return total


def bricks(u: Array, v: Array, footprint: Array, noise: Noise) -> tuple[Array, Array]:
    """Running bond of 22.5 x 7.5 cm: the fraction of mortar (n,) and a random number for each brick (n,)."""
    length, height, joint = 0.225, 0.075, 0.010
    row = np.floor(v / height)
    shifted = u / length + 0.5 * (row % 2)
    column = np.floor(shifted)
    to_joint = np.minimum(
        np.minimum(v / height - row, row + 1 - v / height) * height,
        np.minimum(shifted - column, column + 1 - shifted) * length,
    )
    mortar = 1 - smoothstep(joint / 2 - footprint, joint / 2 + footprint, to_joint)
    coarse = smoothstep(0.5 * height, height, footprint)
    mortar = mortar * (1 - coarse) + 0.18 * coarse
    shade = noise(np.stack([column * 1.7, row * 1.3, column * 0.31 + row * 0.77], 1).astype(np.float32))
    return mortar, shade * (1 - coarse)


def boards(u: Array, width: float, footprint: Array, noise: Noise) -> tuple[Array, Array]:
    """Vertical boards: the fraction of gap (n,) and a random number for each board (n,)."""
    column = np.floor(u / width)
    to_gap = np.minimum(u / width - column, column + 1 - u / width) * width
    gap = 1 - smoothstep(0.006 - footprint, 0.006 + footprint, to_gap)
    return gap, noise(np.stack([column * 1.9, column * 0.7, column * 0.3], 1).astype(np.float32))


def inside(u: Array, v: Array, rectangle: tuple[float, float, float, float], footprint: Array) -> Array:
    """Coverage (0..1) of the rectangle left, bottom, right, top, with an edge of one footprint."""
    left, bottom, right, top = rectangle
    edge = np.minimum(np.minimum(u - left, right - u), np.minimum(v - bottom, top - v))
    return np.clip(edge / footprint + 0.5, 0, 1)


def lettering(text: str, u: Array, v: Array, rectangle: tuple[float, float, float, float]) -> Array:
    """Ink (0..1) of a line of text that fills the rectangle left, bottom, right, top, in metres."""
    font = ImageFont.load_default(160)
    box = font.getbbox(text)
    plate = Image.new("L", (int(box[2] - box[0]) + 8, int(box[3] - box[1]) + 8))
    ImageDraw.Draw(plate).text((4 - box[0], 4 - box[1]), text, fill=255, font=font)
    ink = np.asarray(plate, np.float32) / 255
    left, bottom, right, top = rectangle
    column = ((u - left) / (right - left) * ink.shape[1]).astype(np.int32)
    row = ((top - v) / (top - bottom) * ink.shape[0]).astype(np.int32)
    valid = (column >= 0) & (column < ink.shape[1]) & (row >= 0) & (row < ink.shape[0])
    return np.where(valid, ink[np.clip(row, 0, ink.shape[0] - 1), np.clip(column, 0, ink.shape[1] - 1)], 0)
