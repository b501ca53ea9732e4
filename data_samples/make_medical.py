"""Simulates the medical pairs (CT-MRI, PET-MRI, SPECT-MRI): ``python data_samples/make_medical.py [FOLDER]``.

The anatomy comes from the ICBM 152 template (an average of 152 brains) and its maps of grey and white matter.
Everything else is simulated: scalp, skull, X-ray attenuation, tracer uptake, blur, noise. No patient is shown.

Needs nilearn, which ships the template (``pip install nilearn``; it brings scipy and nibabel), and Pillow.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

try:
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
    from scipy.ndimage import gaussian_filter, map_coordinates
except ImportError as missing:
    sys.exit(
        f"make_medical.py needs the ICBM 152 template that nilearn ships: pip install nilearn ({missing})"
    )

Array = NDArray[np.float32]
HERE = Path(__file__).parent
SIZE = 256  # of an image, in pixels of 1 mm
FWHM = 2.355  # full width at half maximum of a Gaussian, in standard deviations
ICBM_NOTICE = (
    "Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, "
    "Montreal Neurological Institute, McGill University"
)

# Colour scales: (fraction of the maximum, red, green, blue)
PET_COLOURS = [
    (0.00, 0, 0, 0),
    (0.12, 0, 0, 40),
    (0.30, 0, 25, 140),
    (0.40, 20, 90, 215),
    (0.48, 130, 190, 225),
    (0.54, 235, 240, 150),
    (0.63, 255, 245, 40),
    (0.75, 255, 190, 0),
    (0.86, 255, 70, 10),
    (0.94, 250, 10, 30),
    (1.00, 255, 0, 190),
]
SPECT_COLOURS = [
    (0.00, 0, 0, 0),
    (0.12, 12, 22, 26),
    (0.24, 34, 58, 62),
    (0.33, 48, 20, 105),
    (0.45, 84, 10, 150),
    (0.56, 160, 52, 110),
    (0.68, 225, 95, 60),
    (0.82, 250, 115, 25),
    (0.93, 255, 165, 110),
    (1.00, 255, 240, 225),
]


# 1. Anatomy -----------------------------------------------------------------------------------------------


@dataclass
class Head:
    """Slices of the template on its 1 mm grid, and the layers simulated around them; all are fractions in 0..1."""

    t1: Array
    grey: Array
    white: Array
    inside: Array  # within the envelope of the brain
    layers: dict[str, Array]
    place: Array  # (3, X, Y, Z), coordinates in mm: x to the right, y to the front, z up

    @property
    def fluid(self) -> Array:
        """Everything inside the envelope that is neither grey nor white matter, and the layer of fluid around it."""
        return np.clip(self.inside - self.grey - self.white, 0, 1) + self.layers["fluid"]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """A random field of unit variance, smooth on the scale of ``sigma`` pixels."""
    field = gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma, mode="wrap")
    return field / field.std()


def step(x: Array, width: float = 0.5) -> Array:
    """A smooth step from 0 to 1 at x = 0, about ``width`` wide."""
    return 0.5 + 0.5 * np.tanh(x / width)


def outside_hull(brain: Array, place: Array) -> Array:
    """Signed distance in mm to the smoothed convex hull of each slice, which is shaped like the inside of the skull.

    A convex outline is the intersection of half planes x cos a + y sin a <= h(a); h is smoothed over angle and slices.
    """
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    x, y = place[0], place[1]
    along = [np.float32(np.cos(a)) * x + np.float32(np.sin(a)) * y for a in angles]
    support = np.array([np.where(brain, d, -np.inf).max((0, 1)) for d in along])
    support = gaussian_filter(support, (2.5, 2), mode=("wrap", "nearest")).astype(np.float32)
    return np.max([d - h for d, h in zip(along, support, strict=True)], axis=0)


def load_head(height: int, thick: int = 29) -> Head:
    """The slices around ``height`` (mm), surrounded by layers of fluid, skull, muscle, fat and skin."""
    image = load_mni152_template(resolution=1)
    first = height - int(image.affine[2, 3]) - thick // 2
    maps = [image, load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1)]
    t1, grey, white = (m.get_fdata(dtype=np.float32)[:, :, first : first + thick] for m in maps)
    corner = np.asarray(image.affine[:3, 3], np.float32) + np.array([0, 0, first], np.float32)
    place = np.indices(t1.shape, dtype=np.float32) + corner[:, None, None, None]
    distance = outside_hull(t1 > 0, place)

    rng = np.random.default_rng(152 + height)
    x, y, z = np.abs(place[0]), place[1], place[2]
    vary = 1 + 0.14 * smooth_noise(rng, t1.shape, 14)
    temple = np.exp(-(((y - 14) / 26) ** 2)) * step(x - 48, 10) * step(34 - z, 10)
    thickness = {
        "fluid": 1.2 * vary,
        "inner table": 1.5 + 0.2 * vary,
        "diploe": np.clip((2.4 + 1.4 * step(-y - 60, 12) - 1.7 * temple) * vary, 0.3, None),
        "outer table": 1.6 + 0.2 * vary,
        "muscle": 0.6 + 6.0 * temple,
        "fat": 2.4 * vary + 1.4 * step(-y - 50, 15),
        "skin": np.full_like(vary, 1.7),
    }
    layers, depth = {}, np.zeros_like(distance)
    for name, width in thickness.items():
        layers[name] = step(distance - depth) - step(distance - depth - width)
        depth = depth + width
    return Head(t1, grey, white, step(-distance), layers, place)


def middle(volume: Array, seed: int) -> Array:
    """The middle slice, (256, 256), front up, smoothly rotated and warped so that its halves are not mirror images.

    The same seed warps every volume in the same way, so the two images of a pair stay registered.
    """
    rng = np.random.default_rng(seed)
    plane = volume[:, :, volume.shape[2] // 2].T[::-1]
    rows, columns = np.indices((SIZE, SIZE), dtype=np.float32) - SIZE / 2
    angle = np.deg2rad(rng.uniform(-4, 4))
    bend = [2.5 * smooth_noise(rng, (SIZE, SIZE), 32) for _ in range(2)]
    row = np.cos(angle) * rows - np.sin(angle) * columns + plane.shape[0] / 2 + bend[0]
    column = np.sin(angle) * rows + np.cos(angle) * columns + plane.shape[1] / 2 + bend[1]
    return map_coordinates(plane, [row, column], order=1, cval=float(plane[0, 0])).astype(np.float32)


# 2. The scanners ------------------------------------------------------------------------------------------


def mri(head: Head, seed: int) -> Array:
    """T1-weighted MRI, 0..255: the signal of the template for the brain, around it bright fat, dark bone and fluid."""
    signal = {
        "inner table": 0.03,
        "diploe": 0.34,
        "outer table": 0.03,
        "muscle": 0.36,
        "fat": 0.92,
        "skin": 0.42,
    }
    brain = np.clip((head.t1 - 0.40) / 0.56, 0, None) ** 1.25
    rng = np.random.default_rng(seed + 1)
    mottled = 1 + 0.13 * smooth_noise(rng, (*head.t1.shape[:2], 1), 3) - 0.15 * step(-head.place[1] - 40, 30)
    volume = 0.92 * brain + 0.10 * head.layers["fluid"]
    for name, value in signal.items():
        volume = volume + value * head.layers[name] * mottled
    texture = 1 + 0.05 * smooth_noise(rng, (SIZE, SIZE), 1.2)
    coil = 1 + 0.06 * smooth_noise(rng, (SIZE, SIZE), 50)
    picture = gaussian_filter(middle(volume, seed) * texture, 0.45) * coil
    noise = 0.018 * rng.standard_normal((2, SIZE, SIZE))
    return 255 * np.clip(np.hypot(picture + noise[0], noise[1]) - 0.015, 0, 1)


def ct(head: Head, seed: int) -> Array:
    """CT, 0..255: attenuation in Hounsfield units through a brain window (level 36, width 110)."""
    units = {"inner table": 1350, "diploe": 620, "outer table": 1350, "muscle": 58, "fat": -85, "skin": 35}
    matter = head.grey + head.white + head.fluid + sum(head.layers[name] for name in units)
    x, y, z = head.place
    volume = 40 * head.grey + 28 * head.white + 9 * head.fluid - 1000 * np.clip(1 - matter, 0, 1)
    for name, value in units.items():
        volume = volume + value * head.layers[name]
    falx = np.exp(-((x / 0.9) ** 2)) * head.inside * step(np.abs(y + 18) - 46, 6)
    calcified = sum(
        peak * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * size**2))
        for peak, a, b, c, size in [(260, 0, -31, 4, 1.8), (210, -23, -42, 12, 2.2), (170, 24, -41, 13, 1.9)]
    )
    picture = middle(volume + 34 * falx + calcified, seed)
    rng = np.random.default_rng(seed + 2)
    bone = middle(head.layers["inner table"], seed)
    picture = gaussian_filter(picture, 0.65) + 16 * gaussian_filter(
        bone, 5
    )  # focus; beam hardening at the skull
    picture += 2.0 * smooth_noise(rng, (SIZE, SIZE), 0.8)
    return 255 * np.clip((picture - (36 - 55)) / 110, 0, 1)


def uptake(head: Head, seed: int) -> Array:
    """Uptake of glucose (FDG) or blood flow: high in grey matter and deep nuclei, low in white matter, 0 in fluid."""
    x, y, z = head.place
    rng = np.random.default_rng(seed)

    def nucleus(a: float, b: float, c: float, size: float) -> Array:
        return np.exp(-((np.abs(x) - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * size**2))

    region = 1 + 0.09 * smooth_noise(rng, head.t1.shape, 9)
    region += 0.16 * step(-y - 66, 8) * step(24 - np.abs(x), 6)  # visual cortex
    region += 0.25 * nucleus(12, 14, 8, 6) + 0.30 * nucleus(26, 2, 4, 8) + 0.25 * nucleus(11, -18, 8, 7)
    activity = (1.0 * head.grey + 0.24 * head.white) * region
    return activity + 0.10 * head.layers["fat"] + 0.14 * head.layers["muscle"]


def emission(head: Head, seed: int, resolution: float, counts: float) -> Array:
    """The counts of a camera of the given resolution (FWHM in mm): blur, Poisson noise, reconstruction filter; 0..1."""
    activity = gaussian_filter(uptake(head, seed + 3), 0.8 * resolution / FWHM)
    picture = np.clip(middle(activity, seed), 0, None)
    rng = np.random.default_rng(seed + 4)
    picture = gaussian_filter(rng.poisson(picture * counts) / counts, 0.6 * resolution / FWHM)
    return np.clip(picture / (1.04 * np.percentile(picture, 99.9)), 0, 1)


def coloured(share: Array, scale: list[tuple[float, int, int, int]]) -> Array:
    """Values in 0..1 as colours (256, 256, 3) in 0..255."""
    stops = np.array(scale, np.float32)
    return np.stack([np.interp(share, stops[:, 0], stops[:, k]) for k in (1, 2, 3)], -1)


# 3. The pairs ---------------------------------------------------------------------------------------------


def save(path: Path, values: Array, description: str) -> None:
    """Writes a PNG file with a description and the copyright in its metadata."""
    note = PngImagePlugin.PngInfo()
    note.add_text(
        "Description", f"Simulated {description} of the ICBM 152 template. Not a patient, not for diagnosis."
    )
    note.add_text("Copyright", f"Anatomy: ICBM 152 template. {ICBM_NOTICE}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(values).astype(np.uint8)).save(path, optimize=True, pnginfo=note)
    print(path)


def main(folder: Path = HERE) -> None:
    """Writes every pair under ``folder``."""
    for task, height, seed in [("ct-mri", 16, 1), ("pet-mri", 4, 20), ("spect-mri", 27, 40)]:
        head, side = load_head(height), task.split("-")[0]
        if side == "ct":
            other = ct(head, seed)
        elif side == "pet":
            other = coloured(emission(head, seed, 6.0, 25), PET_COLOURS)
        else:
            other = coloured(emission(head, seed, 9.0, 2.5), SPECT_COLOURS)
        name = f"icbm152_simulated_z{height:02d}.png"
        save(folder / task / "mri" / name, mri(head, seed), "T1 MRI slice")
        save(folder / task / side / name, other, f"{side.upper()} slice")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
