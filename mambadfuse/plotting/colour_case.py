"""A hard case for colour: orange meets blue, in a source whose chroma is stored at half the resolution.

The fused luma has edges of its own, and where it is nearly white or black the RGB gamut has no room for the source's
chroma.
"""

import numpy as np
from matplotlib.figure import Figure

from mambadfuse.data.colour import Floats, luma, recolour, rgb_to_ycbcr, ycbcr_to_rgb

HEIGHT, WIDTH, EDGE = 32, 64, 33  # an odd column: the edge cuts through a block of subsampled chroma
ORANGE, BLUE = (0.95, 0.45, 0.05), (0.05, 0.25, 0.95)


def scene() -> Floats:
    """Orange on the left, blue on the right; RGB in [0, 1], (32, 64, 3)."""
    rgb = np.empty((HEIGHT, WIDTH, 3))
    rgb[:, :EDGE], rgb[:, EDGE:] = ORANGE, BLUE
    return rgb


def subsampled(rgb: Floats) -> Floats:
    """The image with chroma averaged over blocks of 2 x 2 pixels, as in JPEG 4:2:0, no other loss; (32, 64, 3)."""
    ycbcr = rgb_to_ycbcr(rgb)
    blocks = ycbcr[..., 1:].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 2).mean(axis=(1, 3))
    ycbcr[..., 1:] = blocks.repeat(2, axis=0).repeat(2, axis=1)
    return ycbcr_to_rgb(ycbcr)


def glow_and_shadow(source: Floats) -> Floats:
    """The source's luma with an infrared glow that ends where the colours meet, and a dark box; (32, 64)."""
    fused = luma(source).clip(0, 1)
    fused[:, 20:EDGE] = 0.95
    fused[8:24, 40:50] = 0.02
    return fused


def clipped(fused_luma: Floats, source: Floats) -> Floats:
    """The usual method, for comparison: fused luma with the source's chroma, each channel clipped to [0, 1]."""
    ycbcr = rgb_to_ycbcr(source)
    ycbcr[..., 0] = fused_luma
    return ycbcr_to_rgb(ycbcr).clip(0, 1)


def hue(rgb: Floats) -> Floats:
    """Angle of the chroma in degrees, (..., H, W, 3) -> (..., H, W)."""
    _, cb, cr = np.moveaxis(rgb_to_ycbcr(rgb), -1, 0)
    return np.degrees(np.arctan2(cr, cb))


def turned(rgb: Floats, source: Floats, visible: float = 0.02) -> Floats:
    """Difference from the source's hue in degrees, 0 to 180; 0 where no visible chroma is left."""
    angle = np.abs((hue(rgb) - hue(source) + 180) % 360 - 180)
    return np.where(np.hypot(*np.moveaxis(rgb_to_ycbcr(rgb), -1, 0)[1:]) > visible, angle, 0)


def colour_case() -> Figure:
    """Source, fused luma, and both combined by :func:`recolour` and by clipping; below, the errors of either method.

    Error maps run from white, no error, to black, 50; their titles give the largest error.
    """
    source = subsampled(scene()).clip(0, 1)
    fused = glow_and_shadow(source)
    ways = {"recolour": recolour(fused, source), "clipped channels": clipped(fused, source)}
    errors = [(way, "luma", "/255", 255 * np.abs(luma(rgb) - fused)) for way, rgb in ways.items()]
    errors += [(way, "hue", "°", turned(rgb, source)) for way, rgb in ways.items()]
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    above, below = figure.subplots(2, 4, subplot_kw={"xticks": [], "yticks": []})
    pictures = {"source": source, "fused luma": fused, **ways}
    for axes, (title, picture) in zip(above, pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(title)
    for axes, (way, what, unit, error) in zip(below, errors, strict=True):
        axes.imshow(error, cmap="gray_r", vmin=0, vmax=50)
        axes.set_title(f"{way}: {what} off by {error.max():.0f}{unit}", fontsize=10)
    return figure
