"""The remark about a pair that does not look registered."""

import re

import numpy as np
import pytest

from benchmarks.alignment import two_views
from benchmarks.registration import rates, shifted
from mambadfuse.alignment.registration import registration_remark

SIZE = (144, 192)


def shift_of(remark):
    return [int(number) for number in re.findall(r"-?\d+", remark)]


@pytest.mark.parametrize("seed", range(4))
def test_a_registered_pair_gets_no_remark(seed):
    assert registration_remark(*two_views(seed, SIZE)) is None


@pytest.mark.parametrize(("right", "down"), [(6, 0), (0, -7), (-5, 9), (20, 12)])
def test_a_shifted_pair_gets_one_that_undoes_the_shift(right, down):
    remark = registration_remark(*shifted(*two_views(1, SIZE), right, down))
    np.testing.assert_allclose(shift_of(remark), [-right, -down], atol=1)


def test_the_remark_is_one_sentence_for_the_user():
    remark = registration_remark(*shifted(*two_views(2, SIZE), 9, 4))
    assert remark.startswith("a and b do not look registered: ")
    assert remark.count(".") == 1
    assert remark.endswith(".")


def test_shifts_of_large_images_are_in_their_own_pixels():
    a, b = (np.kron(view, np.ones((4, 4), np.float32)) for view in two_views(1, SIZE))
    np.testing.assert_allclose(shift_of(registration_remark(*shifted(a, b, 32, -20))), [-32, 20], atol=2)


def test_colour_counts_by_its_brightness():
    a, b = shifted(*two_views(1, SIZE), 8, 4)
    colour = np.stack([b, b, b], -1)
    assert registration_remark(a[..., None], colour) == registration_remark(a, b)


def test_swapping_the_sides_turns_the_shift_round():
    a, b = shifted(*two_views(3, SIZE), 8, -5)
    there, back = (np.array(shift_of(registration_remark(*pair))) for pair in ((a, b), (b, a)))
    np.testing.assert_allclose(there, -back, atol=1)


def test_what_shares_no_edges_gets_no_remark():
    noise = np.random.default_rng(0).random((2, *SIZE)).astype(np.float32)
    blank = np.zeros(SIZE, np.float32)
    for a, b in (noise, (blank, blank), (blank, noise[0]), (two_views(0, SIZE)[0], noise[1])):
        assert registration_remark(a, b) is None


def test_an_image_too_small_to_judge_gets_none():
    x = np.random.default_rng(0).random((31, 64)).astype(np.float32)
    assert registration_remark(x, np.roll(x, 9, 1)) is None


def test_two_sizes_are_an_error():
    with pytest.raises(ValueError, match="one size, found shapes"):
        registration_remark(np.zeros((40, 50)), np.zeros((40, 51)))


def test_the_rates_on_made_up_pairs():
    count, shares = rates((two_views(seed, SIZE) for seed in range(10)), [0, 2, 6, 10])
    assert count == 10
    assert shares == [0, 0, 1, 1]
