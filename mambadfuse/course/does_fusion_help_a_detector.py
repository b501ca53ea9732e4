"""The exercises of notebook 12: average precision on paper, late fusion, its row in the table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mambadfuse.course.answers import array, entries, function, number
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask
from mambadfuse.data.object_scenes import KINDS, ObjectScene
from mambadfuse.detection.boxes import Detections, as_boxes, intersection_over_union
from mambadfuse.detection.evaluation import detection_scores
from mambadfuse.detection.scenes import scene_objects, visibility_groups

OVERLAP = 0.5  # IoU above which two detections of one class are the same object
_NEAR = 0.3  # points: how exactly a score has to be met

_OTHER_SCORES = {
    "AP": "the mean over thresholds",
    "AP50 only a": "of the objects seen only in a",
    "AP50 both": "of the objects seen in both",
    "AP50": "of all objects",
    "AP50 only b": "of those seen only in b",
}


def to_a_hundredth(answer: object) -> set[str]:
    """The normal forms of a number that has to be met to a hundredth, more or less.

    >>> sorted(to_a_hundredth("5/9"))
    ['0.55', '0.56']
    """
    value = number(answer)
    return {f"{value + shift:.2f}" for shift in (-0.005, 0, 0.005)}


PRECISION = (
    Question(
        "right, wrong, right",
        "970314a1e426",
        "which precision has each third of the recall, and which has the third that is never reached?",
        to_a_hundredth,
        {
            2 / 3: "that is the precision at the end; it holds for one third of the recall only",
            5 / 6: "that is the mean over two hits; divide by the objects, of which there are three",
            1 / 3: "the second object that is found counts, too",
            0.61: "the object that is never found has precision 0 in its third of the recall",
            13
            / 18: "that is the mean over the detections; take the recalls, and each third of them counts once",
            55.6: "between 0 and 1, please",
            55.4: "between 0 and 1, please",
        },
    ),
    Question(
        "right, right, wrong",
        "817c0e012d05",
        "a wrong detection after the last right one lowers no precision that still counts",
        to_a_hundredth,
        {
            1: "one of the three objects is never found",
            5 / 9: "does the wrong one come before the second right one?",
            4 / 9: "the wrong detection comes last: the precision at the second right one is still 1",
            8 / 9: "that is the mean over the detections; a third of the recall is never reached",
            66.7: "between 0 and 1, please",
        },
    ),
    Question(
        "each found twice",
        "efd49dc9fc12",
        "the second detection of an object is wrong: right, wrong, right, wrong, right, wrong",
        to_a_hundredth,
        {
            1: "each object has one detection that is right; its second one finds it taken, and is wrong",
            0.5: "that is the precision at the end; what is it at each right one?",
            5 / 9: "here the third object is found, too",
            0.628: "that is the mean over the detections; take the precision at the right ones alone",
            0.6: "that is the precision at the last right one; what is it at the first two?",
            75.6: "between 0 and 1, please",
        },
    ),
)


@exercise
def precision_on_paper(answer: object) -> None:
    """Exercise 1: the average precision of three lists of detections, for three objects.

    >>> from mambadfuse.course.does_fusion_help_a_detector import precision_on_paper
    >>> precision_on_paper(["2/3", 1, 1])
    'not yet: 0 of 3 are right; right, wrong, right: that is the precision at the end; it holds for one third of the \
recall only'
    """
    ask(PRECISION, answer)


@exercise
def late_fusion(answer: Callable[..., Any]) -> None:
    """Exercise 2: what two detectors find; of two detections of one class whose IoU is above 0.5, only the surer one.

    >>> from mambadfuse.course.does_fusion_help_a_detector import late_fusion
    >>> late_fusion(lambda found_a, found_b: found_a)
    'not yet: where a finds nothing, what b finds is missing'
    """
    function(answer)
    for case, (found_a, found_b) in _CASES.items():
        given = [
            Detections(one.boxes.copy(), one.labels.copy(), one.scores.copy()) for one in (found_a, found_b)
        ]
        found = _read(answer(*given))
        if hint := _hint(case, _as_set(found), found_a, found_b):
            raise NotYet(hint)


def _found(*rows: tuple[float, float, int, float]) -> Detections:
    """Detections of boxes 10 pixels wide and high, each as left, top, class and score."""
    boxes = as_boxes([(left, top, left + 10, top + 10) for left, top, _, _ in rows])
    labels = np.array([label for _, _, label, _ in rows], dtype=np.int64)
    return Detections(boxes, labels, np.array([score for *_, score in rows], dtype=np.float64))


_CASES = {
    "a is empty": (_found(), _found((0, 0, 0, 0.8))),
    "b is empty": (_found((0, 0, 0, 0.8)), _found()),
    "apart": (_found((0, 0, 0, 0.9), (40, 0, 1, 0.3)), _found((20, 0, 0, 0.6))),
    "one object": (_found((0, 0, 0, 0.4)), _found((1, 0, 0, 0.9))),
    "two classes": (_found((0, 0, 0, 0.9)), _found((1, 0, 1, 0.8))),
    "a little": (_found((0, 0, 0, 0.9)), _found((4, 0, 0, 0.8))),  # IoU 0.43
    "half": (_found((0, 0, 0, 0.9)), _found((3, 0, 0, 0.8))),  # IoU 0.54
    "one side": (_found((0, 0, 0, 0.9), (2, 0, 0, 0.8)), _found((40, 0, 0, 0.5))),
    "chain": (_found((0, 0, 0, 0.9), (6, 0, 0, 0.7)), _found((3, 0, 0, 0.8))),
}  # fmt: skip

_HINTS = {
    "a is empty": "where a finds nothing, what b finds is missing",
    "b is empty": "where b finds nothing, what a finds is missing",
    "apart": "detections that do not overlap all stay, whichever side has found them",
    "one object": "of two detections of one object the surer one stays, here that of b with 0.9",
    "two classes": "a person and a car in one place are two objects: classes are compared first",
    "a little": f"an IoU of 0.43 is not above {OVERLAP}: both stay",
    "half": f"an IoU of 0.54 is above {OVERLAP}: one has to go",
    "one side": "two of one side that overlap count as well: only the surer one stays",
    "chain": "0.9 removes 0.8, and what is removed removes nothing: 0.7 overlaps 0.9 too little, and stays",
}


def _read(answer: object) -> Detections:
    if answer is None:
        raise NotYet("your function still returns None")
    if isinstance(answer, Detections):
        answer = answer.boxes, answer.labels, answer.scores
    if isinstance(answer, tuple | list) and len(answer) == 3:
        boxes, labels, scores = (array(part) for part in answer)
        return Detections(as_boxes(boxes), labels.astype(np.int64), scores.astype(np.float64))
    raise NotYet(f"expected Detections of boxes, labels and scores, found {type(answer).__name__}")


Row = tuple[tuple[float, ...], int, float]


def _as_set(found: Detections) -> list[Row]:
    """The detections in an order that does not depend on theirs."""
    rows = zip(found.boxes.tolist(), found.labels.tolist(), found.scores.round(6).tolist(), strict=True)
    return sorted((tuple(box), label, score) for box, label, score in rows)


def _hint(case: str, found: list[Row], found_a: Detections, found_b: Detections) -> str | None:
    """None for the right detections of a case."""
    if found == _as_set(_suppressed(_joined(found_a, found_b))):
        return None
    given = _as_set(_joined(found_a, found_b))
    if len(found) > len(set(found)):
        return f"{_HINTS[case]}; one detection comes back twice"
    if unknown := [row for row in found if row not in given]:
        return (
            f"a detection has come back changed: {unknown[0]}; choose among them, and leave them as they are"
        )
    return _HINTS[case]


def _joined(found_a: Detections, found_b: Detections) -> Detections:
    return Detections(
        np.concatenate([found_a.boxes, found_b.boxes]),
        np.concatenate([found_a.labels, found_b.labels]),
        np.concatenate([found_a.scores, found_b.scores]),
    )


def _suppressed(found: Detections) -> Detections:
    """Without every detection that overlaps a surer one of its class that stays, by more than half."""
    same = intersection_over_union(found.boxes, found.boxes) > OVERLAP
    same &= found.labels[:, None] == found.labels
    kept: list[int] = []
    for k in np.argsort(-found.scores, kind="stable"):
        if not same[k, kept].any():
            kept.append(int(k))
    return Detections(found.boxes[kept], found.labels[kept], found.scores[kept])


@exercise
def late_row(
    answer: object,
    found_a: Sequence[Detections],
    found_b: Sequence[Detections],
    scenes: Sequence[ObjectScene],
) -> None:
    """Exercise 3: AP50 of late fusion on the test scenes, of all objects and of those seen only in b.

    >>> from mambadfuse.course.does_fusion_help_a_detector import late_row
    >>> late_row({"AP50": None, "AP50 only b": None}, [], [], [])
    'not yet: still without an answer: AP50, AP50 only b'

    Args:
        answer: both by name, from 0 to 1 or in points.
        found_a: what the detector of a finds in each scene.
        found_b: the same of b.
        scenes: with their objects.
    """
    names = ["AP50", "AP50 only b"]
    if isinstance(answer, Mapping) and answer.keys() >= set(_OTHER_SCORES):
        answer = {name: answer[name] for name in names}  # all that detection_scores returns will do
    given = {name: _points(value) for name, value in entries(answer, names).items()}
    pairs = list(zip(found_a, found_b, strict=True))
    right = _scores([_suppressed(_joined(x, y)) for x, y in pairs], scenes)
    for name in names:
        if abs(given[name] - right[name]) > _NEAR:
            raise NotYet(f"{name}: {_why(name, given[name], pairs, scenes)}")


def _points(value: object) -> float:
    score = number(value)
    if not 0 <= score <= 100:
        raise NotYet(f"a score lies between 0 and 1, or between 0 and 100 points, found {score:g}")
    return 100 * score if score <= 1 else score


def _scores(found: Sequence[Detections], scenes: Sequence[ObjectScene]) -> dict[str, float]:
    """In points."""
    scores = detection_scores(found, [scene_objects(one) for one in scenes], KINDS, visibility_groups(scenes))
    return {name: 100 * score for name, score in scores.items()}


def _why(
    name: str, given: float, pairs: Sequence[tuple[Detections, Detections]], scenes: Sequence[ObjectScene]
) -> str:
    """What a wrong score may have come from."""
    late = _scores([_suppressed(_joined(x, y)) for x, y in pairs], scenes)
    for other, words in _OTHER_SCORES.items():
        if other != name and abs(given - late[other]) <= _NEAR:
            return f"{given:.1f} is another score of late fusion: {words}"
    of_a, of_b = ([one[side] for one in pairs] for side in (0, 1))
    own_a, own_b, together = (
        _scores(found, scenes)[name] for found in (of_a, of_b, [_joined(x, y) for x, y in pairs])
    )
    known = {
        "that is the detector of a alone": own_a,
        "that is the detector of b alone": own_b,
        "that is the mean of two scores: put the detections together, then score them": (own_a + own_b) / 2,
        "so it is with all detections of both: of two of one object the less sure one must go": together,
    }
    for words, score in known.items():
        if abs(given - score) <= _NEAR:
            return words
    return (
        f"{given:.1f} points are not what late fusion scores on these scenes: call late_fusion for each of them, "
        "and score all that it returns"
    )
