"""Made-up scenes: reproducible, with flat regions and glare, drawn as often as asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.scenes import Scene, with_scenes
from mambadfuse.data.training_pairs import ArrayPair
from mambadfuse.training import TrainingConfig


def is_flat(side):
    side = side.astype(float)
    return ndimage.uniform_filter(side**2, 7) - ndimage.uniform_filter(side, 7) ** 2 < 4**2


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_a_scene_is_the_same_whenever_it_is_drawn(seed):
    a, b = Scene(seed).pictures()
    again, _ = Scene(seed).pictures()
    assert a.shape == b.shape == Scene(seed).shape
    assert a.dtype == b.dtype == np.uint8
    np.testing.assert_array_equal(a, again)
    assert Scene(seed).digest() == Scene(seed).digest() != Scene(seed + 1).digest()


def test_scenes_have_flat_regions_of_any_brightness_and_glare():
    flat, difference, glare = [], [], 0
    for seed in range(20):
        a, b = Scene(seed).pictures()
        both = is_flat(a) & is_flat(b)
        flat.append(both.mean())
        difference.append(float(np.median(b[both].astype(float) - a[both])))
        glare += (b == 255).mean() > 0.02
    assert np.mean(flat) > 0.2
    assert min(difference) < -20
    assert max(difference) > 100
    assert glare >= 3


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_scenes_are_drawn_to_their_share_and_sets_in_their_proportion(share):
    pairs = [ArrayPair(name, *np.zeros((2, 32, 32), np.uint8)) for name in "xy"]
    sets, weights = with_scenes([pairs[:1], pairs[1:]], [3, 1], share)
    crops = PairedCrops(sets, weights, crop_sizes=((16, 16),), batch=1)
    drawn = [crops.names(step)[0] for step in range(2000)]
    assert np.mean([name.startswith("scene") for name in drawn]) == pytest.approx(share, abs=0.03)
    assert drawn.count("x") / drawn.count("y") == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_leaves_no_pairs_is_refused(share):
    with pytest.raises(ValueError, match="scenes must be in"):
        TrainingConfig(scenes=share)
