"""What notebook 01 builds by hand is what the package computes, on any image, and has its invariants."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse.data.colour import luma, rgb_to_ycbcr
from mambadfuse.fusion import baselines

BUILT = definitions("01")
SEEDS = st.integers(0, 2**31)
anything = settings(deadline=None, max_examples=10)


def pictures(seed: int, sides: tuple[int, int]) -> np.ndarray:
    """Three pictures of noise."""
    return np.random.default_rng(seed).integers(0, 256, (3, *sides), dtype=np.uint8)


@anything
@given(seed=SEEDS, sides=st.tuples(st.integers(16, 50), st.integers(16, 50)), levels=st.integers(0, 4))
def test_the_pyramid_is_the_baseline_of_the_package(seed, sides, levels):
    _, a, b = pictures(seed, sides)
    expected = baselines.laplacian_pyramid(a, b, levels)
    np.testing.assert_array_equal(BUILT["pyramid_fusion"](a, b, levels), expected)


@anything
@given(seed=SEEDS, sides=st.tuples(st.integers(4, 50), st.integers(4, 50)))
def test_detail_and_expanded_rest_are_the_picture(seed, sides):
    x = pictures(seed, sides)[0].astype(np.float64)
    (detail,) = BUILT["details"](x, 1)
    np.testing.assert_allclose(detail + BUILT["expand"](BUILT["reduce"](x), x.shape), x)


@anything
@given(seed=SEEDS)
def test_luma_and_chroma_are_those_of_the_package(seed):
    rgb = np.random.default_rng(seed).random((5, 7, 3))
    np.testing.assert_allclose(BUILT["to_ycbcr"](rgb), rgb_to_ycbcr(rgb), atol=1e-12)
    np.testing.assert_allclose(BUILT["to_ycbcr"](rgb)[..., 0], luma(rgb), atol=1e-12)
