"""Made-up scenes: the same arguments, the same scene; boxes fit, and visibility means what it says."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambadfuse.data.object_scenes import CONDITIONS, KINDS, SEEN, TRACE, VISIBILITIES, object_scene

series = [object_scene(5, index) for index in range(150)]
every = [found for scene in series for found in scene.objects]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 10**4), st.floats(0, 1), st.tuples(*[st.integers(48, 110)] * 2))
def test_images_and_boxes_fit(seed, index, difficulty, size):
    scene = object_scene(seed, index, size, difficulty)
    for side in (scene.a, scene.b):
        assert side.shape == size
        assert side.dtype == np.uint8
    taken = np.zeros(size, dtype=int)
    for found in scene.objects:
        left, top, right, bottom = found.box
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]
        taken[top:bottom, left:right] += 1
        assert max(found.contrast_a, found.contrast_b) >= TRACE
    assert taken.max() <= 1, "objects do not touch"


def test_the_same_arguments_draw_the_same_scene_and_others_another():
    one, again = object_scene(3, 7), object_scene(3, 7)
    np.testing.assert_array_equal(one.a, again.a)
    np.testing.assert_array_equal(one.b, again.b)
    assert one.objects == again.objects
    for other in (object_scene(3, 8), object_scene(4, 7)):
        assert not np.array_equal(one.a, other.a)


def test_every_kind_visibility_and_condition_is_common():
    for counts, names in (
        (Counter(found.kind for found in every), KINDS),
        (Counter(found.visibility for found in every), VISIBILITIES),
        (Counter(scene.condition for scene in series), CONDITIONS),
    ):
        assert set(counts) == set(names)
        assert min(counts.values()) > 0.1 * sum(counts.values())


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_object_that_is_seen_stands_out_of_its_surroundings_in_the_image(side):
    """Measured in the image alone, as the difference of what is in the box from a frame around it."""

    def stands_out(scene, found):
        image = getattr(scene, side).astype(float)
        left, top, right, bottom = found.box
        inside = image[top:bottom, left:right]
        frame = image[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3]
        return abs(np.sort(inside.ravel())[:, None] - np.median(frame)).mean()

    seen, unseen = [], []
    for scene in series:
        for found in scene.objects:
            clear = getattr(found, f"contrast_{side}") >= SEEN
            (seen if clear else unseen).append(stands_out(scene, found))
    assert np.median(seen) > 1.5 * np.median(unseen)


def test_difficulty_makes_objects_fainter_and_images_noisier():
    def contrast(difficulty):
        found = [one for index in range(60) for one in object_scene(1, index, difficulty=difficulty).objects]
        return np.mean([max(one.contrast_a, one.contrast_b) for one in found])

    assert contrast(0) > 1.2 * contrast(0.5) > 1.4 * contrast(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed and index must be at least 0, found -1 and 0"),
        ({"seed": 0, "size": (64, 40)}, r"size must be at least \(48, 48\), found \(64, 40\)"),
        ({"seed": 0, "difficulty": 1.5}, r"difficulty must be in \[0, 1\], found 1.5"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        object_scene(**arguments)
