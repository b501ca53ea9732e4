"""What a detector finds in images, and how good that is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mambadfuse.detection.average_precision import average_precision
from mambadfuse.detection.boxes import Detections, Flags, Objects
from mambadfuse.detection.decoding import decode
from mambadfuse.detection.network import Detector

_BATCH = 32  # images


def detect(detector: Detector, pixels: NDArray[np.uint8]) -> list[Detections]:
    """The detections in each image, uint8, (N, C, H, W); best first."""
    device = next(detector.parameters()).device
    found: list[Detections] = []
    with torch.inference_mode():
        for first in range(0, len(pixels), _BATCH):
            batch = torch.from_numpy(pixels[first : first + _BATCH]).to(device)
            found += decode(detector(batch.float() / 255))
    return found


def detection_scores(
    detections: Sequence[Detections],
    objects: Sequence[Objects],
    classes: Sequence[str],
    groups: Mapping[str, Sequence[Flags]] | None = None,
) -> dict[str, float]:
    """Average precision under names: all of it, of each class, and of each group of objects.

    "AP50" is at IoU 0.5, "AP" the mean over 0.5, 0.55, ..., 0.95; both are means over classes. "AP50 person" is that of
    one class. For "AP50 night", that of a group, all other objects are ignored. NaN where there are no objects.

    >>> truth = Objects(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0]))
    >>> found = Detections(truth.boxes, truth.labels, np.array([0.9]))
    >>> detection_scores([found], [truth], ["person"])
    {'AP50': 1.0, 'AP': 1.0, 'AP50 person': 1.0}

    Args:
        detections: of each image.
        objects: of each image.
        classes: their names.
        groups: for each image, which of its objects belong to the group, (N,).
    """
    whole = average_precision(detections, objects, len(classes))
    scores = {"AP50": whole.at_half, "AP": whole.overall}
    scores |= {f"AP50 {name}": float(whole.table[k, 0]) for k, name in enumerate(classes)}
    for name, members in (groups or {}).items():
        part = [replace(one, ignored=one.ignored | ~own) for one, own in zip(objects, members, strict=True)]
        scores[f"AP50 {name}"] = average_precision(detections, part, len(classes)).at_half
    return scores
