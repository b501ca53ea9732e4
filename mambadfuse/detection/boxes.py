"""Boxes: what is in an image, and what a detector finds there."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float64]
Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image.

    Attributes:
        boxes: (left, top, right, bottom) of each in pixels, (N, 4); pixel (i, j) covers [j, j + 1) x [i, i + 1).
        labels: the index of its class, (N,).
        ignored: whether it may be found or missed without effect on the score, (N,); none by default.
        crowd: whether the box holds many objects that nobody counted, (N,), as COCO marks them; none by default. Crowds
            are ignored.

    Raises:
        ValueError: the shapes do not fit, or a box has no area.
    """

    boxes: Boxes
    labels: Labels
    ignored: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    crowd: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        for name in ("ignored", "crowd"):
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.zeros(len(self.labels), dtype=bool))
            _check(self.boxes, self.labels, getattr(self, name), name)
        object.__setattr__(self, "ignored", self.ignored | self.crowd)
        if (flat := (self.boxes[:, 2:] <= self.boxes[:, :2]).any(axis=1)).any():
            raise ValueError(f"boxes must have right > left and bottom > top, found {self.boxes[flat][0]}")


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector finds in one image.

    Attributes:
        boxes: (left, top, right, bottom) of each in pixels, (N, 4).
        labels: the index of its class, (N,).
        scores: how sure the detector is, (N,); only their order counts.

    Raises:
        ValueError: the shapes do not fit.
    """

    boxes: Boxes
    labels: Labels
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check(self.boxes, self.labels, self.scores, "scores")


def as_boxes(rows: ArrayLike) -> Boxes:
    """Any list of boxes as an array, (N, 4), also where it is empty.

    >>> as_boxes([]).shape
    (0, 4)
    """
    return np.asarray(rows, dtype=np.float64).reshape(-1, 4)


def intersection_over_union(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """The area that two boxes share, over the area that they cover together: (N, 4) and (M, 4) -> (N, M), in [0, 1].

    >>> intersection_over_union(as_boxes([0, 0, 2, 2]), as_boxes([[1, 0, 3, 2], [5, 5, 6, 6]])).round(3)
    array([[0.333, 0.   ]])
    """
    shared = _shared(boxes, others)
    return _ratio(shared, _areas(boxes)[:, None] + _areas(others)[None] - shared)


def share_inside(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """The share of a box that lies inside another one: (N, 4) and (M, 4) -> (N, M), in [0, 1].

    >>> share_inside(as_boxes([0, 0, 2, 2]), as_boxes([[1, 0, 9, 9], [5, 5, 6, 6]]))
    array([[0.5, 0. ]])
    """
    shared = _shared(boxes, others)
    return _ratio(shared, np.broadcast_to(_areas(boxes)[:, None], shared.shape))


def _shared(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """The area that two boxes share."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (opposite - corner).clip(0).prod(axis=2)


def _ratio(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """x / y, and 0 where y is 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)


def _check(boxes: Boxes, labels: Labels, more: NDArray[np.generic], name: str) -> None:
    count = len(labels)
    if boxes.shape != (count, 4) or labels.shape != (count,) or more.shape != (count,):
        raise ValueError(
            f"boxes, labels and {name} must have shapes (N, 4), (N,) and (N,), "
            f"found {boxes.shape}, {labels.shape} and {more.shape}"
        )
