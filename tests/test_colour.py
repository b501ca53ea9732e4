"""Colour: known values, exact inverses, and chroma that never touches brightness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mambadfuse.data.colour import is_grey, luma, recolour, rgb_to_ycbcr, ycbcr_to_rgb

unit = st.floats(0, 1, width=32)
pictures = arrays(np.float64, (3, 4, 3), elements=unit)
planes = arrays(np.float64, (3, 4), elements=unit)


def pixel(*rgb):
    return np.array(rgb, dtype=np.float64).reshape(1, 1, 3)


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (1, 0, 0)),
        ((1, 0, 0), (0.299, -0.299 / 1.772, 0.5)),
        ((0, 1, 0), (0.587, -0.587 / 1.772, -0.587 / 1.402)),
        ((0, 0, 1), (0.114, 0.5, -0.114 / 1.402)),
    ],
)
def test_primaries(rgb, ycbcr):
    np.testing.assert_allclose(rgb_to_ycbcr(pixel(*rgb)), pixel(*ycbcr), atol=1e-15)


@given(pictures)
def test_the_two_directions_undo_each_other(rgb):
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-14)
    ycbcr = rgb - np.array([0, 0.5, 0.5])
    np.testing.assert_allclose(rgb_to_ycbcr(ycbcr_to_rgb(ycbcr)), ycbcr, atol=1e-14)


@given(arrays(np.uint8, (3, 4, 3)))
def test_agrees_with_the_jpeg_conversion_of_pillow(rgb):
    ours = rgb_to_ycbcr(rgb / 255) * 255 + np.array([0, 128, 128])
    theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    np.testing.assert_allclose(ours, theirs, atol=1.01)


@given(planes)
def test_a_grey_keeps_its_value_exactly_and_has_no_chroma(grey):
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_array_equal(luma(rgb), grey)
    np.testing.assert_array_equal(rgb_to_ycbcr(rgb)[..., 1:], 0)
    assert is_grey(rgb)


def test_grey_up_to_the_tolerance():
    grey = np.full((5, 5, 3), 100 / 255, np.float32)
    grey[2, 2, 1] += np.float32(2 / 255)
    assert is_grey(grey)
    grey[2, 2, 1] += np.float32(1 / 255)
    assert not is_grey(grey)


@given(planes, pictures)
def test_recolour_gives_the_fused_brightness_within_the_gamut(fused, source):
    out = recolour(fused, source)
    np.testing.assert_allclose(luma(out), fused, atol=1e-12)
    assert out.min() >= 0
    assert out.max() <= 1


@given(planes, pictures)
def test_recolour_pales_but_never_changes_the_hue(fused, source):
    chroma, original = rgb_to_ycbcr(recolour(fused, source))[..., 1:], rgb_to_ycbcr(source)[..., 1:]
    cross = chroma[..., 0] * original[..., 1] - chroma[..., 1] * original[..., 0]
    np.testing.assert_allclose(cross, 0, atol=1e-12)
    assert np.all(np.abs(chroma) <= np.abs(original) + 1e-12)
    assert np.all(chroma * original >= -1e-12)


@given(pictures)
def test_recolour_with_its_own_brightness_changes_nothing(source):
    np.testing.assert_allclose(recolour(luma(source), source), source, atol=1e-7)


@given(planes)
def test_recolour_from_grey_stays_grey(fused):
    out = recolour(fused, np.full((3, 4, 3), 0.3))
    np.testing.assert_allclose(out, np.repeat(fused[..., None], 3, axis=-1), atol=1e-12)


def test_recolour_pales_only_as_far_as_it_must():
    out = recolour(np.array([[0.9]]), pixel(1, 0, 0))
    np.testing.assert_allclose(out.max(), 1)
    assert out[0, 0, 0] > out[0, 0, 1]


def test_recolour_clips_a_fused_picture_that_overshoots():
    np.testing.assert_allclose(recolour(np.array([[1.5, -0.5]]), np.zeros((1, 2, 3))), [[[1] * 3, [0] * 3]])


def test_batches_go_through_all_functions():
    batch = np.random.default_rng(0).random((2, 3, 4, 3))
    np.testing.assert_array_equal(luma(batch)[1], luma(batch[1]))
    np.testing.assert_array_equal(recolour(luma(batch), batch)[1], recolour(luma(batch[1]), batch[1]))


@pytest.mark.parametrize("function", [luma, rgb_to_ycbcr, ycbcr_to_rgb, is_grey])
def test_wrong_input_is_named(function):
    with pytest.raises(ValueError, match=r"\(\.\.\., H, W, 3\), found \(4, 4\)"):
        function(np.zeros((4, 4)))
    with pytest.raises(TypeError, match="uint8"):
        function(np.zeros((4, 4, 3), np.uint8))


def test_recolour_needs_one_size():
    with pytest.raises(ValueError, match=r"\(4, 4\), found \(4, 5\)"):
        recolour(np.zeros((4, 5)), np.zeros((4, 4, 3)))
