"""Average precision, as COCO computes it (Lin et al. 2014): how many objects are found, how many findings are objects.

For one class, the detections of all images go by descending score. Each takes the free object of its image that it
overlaps most, if their IoU reaches the threshold: then it is right, else it is wrong. After every detection

    precision = right / (right + wrong),   recall = right / objects

and average precision is the mean of the precision at the recalls 0, 0.01, ..., 1, where the precision at a
recall is the best one at this or any higher recall. Ignored objects, and the detections that take them, count neither
way; a detection takes an ignored object only if no other one reaches the threshold. A crowd is an ignored object that
any number of detections can take: in place of the IoU, the share of the detection inside the crowd's box has to reach
the threshold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mambadfuse.detection.boxes import Detections, Flags, Objects, intersection_over_union, share_inside
from mambadfuse.detection.decoding import MAX_DETECTIONS

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """The average precision of each class at each threshold.

    Attributes:
        table: (K, 10), in [0, 1], at the IoU thresholds 0.5, 0.55, ..., 0.95; NaN for classes without objects.
        counts: the objects of each class that are not ignored, (K,).
    """

    table: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def at_half(self) -> float:
        """At IoU 0.5, the mean over classes with objects; NaN if there are none."""
        return _mean(self.table[:, 0])

    @property
    def overall(self) -> float:
        """The mean over thresholds and classes with objects, COCO's first number; NaN if there are none."""
        return _mean(self.table)


def average_precision(
    detections: Sequence[Detections], objects: Sequence[Objects], classes: int
) -> AveragePrecision:
    """The average precision over some images.

    >>> boxes = np.array([[0.0, 0.0, 4.0, 4.0], [8.0, 8.0, 12.0, 12.0]])
    >>> truth = Objects(boxes, np.array([0, 0]))
    >>> found = Detections(boxes[:1], np.array([0]), np.array([0.9]))
    >>> average_precision([found], [truth], classes=1).at_half.__round__(3)  # 51 of 101 recalls
    0.505

    Args:
        detections: of each image; the best 100 of each class count.
        objects: of each image, in the same order.
        classes: K.

    Raises:
        ValueError: there are not as many lists of detections as of objects.
    """
    if len(detections) != len(objects):
        raise ValueError(f"{len(detections)} images have detections, {len(objects)} have objects")
    table = np.full((classes, len(THRESHOLDS)), np.nan)
    counts = np.array([sum(((o.labels == k) & ~o.ignored).sum() for o in objects) for k in range(classes)])
    for label in map(int, np.flatnonzero(counts)):
        scores, right, counted = (
            np.concatenate(part, axis=-1) for part in zip(*_matches(detections, objects, label), strict=True)
        )
        order = np.argsort(-scores, kind="stable")
        for level in range(len(THRESHOLDS)):
            hits = right[level, order][counted[level, order]]
            table[label, level] = _area(hits, counts[label])
    return AveragePrecision(table, counts)


def _matches(
    detections: Sequence[Detections], objects: Sequence[Objects], label: int
) -> Iterator[tuple[NDArray[np.float64], Flags, Flags]]:
    """Of each image: scores (N,), and per threshold whether a detection is right and whether it counts, (10, N)."""
    for found, truth in zip(detections, objects, strict=True):
        own, there = found.labels == label, truth.labels == label
        best = np.flatnonzero(own)[np.argsort(-found.scores[own], kind="stable")[:MAX_DETECTIONS]]
        pairs, crowd = (found.boxes[best], truth.boxes[there]), truth.crowd[there]
        overlap = np.where(crowd, share_inside(*pairs), intersection_over_union(*pairs))
        yield found.scores[best], *_assign(overlap, truth.ignored[there], crowd)


def _assign(overlap: NDArray[np.float64], ignored: Flags, crowd: Flags) -> tuple[Flags, Flags]:
    """Detections, best first, take objects: (N, M), (M,) and (M,) -> right and counted, (10, N) each."""
    levels = np.arange(len(THRESHOLDS))
    right = np.zeros((len(THRESHOLDS), len(overlap)), dtype=bool)
    counted = np.ones_like(right)
    free = np.ones((len(THRESHOLDS), len(ignored)), dtype=bool)
    for number in np.flatnonzero((overlap >= THRESHOLDS[0]).any(axis=1)):
        possible = free & (overlap[number] >= THRESHOLDS[:, None])
        # an ignored one only for want of another
        rank = np.where(possible, overlap[number] - 2 * ignored, -np.inf)
        choice = rank.shape[1] - 1 - rank[:, ::-1].argmax(axis=1)  # the last of equals, as COCO's own code
        takes = possible[levels, choice]
        free[levels[takes], choice[takes]] = crowd[choice[takes]]
        right[:, number] = takes & ~ignored[choice]
        counted[:, number] = ~(takes & ignored[choice])
    return right, counted


def _area(hits: Flags, count: int) -> float:
    """The mean precision at 101 recalls, from the detections that count, best first."""
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(right / count, RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(reached, len(hits))].mean())


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else np.nan
