"""The remark about a pair that does not look registered."""

import re

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.alignment import two_views
from benchmarks.registration import rates, shifted
from mambadfuse.alignment.registration import registration_remark, shift_remark

SIZE = (144, 192)


def shift_of(remark):
    return [int(number) for number in re.findall(r"-?\d+", remark)]


@pytest.mark.parametrize("seed", range(4))
def test_a_registered_pair_gets_no_remark(seed):
    assert registration_remark(*two_views(seed, SIZE)) is None


@pytest.mark.parametrize(("right", "down"), [(6, 0), (0, -7), (-5, 9), (20, 12)])
def test_a_shifted_pair_gets_one_that_undoes_the_shift(right, down):
    remark = shift_remark(*shifted(*two_views(1, SIZE), right, down))
    np.testing.assert_allclose(shift_of(remark), [-right, -down], atol=1)


def test_the_remark_is_one_sentence_for_the_user():
    remark = shift_remark(*shifted(*two_views(2, SIZE), 9, 4))
    assert remark.startswith("a and b do not look registered: ")
    assert remark.count(".") == 1
    assert remark.endswith(".")


def test_shifts_of_large_images_are_in_their_own_pixels():
    a, b = (np.kron(view, np.ones((4, 4), np.float32)) for view in two_views(1, SIZE))
    np.testing.assert_allclose(shift_of(shift_remark(*shifted(a, b, 32, -20))), [-32, 20], atol=2)


def test_colour_counts_by_its_brightness():
    a, b = shifted(*two_views(1, SIZE), 8, 4)
    colour = np.stack([b, b, b], -1)
    assert shift_remark(a[..., None], colour) == shift_remark(a, b)


def test_swapping_the_sides_turns_the_shift_round():
    a, b = shifted(*two_views(3, SIZE), 8, -5)
    there, back = (np.array(shift_of(shift_remark(*pair))) for pair in ((a, b), (b, a)))
    np.testing.assert_allclose(there, -back, atol=1)


@pytest.mark.parametrize("degrees", [8, -12])
def test_a_turned_pair_matches_nowhere(degrees):
    a, b = two_views(0, SIZE)
    turned = ndimage.rotate(b, degrees, reshape=False, order=1, mode="nearest")
    assert shift_remark(a, turned) is None
    assert registration_remark(a, turned).startswith("a and b may not be registered: ")
    assert registration_remark(a[:63], turned[:63]) is None


def test_images_that_have_nothing_in_common_match_nowhere():
    rng = np.random.default_rng(0)
    remarks = [registration_remark(*rng.random((2, *SIZE)).astype(np.float32)) for _ in range(6)]
    found = [remark for remark in remarks if remark]
    assert len(found) >= 5
    assert all(remark.count(".") == 1 and "at no shift" in remark for remark in found)


def test_an_image_without_edges_gets_no_remark():
    blank, x = np.zeros(SIZE, np.float32), two_views(0, SIZE)[0]
    assert registration_remark(blank, x) is registration_remark(x, blank) is None


def test_a_clear_shift_is_said_by_both():
    pair = shifted(*two_views(1, SIZE), 8, 4)
    assert registration_remark(*pair) == shift_remark(*pair) is not None


def test_what_shares_no_edges_gets_no_remark_about_a_shift():
    noise = np.random.default_rng(0).random((2, *SIZE)).astype(np.float32)
    blank = np.zeros(SIZE, np.float32)
    for a, b in (noise, (blank, blank), (blank, noise[0]), (two_views(0, SIZE)[0], noise[1])):
        assert shift_remark(a, b) is None


def test_an_image_too_small_to_judge_gets_none():
    x = np.random.default_rng(0).random((31, 64)).astype(np.float32)
    assert shift_remark(x, np.roll(x, 9, 1)) is None


def test_two_sizes_are_an_error():
    with pytest.raises(ValueError, match="one size, found shapes"):
        shift_remark(np.zeros((40, 50)), np.zeros((40, 51)))


def test_the_rates_on_made_up_pairs():
    count, shares = rates((two_views(seed, SIZE) for seed in range(10)), [0, 2, 6, 10], [0, 20])
    assert count == 10
    assert shares[:5] == [0, 0, 1, 1, 0]
    assert shares[5] >= 0.7
