"""Flicker: known answers, what does not count, and fused videos against their sources."""

import numpy as np
import pytest

import mambadfuse as mdf
from benchmarks.moving_camera import measure
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


@pytest.mark.parametrize(("noise", "size"), [(4, (72, 108)), (1, (240, 332))])
@pytest.mark.parametrize("model", ["ivf-fast", "ivf-tiny"])
def test_fused_videos_flicker_less_than_their_sources(model, noise, size):
    """Tokens of 2 x 2 pixels show a scene that moves by odd steps in turn as they show either pixel."""
    scenes, network = [synthetic_pair(seed, size) for seed in range(3)], mdf.load(model).for_video()
    runs = [
        measure(255 * scene.a, 255 * scene.b, noise, {"video": network}, seed=seed)
        for seed, scene in enumerate(scenes)
    ]
    gains = np.array([run["video"] for run in runs]) / [run["sources"] for run in runs]  # (scenes, motions)
    assert (gains.mean(axis=0) < 1).all()


def test_a_still_image_without_noise_does_not_flicker_along_the_motion_of_the_camera():
    scene = synthetic_pair(1, (72, 108))
    found = measure(255 * scene.a, 255 * scene.b, 0, {})
    assert found == {"sources": [0, 0, 0, 0]}


def test_an_image_too_narrow_for_a_moving_camera_is_refused():
    with pytest.raises(ValueError, match="more than 12 columns, found 12"):
        measure(*np.zeros((2, 8, 12)), 0, {})
