"""Flicker: known answers, what does not count, and fused videos against their sources."""

import numpy as np
import pytest

import mambadfuse as mdf
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.evaluation.flicker import flicker


def test_the_flicker_of_a_still_scene_is_its_noise():
    rng = np.random.default_rng(1)
    assert flicker(100 + rng.normal(0, 5, (40, 24, 24))) == pytest.approx(5, rel=0.02)


def test_even_changes_do_not_flicker():
    assert flicker(np.full((4, 4), 3.0 * t) for t in range(9)) == 0


def test_every_other_frame_darker():
    assert flicker(np.full((4, 4), 10.0 * (t % 2)) for t in range(9)) == pytest.approx(20 / np.sqrt(6))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_frames_are_refused(count):
    with pytest.raises(ValueError, match="at least three"):
        flicker([np.zeros((2, 2))] * count)


def frames(moving):
    """Eight noisy frames of each side of a scene, uint8."""
    scene, rng = synthetic_pair(3, (72, 112)), np.random.default_rng(0)
    for t in range(8):
        left = 2 * t if moving else 0
        yield tuple(
            np.uint8(np.clip(255 * side[:, left : left + 96] + rng.normal(0, 4, (72, 96)), 0, 255))
            for side in (scene.a, scene.b)
        )


@pytest.mark.parametrize("model", ["ivf-fast", "ivf-tiny"])
@pytest.mark.parametrize("moving", [False, True])
def test_fused_videos_flicker_no_more_than_their_sources(model, moving):
    network = mdf.load(model)
    sides = list(frames(moving))
    fused = flicker(mdf.fuse(a, b, network) for a, b in sides)
    assert fused <= max(flicker(side) for side in zip(*sides, strict=True))
