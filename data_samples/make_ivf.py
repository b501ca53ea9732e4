"""Renders the two synthetic infrared-visible pairs: ``python data_samples/make_ivf.py [FOLDER]``.

Each scene is described once (geometry, and the colour, temperature and emissivity of each material) and rendered
twice: by a camera that sees reflected light, and by one that sees emitted heat. The pairs are therefore registered to
the pixel, and every difference between the two images has a physical cause.

Needs only numpy and Pillow, and takes a few seconds per scene.
"""

import sys
from pathlib import Path

import numpy as np
from ivf_scenes import night_street, smoke_yard
from ivf_scenes.cameras import thermal, visible
from PIL import Image, PngImagePlugin

HERE = Path(__file__).parent


def night_street_pair() -> tuple[Image.Image, Image.Image]:
    """Infrared and visible image of the street corner at night."""
    scene = night_street.build()
    heat = thermal(scene, low=277.8, high=300.5, netd=0.12, haze=0.0015, detail=0.5, seed=2)
    light = visible(scene, exposure=1.35, noise=0.006, glare=0.14, seed=1)
    return picture(heat), picture(light)


def smoke_yard_pair() -> tuple[Image.Image, Image.Image]:
    """Infrared and visible image of the yard by day."""
    scene = smoke_yard.build()
    heat = thermal(scene, low=279.5, high=306.0, netd=0.10, haze=0.0015, detail=0.5, seed=4)
    light = visible(scene, exposure=1.0, noise=0.002, glare=0.05, seed=3)
    return picture(heat), picture(light)


PAIRS = {"synthetic_night_street": night_street_pair, "synthetic_smoke_yard": smoke_yard_pair}


def picture(values: np.ndarray) -> Image.Image:
    """A grey or RGB image from values in 0..255."""
    return Image.fromarray(np.rint(values).astype(np.uint8))


def save(path: Path, image: Image.Image) -> None:
    """Writes a PNG file with a description in its metadata."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Description", "Synthetic scene, rendered by make_ivf.py. Not a photograph.")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True, pnginfo=note)
    print(path)


def main(folder: Path = HERE) -> None:
    """Writes every pair under ``folder``."""
    for name, render in PAIRS.items():
        for side, image in zip(("ir", "vi"), render(), strict=True):
            save(folder / "ivf" / side / f"{name}.png", image)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
