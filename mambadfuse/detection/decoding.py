"""From the maps of the detector to boxes: the peaks of the heat maps."""

import torch
from torch.nn import functional as F

from mambadfuse.detection.boxes import Detections
from mambadfuse.detection.network import Maps
from mambadfuse.detection.targets import STRIDE

MAX_DETECTIONS = 100  # in an image, as COCO counts them
_LOWEST = 0.01  # score


def decode(maps: Maps, max_detections: int = MAX_DETECTIONS) -> list[Detections]:
    """The detections of each image, best first.

    A cell is a peak if none of its eight neighbours is higher in the same heat map. Its score is
    p = sigmoid(logit), its box has the size and offset found in the cell; nothing else suppresses double
    detections.

    >>> logits = torch.full((1, 1, 2, 3), -9.0)
    >>> logits[0, 0, 1, 2] = 2.0
    >>> found = decode(Maps(logits, torch.ones(1, 2, 2, 3), torch.full((1, 2, 2, 3), 0.5)))[0]
    >>> found.boxes.tolist(), found.scores.round(3).tolist()
    ([[8.0, 4.0, 12.0, 8.0]], [0.881])

    Args:
        maps: of a batch.
        max_detections: in an image; those with a score below 0.01 are left out.
    """
    p = maps.logits.detach().sigmoid()
    peaks = p * (F.max_pool2d(p, 3, stride=1, padding=1) == p)
    columns = p.shape[3]
    found = []
    for number, heat in enumerate(peaks.flatten(1)):
        scores, places = heat.topk(min(max_detections, heat.numel()))
        places, scores = places[scores >= _LOWEST], scores[scores >= _LOWEST]
        labels, cells = places // p[0, 0].numel(), places % p[0, 0].numel()
        size, offset = (part[number].detach().flatten(1)[:, cells].T for part in (maps.size, maps.offset))
        point = torch.stack((cells % columns, cells // columns), dim=1) + offset
        boxes = STRIDE * torch.cat((point - size.clamp(min=0) / 2, point + size.clamp(min=0) / 2), dim=1)
        found.append(
            Detections(boxes.double().cpu().numpy(), labels.cpu().numpy(), scores.double().cpu().numpy())
        )
    return found
