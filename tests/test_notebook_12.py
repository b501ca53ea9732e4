"""Notebook 12: the detector that it builds by hand is the package's, part by part."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse import detection
from mambadfuse.data.object_scenes import object_scene
from mambadfuse.detection import Detections, Maps, Objects
from mambadfuse.detection.average_precision import THRESHOLDS
from mambadfuse.detection.scenes import scene_objects
from mambadfuse.detection.targets import gaussian_radius

BY_HAND = definitions("12")


def drawn(rng, count, side=80):
    """Boxes of whole and half pixels and their classes, inside an image of this side."""
    corner = rng.integers(0, side - 8, (count, 2)) / 2
    size = rng.integers(1, side - 1, (count, 2)) / 2
    return np.concatenate([corner, corner + size], axis=1), rng.integers(3, size=count)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_overlap_is_that_of_the_package(seed):
    boxes, _ = drawn(np.random.default_rng(seed), 6)
    by_hand = [[BY_HAND["iou"](x, y) for y in boxes] for x in boxes]
    np.testing.assert_allclose(by_hand, detection.intersection_over_union(boxes, boxes))


@given(st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=100)
def test_the_radius_is_that_of_the_package(w, h):
    assert BY_HAND["radius"](w / 4, h / 4) == gaussian_radius(w / 4, h / 4)


def test_a_box_comes_back_from_its_cell():
    for box in drawn(np.random.default_rng(0), 50)[0]:
        (row, column), (w, h), (x, y) = BY_HAND["cell_of"](box)
        left, top = column + x - w / 2, row + y - h / 2
        np.testing.assert_allclose([4 * side for side in (left, top, left + w, top + h)], box)


@pytest.mark.parametrize("seed", range(20))
def test_targets_are_those_of_the_package_for_boxes_of_any_size(seed):
    one = Objects(*drawn(np.random.default_rng(seed), 4))
    by_hand, package = BY_HAND["targets_by_hand"](one, 3, 80, 80), detection.targets([one], 3, 80, 80)
    torch.testing.assert_close([part.float() for part in by_hand], [part.float() for part in package])


def test_loss_and_gradient_are_those_of_the_package_also_without_objects():
    torch.manual_seed(0)
    empty = Objects(np.zeros((0, 4)), np.zeros(0, int))
    for truth in ([scene_objects(object_scene(0, 1)), empty], [empty, empty]):
        aim = detection.targets(truth, 3, 64, 96)
        maps = Maps(*(torch.randn(2, n, 16, 24, requires_grad=True) for n in (3, 2, 2)))
        by_hand, package = BY_HAND["loss_by_hand"](maps, aim), detection.detection_loss(maps, aim)
        torch.testing.assert_close(by_hand, package)
        grads = [torch.autograd.grad(loss, maps) for loss in (by_hand, package)]
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_detector_is_that_of_the_package(channels):
    torch.manual_seed(channels)
    by_hand, package = BY_HAND["TinyDetector"](channels, 3), detection.Detector(channels, 3)
    assert by_hand.answer[-1].bias.tolist() == pytest.approx(package.answer[-1].bias.tolist())
    package.load_state_dict(by_hand.state_dict())
    image = torch.rand(2, channels, 48, 64)
    torch.testing.assert_close(by_hand(image), package(image))


@pytest.mark.parametrize("seed", range(5))
def test_peaks_are_those_of_the_package(seed):
    torch.manual_seed(seed)
    maps = Maps(*(2 * torch.randn(1, n, 9, 11) for n in (3, 2, 2)))
    by_hand, package = BY_HAND["decode_by_hand"](maps), detection.decode(maps)[0]
    for part in ("scores", "labels", "boxes"):
        np.testing.assert_allclose(getattr(by_hand, part), getattr(package, part), rtol=1e-5, atol=1e-5)


def test_nothing_is_found_where_nothing_is_sure():
    maps = Maps(torch.full((1, 3, 4, 4), -9.0), torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    assert BY_HAND["decode_by_hand"](maps).boxes.shape == (0, 4)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_the_package(seed):
    rng = np.random.default_rng(seed)
    truth = [Objects(*drawn(rng, 4)) for _ in range(6)]
    found = []
    for one in truth:  # objects moved a little, some of another class, and some boxes out of the blue
        boxes, labels = drawn(rng, 3)
        moved = one.boxes + rng.normal(0, 1.5, one.boxes.shape).clip(-2, 2)
        classes = np.where(rng.random(len(moved)) < 0.8, one.labels, rng.integers(3, size=len(moved)))
        rows = np.concatenate([moved, boxes]), np.concatenate([classes, labels])
        found.append(Detections(*rows, rng.random(len(rows[1]))))
    by_hand = BY_HAND["ap_by_hand"](found, truth, 3)
    assert by_hand.shape == (3, len(THRESHOLDS))
    np.testing.assert_allclose(by_hand, detection.average_precision(found, truth, 3).table)


def test_contrast_has_the_sign_of_the_object():
    image = np.full((40, 40), 100, np.uint8)
    image[10:20, 10:20] = 160
    assert BY_HAND["contrast"](image, (10, 10, 20, 20)) == 60
    assert BY_HAND["contrast"](255 - image, (10, 10, 20, 20)) == -60
