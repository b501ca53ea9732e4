"""The exercises of notebook 12: right answers pass as they are written, wrong ones get a hint."""

import numpy as np
import pytest
import torch
from course_cases import CRASH, crash, right, wrong

from mambadfuse.course import does_fusion_help_a_detector as detector
from mambadfuse.data.object_scenes import KINDS, object_scene
from mambadfuse.detection import (
    Detections,
    Objects,
    average_precision,
    detection_scores,
    intersection_over_union,
)
from mambadfuse.detection.scenes import scene_objects, visibility_groups

PRECISION = {"right, wrong, right": 0.554, "right, right, wrong": 0.663, "each found twice": 0.756}


def test_precision_is_that_of_the_package():
    boxes = np.array([[20.0 * k, 0, 20 * k + 9, 9] for k in range(9)])
    truth = Objects(boxes[:3], np.zeros(3, int))

    def score(*places):
        found = Detections(boxes[list(places)], np.zeros(len(places), int), np.linspace(1, 0.5, len(places)))
        return average_precision([found], [truth], 1).at_half

    made = [score(0, 5, 1), score(0, 1, 5), score(0, 0, 1, 1, 2, 2)]
    assert detector.precision_on_paper(made) == "passed"


@right(
    [
        PRECISION,
        dict(reversed(PRECISION.items())),
        {"Right wrong right": "5/9", "Right right wrong": "2/3", "Each found twice": "34/45"},
        [0.56, 0.67, 0.76],
        np.array([0.5545, 0.6634, 0.7564]),
        torch.tensor([5 / 9, 2 / 3, 34 / 45]),
    ]
)
def test_precision_right(answer):
    assert detector.precision_on_paper(answer) == "passed"


@wrong(
    at_the_end=(
        PRECISION | {"right, wrong, right": 2 / 3},
        "2 of 3 are right; right, wrong, right: that is the",
    ),
    over_hits=(PRECISION | {"right, wrong, right": 5 / 6}, "divide by the objects"),
    first_alone=(PRECISION | {"right, wrong, right": "1/3"}, "the second object"),
    per_cent=(PRECISION | {"right, wrong, right": 55.4}, "between 0 and 1"),
    never_found=(PRECISION | {"right, right, wrong": 1}, "one of the three objects is never found"),
    order_ignored=(PRECISION | {"right, right, wrong": 5 / 9}, "does the wrong one come before"),
    mean_of_precisions=(PRECISION | {"right, right, wrong": 4 / 9}, "the wrong detection comes last"),
    twice_is_fine=(PRECISION | {"each found twice": 1}, "finds it taken"),
    last_precision=(PRECISION | {"each found twice": 0.5}, "the precision at the end"),
    at_the_last_hit=(PRECISION | {"each found twice": 0.6}, "at the first two"),
    two_objects=(PRECISION | {"each found twice": 5 / 9}, "the third object is found"),
    over_detections=(PRECISION | {"right, wrong, right": 0.722}, "the mean over the detections"),
    never_reached=(PRECISION | {"right, right, wrong": 0.889}, "a third of the recall is never reached"),
    over_all_six=(PRECISION | {"each found twice": 0.628}, "at the right ones alone"),
    other=(PRECISION | {"each found twice": 0.9}, "the second detection of an object is wrong"),
    unanswered=(dict.fromkeys(PRECISION), "still without an answer"),
)
def test_precision_wrong(answer, hint):
    assert hint in detector.precision_on_paper(answer)


def joined(a, b):
    return [np.concatenate([getattr(one, part) for one in (a, b)]) for part in ("boxes", "labels", "scores")]


def suppressed(a, b, threshold=0.5, by_class=True, sign=-1, removed_count=False):
    boxes, labels, scores = joined(a, b)
    kept, gone = [], []
    for k in np.argsort(sign * scores, kind="stable"):
        others = kept + gone if removed_count else kept
        overlap = intersection_over_union(boxes[[k]], boxes[others])[0]
        if (overlap[(labels[others] == labels[k]) | (not by_class)] > threshold).any():
            gone.append(k)
        else:
            kept.append(k)
    return Detections(boxes[kept], labels[kept], scores[kept])


def by_sets(a, b):
    """The surest first, until none is left; comes back in another order, as plain arrays."""
    boxes, labels, scores = joined(a, b)
    left, kept = set(range(len(scores))), []
    while left:
        best = max(left, key=lambda k: scores[k])
        kept.append(best)
        overlap = intersection_over_union(boxes[[best]], boxes)[0]
        left -= {k for k in left if labels[k] == labels[best] and overlap[k] > 0.5} | {best}
    return boxes[kept[::-1]], labels[kept[::-1]], scores[kept[::-1]]


def a_first(a, b):
    """All of a, and of b what a has not found."""
    overlap = intersection_over_union(b.boxes, a.boxes) * (b.labels[:, None] == a.labels)
    new = ~(overlap > 0.5).any(axis=1)
    return Detections(*(np.concatenate([x, y[new]]) for x, y in zip(parts(a), parts(b), strict=True)))


def parts(found):
    return found.boxes, found.labels, found.scores


def across_sides(a, b):
    """Compares a with b, but neither with itself."""
    overlap = (intersection_over_union(a.boxes, b.boxes) > 0.5) & (a.labels[:, None] == b.labels)
    keep_a = ~(overlap & (b.scores > a.scores[:, None])).any(axis=1)
    keep_b = ~(overlap & (b.scores <= a.scores[:, None])).any(axis=0)
    pairs = zip(parts(a), parts(b), strict=True)
    return Detections(*(np.concatenate([x[keep_a], y[keep_b]]) for x, y in pairs))


def scores_halved(a, b):
    found = suppressed(a, b)
    return Detections(found.boxes, found.labels, found.scores / 2)


def confirmed(a, b):
    """Only what both have found."""
    seen = (intersection_over_union(a.boxes, b.boxes) > 0.5).any(axis=1)
    return Detections(*(part[seen] for part in parts(a)))


@right(
    [
        suppressed,
        by_sets,
        lambda a, b: suppressed(b, a),
        lambda a, b: tuple(map(torch.as_tensor, by_sets(a, b))),
        lambda a, b: Detections(*(part.astype(np.float32) for part in parts(suppressed(a, b)))),
        lambda a, b: Detections(*(torch.as_tensor(part).float() for part in parts(suppressed(a, b)))),
    ]
)
def test_late_fusion_right(answer):
    assert detector.late_fusion(answer) == "passed"


@wrong(
    nothing=(lambda a, b: None, "still returns None"),
    a_alone=(lambda a, b: a, "where a finds nothing"),
    b_alone=(lambda a, b: b, "where b finds nothing"),
    all_of_both=(lambda a, b: Detections(*joined(a, b)), "the surer one stays"),
    a_first=(a_first, "the surer one stays, here that of b"),
    least_sure=(lambda a, b: suppressed(a, b, sign=1), "the surer one stays"),
    classes_ignored=(lambda a, b: suppressed(a, b, by_class=False), "classes are compared first"),
    too_strict=(lambda a, b: suppressed(a, b, threshold=0.3), "0.43 is not above 0.5"),
    too_lax=(lambda a, b: suppressed(a, b, threshold=0.7), "0.54 is above 0.5"),
    across_sides=(across_sides, "two of one side"),
    removed_count=(lambda a, b: suppressed(a, b, removed_count=True), "what is removed removes nothing"),
    scores_changed=(scores_halved, "has come back changed"),
    confirmed=(confirmed, "what b finds is missing"),
    boxes_alone=(lambda a, b: suppressed(a, b).boxes, "expected Detections"),
    result=(Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)), "expected the function itself"),
    crash=(crash, CRASH),
)
def test_late_fusion_wrong(answer, hint):
    assert hint in detector.late_fusion(answer)


@pytest.fixture(scope="module")
def tested():
    """Scenes, and what two made-up detectors find there: each the objects that it can see, and some noise."""
    scenes = [object_scene(1, index) for index in range(12)]
    rng = np.random.default_rng(0)

    def found(scene, side):
        truth = scene_objects(scene)
        seen = np.array([one.visibility in (f"only {side}", "both") for one in scene.objects], dtype=bool)
        boxes = np.concatenate([truth.boxes[seen], truth.boxes[:1] + 30]) + rng.uniform(
            -0.5, 0.5, (seen.sum() + 1, 4)
        )
        labels = np.append(truth.labels[seen], rng.integers(3))
        return Detections(boxes, labels, rng.uniform(0.1, 1, len(labels)))

    return [found(s, "a") for s in scenes], [found(s, "b") for s in scenes], scenes


def scores(found, scenes):
    return detection_scores(found, [scene_objects(s) for s in scenes], KINDS, visibility_groups(scenes))


@pytest.fixture(scope="module")
def late(tested):
    found_a, found_b, scenes = tested
    return scores([suppressed(a, b) for a, b in zip(found_a, found_b, strict=True)], scenes)


def test_late_row_right(tested, late):
    names = ("AP50", "AP50 only b")
    by_name = {name: late[name] for name in names}
    points = {name.upper(): f"{100 * late[name]:.1f}" for name in names}
    for answer in (
        (late["AP50"], late["AP50 only b"]),
        by_name,
        late,
        points,
        torch.tensor(list(by_name.values())),
    ):
        assert detector.late_row(answer, *tested) == "passed"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"AP50": None}, "still without an answer: AP50"),
        ({"AP50": 130}, "between 0 and 100 points"),
        ({"AP50": 0.011}, "AP50: 1.1 points are not what late fusion scores"),
        ({"AP50": "lots"}, "expected a number"),
        ({"AP60": 0.5}, "nothing is called 'AP60'"),
    ],
)
def test_late_row_wrong(given, hint, tested, late):
    assert hint in detector.late_row(
        {"AP50": late["AP50"], "AP50 only b": late["AP50 only b"]} | given, *tested
    )


def test_late_row_knows_other_scores_and_other_detections(tested, late):
    found_a, found_b, scenes = tested
    assert "the mean over thresholds" in detector.late_row([late["AP"], late["AP50 only b"]], *tested)
    assert "seen only in a" in detector.late_row([late["AP50"], late["AP50 only a"]], *tested)
    assert "the detector of a alone" in detector.late_row([scores(found_a, scenes)["AP50"], 0], *tested)
    assert "the detector of b alone" in detector.late_row([scores(found_b, scenes)["AP50"], 0], *tested)
    mean = (scores(found_a, scenes)["AP50"] + scores(found_b, scenes)["AP50"]) / 2
    assert "the mean of two scores" in detector.late_row([mean, 0], *tested)
    both = [Detections(*joined(a, b)) for a, b in zip(found_a, found_b, strict=True)]
    assert "the less sure one must go" in detector.late_row([scores(both, scenes)["AP50"], 0], *tested)
