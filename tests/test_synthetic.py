"""Toys: the answer is known, so it can be checked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambadfuse.data.synthetic import synthetic_pair

seeds = st.integers(0, 10**6)
sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))


@given(seeds, sizes)
def test_planes_in_range_and_the_answer_is_a_on_the_bodies_and_b_elsewhere(seed, size):
    toy = synthetic_pair(seed, size)
    for plane in (toy.a, toy.b, toy.mask, toy.truth):
        assert plane.shape == size
        assert plane.dtype == np.float32
        assert plane.min() >= 0
        assert plane.max() <= 1
    np.testing.assert_array_equal(toy.truth[toy.mask == 1], toy.a[toy.mask == 1])
    np.testing.assert_array_equal(toy.truth[toy.mask == 0], toy.b[toy.mask == 0])


@given(seeds)
def test_each_side_shows_what_the_other_does_not(seed):
    toy = synthetic_pair(seed)
    body, ground = toy.mask == 1, toy.mask == 0
    assert 0.01 < body.mean() < 0.5
    assert toy.a[body].min() > toy.a[ground].max() + 0.5, "bodies stand out in a"
    assert toy.b[ground].std() > 5 * toy.a[ground].std(), "the ground has its pattern in b alone"


def test_same_seed_same_pair_another_seed_another():
    np.testing.assert_array_equal(synthetic_pair(3).truth, synthetic_pair(3).truth)
    assert not np.array_equal(synthetic_pair(3).truth, synthetic_pair(4).truth)


def test_a_size_without_pixels():
    with pytest.raises(ValueError, match=r"at least \(1, 1\), found \(0, 5\)"):
        synthetic_pair(0, (0, 5))
