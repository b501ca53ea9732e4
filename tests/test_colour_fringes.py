"""The hard case of colour: where orange meets blue, is a fused image's chroma worse than that of its source?

A camera's JPEG keeps chroma at half the resolution, so colours run into each other at a sharp edge: a fringe. When
the fused brightness, with edges of its own, is joined to such chroma, nothing must be added to that fringe.
"""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mambadfuse.data.colour import luma, recolour, rgb_to_ycbcr
from mambadfuse.plotting import colour_case, png
from mambadfuse.plotting.colour_case import (
    BLUE,
    EDGE,
    ORANGE,
    clipped,
    glow_and_shadow,
    hue,
    scene,
    subsampled,
    turned,
)


def jpeg(rgb: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(file, "JPEG", quality=95, subsampling="4:2:0")
    return np.asarray(Image.open(file)) / 255


def fringe(rgb: np.ndarray, tolerance: float = 8) -> set[int]:
    """The columns in which some hue is neither that of the orange nor that of the blue side."""
    off = [np.abs((hue(rgb) - hue(np.array([[colour]])) + 180) % 360 - 180) for colour in (ORANGE, BLUE)]
    has_colour = np.hypot(*np.moveaxis(rgb_to_ycbcr(rgb), -1, 0)[1:]) > 0.02
    return set(np.flatnonzero(((np.minimum(*off) > tolerance) & has_colour).any(axis=0)))


def test_sharp_chroma_gives_no_fringe_at_all():
    source = scene()
    assert fringe(recolour(glow_and_shadow(source), source)) == set()


def test_subsampled_chroma_fringes_in_the_one_block_that_the_edge_cuts():
    source = subsampled(scene())
    block = {EDGE - 1, EDGE}
    assert fringe(source) <= block
    assert fringe(recolour(glow_and_shadow(source), source.clip(0, 1))) <= block


@pytest.mark.parametrize(
    "degrade", [jpeg, lambda rgb: subsampled(rgb).clip(0, 1)], ids=["jpeg", "subsampled"]
)
def test_the_fused_picture_adds_nothing_to_the_fringe_of_its_source(degrade):
    source = degrade(scene())
    fused = glow_and_shadow(source)
    out = recolour(fused, source)
    np.testing.assert_allclose(luma(out), fused, atol=1e-12)
    assert fringe(out) <= fringe(source)
    chroma, original = rgb_to_ycbcr(out)[..., 1:], rgb_to_ycbcr(source)[..., 1:]
    assert np.all(np.abs(chroma) <= np.abs(original) + 1e-12)
    assert turned(out, source, visible=1e-6).max() < 1e-3


def test_clipping_each_channel_would_be_wrong_in_brightness_and_hue():
    """What the above is worth: the usual way is off by a tenth in brightness and fringes far from the edge."""
    source = jpeg(scene())
    fused = glow_and_shadow(source)
    out = clipped(fused, source)
    assert np.abs(luma(out) - fused).max() > 0.1
    assert len(fringe(out) - fringe(source)) > 10


def test_the_figure_tells_both_ways_apart_in_numbers():
    figure = colour_case()
    assert [axes.get_title() for axes in figure.axes] == [
        "source",
        "fused luma",
        "recolour",
        "clipped channels",
        "recolour: luma off by 0/255",
        "clipped channels: luma off by 26/255",
        "recolour: hue off by 0°",
        "clipped channels: hue off by 19°",
    ]
    assert png(figure)
