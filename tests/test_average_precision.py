"""Average precision: known answers by hand, COCO's own code, and another implementation that is slow and plain."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mambadfuse.detection.average_precision import RECALLS, THRESHOLDS, average_precision
from mambadfuse.detection.boxes import Detections, Objects, as_boxes, intersection_over_union, share_inside

CLASSES = 3


def random_images(seed, count=6):
    """Images in which most objects are found roughly, some twice, beside detections of nothing."""
    rng = np.random.default_rng(seed)
    detections, objects = [], []
    for _ in range(count):
        n = rng.integers(0, 7)
        corner = rng.uniform(0, 60, (n, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(5, 30, (n, 2))], axis=1)
        labels = rng.integers(0, CLASSES, n)
        objects.append(Objects(boxes, labels, rng.random(n) < 0.2, rng.random(n) < 0.2))
        again = rng.integers(0, max(n, 1), rng.integers(0, 12) if n else 0)
        found = boxes[again] + rng.normal(0, 1.5, (len(again), 4))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        other = np.where(rng.random(len(again)) < 0.8, labels[again], rng.integers(0, CLASSES, len(again)))
        detections.append(Detections(found, other, rng.permutation(len(again)) / 20 + 0.01))
    return detections, objects


def by_coco(detections, objects):
    """AP by pycocotools, (classes, thresholds); -1 without objects. It ignores nothing but crowds."""
    truth = {
        "info": {},
        "images": [{"id": n + 1} for n in range(len(objects))],
        "categories": [{"id": k} for k in range(CLASSES)],
        "annotations": [
            {"image_id": n + 1, "category_id": int(label), "bbox": [*box[:2], *(box[2:] - box[:2])],
             "area": float((box[2:] - box[:2]).prod()), "iscrowd": int(crowd)}
            for n, one in enumerate(objects)
            for box, label, crowd in zip(one.boxes, one.labels, one.crowd, strict=True)
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth["annotations"], 1):
        annotation["id"] = number
    results = [
        {
            "image_id": n + 1,
            "category_id": int(label),
            "bbox": [*box[:2], *(box[2:] - box[:2])],
            "score": score,
        }
        for n, one in enumerate(detections)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][
        :, :, :, 0, 2
    ]  # thresholds, recalls, classes; all areas, 100 detections
    return precision.mean(axis=1).T


def by_brute_force(detections, objects, label, threshold):
    """The definition, one detection at a time."""
    rows = sorted(
        ((-score, n, box) for n, one in enumerate(detections) for box, k, score in
         zip(one.boxes, one.labels, one.scores, strict=True) if k == label),
        key=lambda row: row[0],
    )  # fmt: skip
    taken, hits = set(), []
    total = sum(int(((o.labels == label) & ~o.ignored).sum()) for o in objects)
    for _, n, box in rows:
        best = None
        for wanted in (False, True):  # objects that count first
            for m, (other, k, ignored, crowd) in enumerate(
                zip(objects[n].boxes, objects[n].labels, objects[n].ignored, objects[n].crowd, strict=True)
            ):
                overlap = (share_inside if crowd else intersection_over_union)(box[None], other[None])[0, 0]
                if k == label and ignored == wanted and (n, m) not in taken and overlap >= threshold:
                    best = max(best or (0, 0, 0), (overlap, m, ignored))
            if best:
                break
        if best and not objects[n].crowd[best[1]]:
            taken.add((n, best[1]))
        if not (best and best[2]):
            hits.append(bool(best))
    right = np.cumsum(hits)
    precision, recall = right / (np.arange(len(hits)) + 1), right / total
    return np.mean([max(precision[recall >= r], default=0.0) for r in RECALLS])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_equal_to_cocos_own_code(seed):
    detections, objects = random_images(seed)
    objects = [Objects(one.boxes, one.labels, crowd=one.crowd) for one in objects]
    if not any(len(one.labels) for one in detections):
        return
    own = average_precision(detections, objects, CLASSES)
    coco = by_coco(detections, objects)
    np.testing.assert_allclose(np.nan_to_num(own.table, nan=-1), coco, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_equal_to_the_definition_with_ignored_objects(seed):
    detections, objects = random_images(seed, count=3)
    own = average_precision(detections, objects, CLASSES)
    for label in range(CLASSES):
        if not own.counts[label]:
            assert np.isnan(own.table[label]).all()
            continue
        for level in (0, 5):
            expected = by_brute_force(detections, objects, label, THRESHOLDS[level])
            assert own.table[label, level] == pytest.approx(expected, abs=1e-12)


SQUARES = as_boxes([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])


def found(boxes, scores):
    return Detections(as_boxes(boxes), np.zeros(len(scores), dtype=int), np.array(scores, dtype=float))


def objects(ignored=()):
    flags = np.zeros(4, dtype=bool)
    flags[list(ignored)] = True
    return Objects(SQUARES, np.zeros(4, dtype=int), flags)


@pytest.mark.parametrize(
    ("boxes", "scores", "ignored", "answer"),
    [
        (SQUARES, [4, 3, 2, 1], (), 1),
        (SQUARES, [1, 2, 3, 4], (), 1),
        (SQUARES[:2], [2, 1], (), 51 / 101),  # half of the objects, all right
        (SQUARES[[0, 0]], [2, 1], (), 26 / 101),  # the second is a double
        ([[90, 90, 99, 99], *SQUARES], [5, 4, 3, 2, 1], (), 4 / 5),  # precision at full recall
        ([[90, 90, 99, 99], *SQUARES], [0, 4, 3, 2, 1], (), 1),
        (SQUARES[:2], [2, 1], (1, 2, 3), 1),  # what is ignored is neither missed nor wrong
        (SQUARES[[1, 1, 0]], [3, 2, 1], (1, 2, 3), 0.5),  # a second one on an ignored object is wrong
        ([], [], (), 0),
    ],
)
def test_known_answers(boxes, scores, ignored, answer):
    one = average_precision([found(boxes, scores)], [objects(ignored)], 1)
    assert one.at_half == pytest.approx(answer)
    assert one.overall == pytest.approx(answer)


def test_any_number_of_detections_inside_a_crowd_count_neither_way():
    crowd = Objects(
        as_boxes([[0, 0, 10, 10], [20, 0, 60, 20]]), np.zeros(2, int), crowd=np.array([False, True])
    )
    inside = [[20, 0, 30, 10], [25, 5, 35, 15], [50, 10, 64, 20]]  # the last one for 10 / 14 of it
    one = average_precision([found([*inside, [0, 0, 10, 10]], [4, 3, 2, 1])], [crowd], 1)
    assert (one.counts.tolist(), one.at_half) == ([1], 1)
    assert one.table[0, 5] == 0.5, "at 0.75, the last one is wrong"


def test_a_box_that_is_off_by_a_quarter_counts_up_to_its_overlap():
    moved = SQUARES + np.array([2.5, 0, 2.5, 0])  # IoU 7.5 / 12.5 = 0.6
    one = average_precision([found(moved, [4, 3, 2, 1])], [objects()], 1)
    np.testing.assert_allclose(one.table[0], [1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert (one.at_half, one.overall) == (1, pytest.approx(0.3))


def test_classes_without_objects_do_not_count_and_no_objects_are_no_number():
    one = average_precision([found(SQUARES, [4, 3, 2, 1])], [objects()], 2)
    assert np.isnan(one.table[1]).all()
    assert one.overall == 1
    nothing = Objects(as_boxes([]), np.zeros(0, dtype=int))
    assert np.isnan(average_precision([found([], [])], [nothing], 1).overall)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="1 images have detections, 0 have objects"):
        average_precision([found([], [])], [], 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_images_and_the_scale_of_scores_do_not_matter(seed):
    detections, objects = random_images(seed)
    rng = np.random.default_rng(seed)
    detections = [
        Detections(d.boxes, d.labels, d.scores + rng.uniform(0, 1e-4, len(d.scores))) for d in detections
    ]
    rescaled = [Detections(d.boxes, d.labels, np.log(d.scores)) for d in detections]
    own = average_precision(detections, objects, CLASSES)
    again = average_precision(rescaled[::-1], objects[::-1], CLASSES)
    np.testing.assert_allclose(own.table, again.table)
