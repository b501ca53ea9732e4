"""The loss of the detector (Zhou et al. 2019, equations 1 to 4)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mambadfuse.detection.network import Maps
from mambadfuse.detection.targets import Targets

SIZE_WEIGHT = 0.2  # of the size in cells


def detection_loss(maps: Maps, aim: Targets) -> Tensor:
    """L = L_heat + 0.2 L_size + L_offset, a number; both L_size and L_offset are mean absolute errors over the centres.

    >>> nowhere = (torch.zeros(1, n, 2, 2, dtype=torch.bool) for n in (1, 3))
    >>> aim = Targets(*(torch.zeros(1, n, 2, 2) for n in (3, 2, 2)), *nowhere)
    >>> sure = Maps(torch.full((1, 3, 2, 2), -30.0), aim.size, aim.offset)
    >>> round(detection_loss(sure, aim).item(), 6)
    0.0
    """
    count = aim.centre.sum().clamp(min=1)
    size = ((maps.size - aim.size).abs() * aim.centre).sum() / count
    offset = ((maps.offset - aim.offset).abs() * aim.centre).sum() / count
    return focal_loss(maps.logits, aim.heat, aim.ignored) + SIZE_WEIGHT * size + offset


def focal_loss(logits: Tensor, heat: Tensor, ignored: Tensor | None = None) -> Tensor:
    """The penalty-reduced focal loss, with p = sigmoid(logits), over N centres:

        L = −1/N Σ (1 − p)² log p                where heat = 1
            −1/N Σ (1 − heat)⁴ p² log(1 − p)     elsewhere, but not where a cell is ignored

    Cells that are already right count little, as do cells near a centre. Without a centre, N is 1.

    >>> round(focal_loss(torch.zeros(1), torch.ones(1)).item(), 4)  # log(2) / 4
    0.1733

    Args:
        logits: any shape.
        heat: the same, in [0, 1].
        ignored: the same, bool: cells that count only if they are centres; None for none.
    """
    p = logits.sigmoid()
    centre = heat == 1
    at_centres = (1 - p) ** 2 * F.logsigmoid(logits)
    elsewhere = (1 - heat) ** 4 * p**2 * F.logsigmoid(-logits)
    if ignored is not None:
        elsewhere = elsewhere.masked_fill(ignored, 0)
    return -torch.where(centre, at_centres, elsewhere).sum() / centre.sum().clamp(min=1)
