"""The hard case of colour: where orange meets blue, is a fused picture's chroma worse than that of its source?

A camera's JPEG keeps chroma at half the resolution, so colours run into each other at a sharp edge: a fringe. When
the fused brightness, with edges of its own, is joined to such chroma, nothing must be added to that fringe.
"""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mambadfuse.data.colour import luma, recolour, rgb_to_ycbcr, ycbcr_to_rgb

HEIGHT, WIDTH, EDGE = 32, 64, 33  # an odd column, so that the edge cuts through a block of subsampled chroma
ORANGE, BLUE = (0.95, 0.45, 0.05), (0.05, 0.25, 0.95)


def scene() -> np.ndarray:
    rgb = np.empty((HEIGHT, WIDTH, 3))
    rgb[:, :EDGE], rgb[:, EDGE:] = ORANGE, BLUE
    return rgb


def subsampled(rgb: np.ndarray) -> np.ndarray:
    """Chroma averaged over blocks of 2x2, as stored by 4:2:0, and nothing else lost."""
    ycbcr = rgb_to_ycbcr(rgb)
    blocks = ycbcr[..., 1:].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 2).mean(axis=(1, 3))
    ycbcr[..., 1:] = blocks.repeat(2, axis=0).repeat(2, axis=1)
    return ycbcr_to_rgb(ycbcr)


def jpeg(rgb: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(file, "JPEG", quality=95, subsampling="4:2:0")
    return np.asarray(Image.open(file)) / 255


def fused_luma(source: np.ndarray) -> np.ndarray:
    """The source's brightness under an infrared glow that ends at the edge of the colours, and a dark box."""
    fused = luma(source).clip(0, 1)
    fused[:, 20:EDGE] = 0.95
    fused[8:24, 40:50] = 0.02
    return fused


def hue(rgb: np.ndarray) -> np.ndarray:
    """Angle of the chroma in degrees."""
    _, cb, cr = np.moveaxis(rgb_to_ycbcr(rgb), -1, 0)
    return np.degrees(np.arctan2(cr, cb))


def fringe(rgb: np.ndarray, tolerance: float = 8) -> set[int]:
    """The columns in which some hue is neither that of the orange nor that of the blue side."""
    off = [np.abs((hue(rgb) - hue(np.array([[colour]])) + 180) % 360 - 180) for colour in (ORANGE, BLUE)]
    has_colour = np.hypot(*np.moveaxis(rgb_to_ycbcr(rgb), -1, 0)[1:]) > 0.02
    return set(np.flatnonzero(((np.minimum(*off) > tolerance) & has_colour).any(axis=0)))


def put_back_and_clip(fused: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The usual way, for comparison: chroma of the source beside the fused luma, each channel clipped."""
    ycbcr = rgb_to_ycbcr(source)
    ycbcr[..., 0] = fused
    return ycbcr_to_rgb(ycbcr).clip(0, 1)


def test_sharp_chroma_gives_no_fringe_at_all():
    source = scene()
    assert fringe(recolour(fused_luma(source), source)) == set()


def test_subsampled_chroma_fringes_in_the_one_block_that_the_edge_cuts():
    source = subsampled(scene())
    block = {EDGE - 1, EDGE}
    assert fringe(source) <= block
    assert fringe(recolour(fused_luma(source), source.clip(0, 1))) <= block


@pytest.mark.parametrize(
    "degrade", [jpeg, lambda rgb: subsampled(rgb).clip(0, 1)], ids=["jpeg", "subsampled"]
)
def test_the_fused_picture_adds_nothing_to_the_fringe_of_its_source(degrade):
    source = degrade(scene())
    fused = fused_luma(source)
    out = recolour(fused, source)
    np.testing.assert_allclose(luma(out), fused, atol=1e-12)
    assert fringe(out) <= fringe(source)
    chroma, original = rgb_to_ycbcr(out)[..., 1:], rgb_to_ycbcr(source)[..., 1:]
    assert np.all(np.abs(chroma) <= np.abs(original) + 1e-12)
    turned = np.abs((hue(out) - hue(source) + 180) % 360 - 180)
    assert turned[np.hypot(*np.moveaxis(chroma, -1, 0)) > 1e-6].max() < 1e-3


def test_clipping_each_channel_would_be_wrong_in_brightness_and_hue():
    """What the above is worth: the usual way is off by a tenth in brightness and fringes far from the edge."""
    source = jpeg(scene())
    fused = fused_luma(source)
    out = put_back_and_clip(fused, source)
    assert np.abs(luma(out) - fused).max() > 0.1
    assert len(fringe(out) - fringe(source)) > 10
