"""The three baselines: known answers and invariants. Their published rows are recomputed in test_evaluation.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambadfuse.fusion.baselines import laplacian_pyramid, maximum, mean

ALL = [mean, maximum, laplacian_pyramid]


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, (2, *shape), dtype=np.uint8)


def test_mean_and_maximum_by_hand():
    a, b = np.array([[0, 1, 255, 7]], np.uint8), np.array([[2, 2, 255, 200]], np.uint8)
    assert mean(a, b).tolist() == [[1, 2, 255, 104]]  # 1.5 and 103.5: halves go to the even neighbour
    assert maximum(a, b).tolist() == [[2, 2, 255, 200]]


def test_pyramid_keeps_the_stronger_detail():
    flat, spot = np.full((32, 32), 100, np.uint8), np.full((32, 32), 100, np.uint8)
    spot[16, 16] = 200
    assert laplacian_pyramid(flat, spot, levels=1)[16, 16] > mean(flat, spot)[16, 16] + 30


def test_pyramid_without_levels_is_the_mean():
    a, b = noise(0, 20, 30)
    np.testing.assert_array_equal(laplacian_pyramid(a, b, levels=0), mean(a, b))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    colour=st.booleans(),
    fuse=st.sampled_from(ALL),
)
def test_two_equal_pictures_fuse_to_themselves_and_order_does_not_matter(seed, shape, colour, fuse):
    a, b = noise(seed, *shape, *([3] if colour else []))
    np.testing.assert_array_equal(fuse(a, a), a)
    x, y = np.random.default_rng(seed).random((2, *a.shape))  # their details are never equally strong
    np.testing.assert_allclose(fuse(x, y), fuse(y, x), atol=1e-12)
    floats = fuse(np.float32(a / 255), np.float32(b / 255))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, fuse(a, b) / 255, atol=0.51 / 255)


def test_equally_strong_details_are_taken_from_the_first_picture():
    up = np.full((9, 9), 100, np.uint8)
    down = up.copy()
    up[4, 4], down[4, 4] = 140, 60
    assert laplacian_pyramid(up, down, 1)[4, 4] > 100 > laplacian_pyramid(down, up, 1)[4, 4]


def test_colour_channels_are_fused_one_by_one():
    a, b = noise(1, 17, 23, 3)
    for fuse in ALL:
        channels = [fuse(a[..., c], b[..., c]) for c in range(3)]
        np.testing.assert_array_equal(fuse(a, b), np.stack(channels, axis=-1))


@pytest.mark.parametrize("fuse", ALL)
def test_pictures_that_do_not_fit_are_named(fuse):
    a, b = noise(2, 8, 9)
    with pytest.raises(ValueError, match=r"b must have shape \(8, 9\) .* found \(9, 8\)"):
        fuse(a, b.T)
    with pytest.raises(ValueError, match=r"found .+ and float64"):
        fuse(a, b / 255)
    with pytest.raises(TypeError, match="found int64"):
        fuse(a.astype(np.int64), b.astype(np.int64))


def test_levels_below_zero_are_refused():
    with pytest.raises(ValueError, match="levels must be at least 0, found -1"):
        laplacian_pyramid(*noise(3, 8, 8), levels=-1)
