"""Limited range: known values, exact inverses, and how such luma is recognised and read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mambadfuse.data.colour import rgb_to_ycbcr
from mambadfuse.data.limited_range import (
    compress,
    expand,
    limited_ycbcr_to_rgb,
    looks_limited,
    read_luma,
    rgb_to_limited_ycbcr,
)

unit = st.floats(0, 1)
pictures = arrays(np.float64, (3, 4, 3), elements=unit)


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((1, 1, 1), (235, 128, 128)),
        ((1, 0, 0), (16 + 65.481, 128 - 37.797, 240)),
        ((0, 1, 0), (16 + 128.553, 128 - 74.203, 128 - 93.786)),
        ((0, 0, 1), (16 + 24.966, 240, 128 - 18.214)),
    ],
)
def test_primaries(rgb, ycbcr):
    """The constants of ITU-R BT.601 in 8 bits, also those of MATLAB's rgb2ycbcr."""
    found = 255 * rgb_to_limited_ycbcr(np.array(rgb, float).reshape(1, 1, 3))
    np.testing.assert_allclose(found.ravel(), ycbcr, atol=1e-3)


@given(pictures)
def test_the_two_directions_undo_each_other(x):
    np.testing.assert_allclose(limited_ycbcr_to_rgb(rgb_to_limited_ycbcr(x)), x, atol=1e-13)
    np.testing.assert_allclose(rgb_to_limited_ycbcr(limited_ycbcr_to_rgb(x)), x, atol=1e-13)
    np.testing.assert_allclose(expand(compress(x)), x, atol=1e-14)
    np.testing.assert_allclose(compress(expand(x)), x, atol=1e-14)


@given(pictures)
def test_limited_values_stay_in_their_ranges_and_expand_to_full_luma(rgb):
    ycbcr = rgb_to_limited_ycbcr(rgb)
    low, high = 16 / 255 - 1e-12, np.array([235, 240, 240]) / 255 + 1e-12
    assert np.all(ycbcr >= low)
    assert np.all(ycbcr <= high)
    np.testing.assert_allclose(expand(ycbcr[..., 0]), rgb_to_ycbcr(rgb)[..., 0], atol=1e-14)


@pytest.fixture
def luma_file(tmp_path):
    def write(*values):
        path = tmp_path / f"{values}.png"
        Image.fromarray(np.array([values], np.uint8)).save(path)
        return path

    return write


def test_read_luma_of_both_ranges(luma_file):
    path = luma_file(0, 16, 17, 125, 235, 255)
    np.testing.assert_array_equal(read_luma(path), [[0, 16, 17, 125, 235, 255]])
    np.testing.assert_array_equal(read_luma(path, limited=True), [[0, 0, 1, 127, 255, 255]])


def test_read_luma_of_a_colour_picture(tmp_path):
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)).save(tmp_path / "rg.png")
    np.testing.assert_array_equal(read_luma(tmp_path / "rg.png"), [[76, 150]])


def test_what_looks_limited(luma_file):
    inside = [luma_file(16, 100, 235), luma_file(20, 30)]
    assert looks_limited(inside)
    assert not looks_limited([*inside, luma_file(15, 100)])
    assert not looks_limited([*inside, luma_file(100, 236)])


def test_only_a_sample_spread_over_the_list_is_read(luma_file):
    inside, outside = luma_file(16, 235), luma_file(0, 255)
    assert looks_limited([inside, outside] * 10, sample=10)
    assert not looks_limited([inside] * 10 + [outside] * 10, sample=4)


def test_no_file_to_judge():
    with pytest.raises(ValueError, match="no files"):
        looks_limited([])
