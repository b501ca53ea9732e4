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


def test_frames_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 2\) and \(1, 2\)"):
        flicker([np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((1, 2))])


COUNT = 6


def frames(seed, step):
    """Noisy frames of each side of a scene, uint8, (72, 96)."""
    scene, rng = synthetic_pair(seed, (72, 112)), np.random.default_rng(seed)
    for t in range(COUNT):
        yield tuple(
            np.uint8(np.clip(255 * side[:, step * t :][:, :96] + rng.normal(0, 4, (72, 96)), 0, 255))
            for side in (scene.a, scene.b)
        )


def followed(video, step):
    """The part of a scene that all frames of a moving camera show."""
    return [frame[:, step * (COUNT - 1 - t) :][:, : 96 - step * (COUNT - 1)] for t, frame in enumerate(video)]


@pytest.mark.parametrize("model", ["ivf-fast", "ivf-tiny"])
@pytest.mark.parametrize("step", range(4))
def test_fused_videos_flicker_less_than_their_sources(model, step):
    """Tokens of 2 x 2 pixels show a scene that moves by odd steps in turn as they show either pixel."""
    network, gains = mdf.load(model).for_video(), []
    for seed in range(3):
        sides = list(frames(seed, step))
        fused = flicker(followed([mdf.fuse(a, b, network) for a, b in sides], step))
        gains.append(fused / max(flicker(followed(side, step)) for side in zip(*sides, strict=True)))
    assert np.mean(gains) < 1
