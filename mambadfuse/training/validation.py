"""Validation: whole images fused with the averaged weights, their loss and eight scores, and a contact sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from mambadfuse.data.images import write_image
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.losses import FusionLossConfig, build_loss
from mambadfuse.metrics import EIGHT, evaluate
from mambadfuse.models.checkpoints import Network
from mambadfuse.plotting.contact_sheet import Row, contact_sheet

_MIN_SIDE = 41  # pixels, for VIF
_SHOWN = 4  # pairs on the contact sheet


def require_large_enough(pairs: Sequence[TrainingPair]) -> None:
    """Check that all pairs can be scored.

    Raises:
        ValueError: an image is too small for the scores.
    """
    for pair in pairs:
        if min(pair.shape) < _MIN_SIDE:
            height, width = pair.shape
            raise ValueError(
                f"{pair.name}: is {width}x{height}, validation scores need at least {_MIN_SIDE} pixels per side"
            )


def validate(
    model: Network,
    pairs: Sequence[TrainingPair],
    loss: FusionLossConfig,
    accelerator: Accelerator,
    sheet: Path,
) -> dict[str, float]:
    """Score all pairs, divided among the processes.

    Args:
        model: in evaluation mode.
        pairs: each fused whole.
        loss: settings of the loss.
        accelerator: of the run.
        sheet: a PNG file to write, showing a | b | fused for the first few pairs. The fused image of the first pair
            is also written alone, to :func:`fused_beside` the sheet.

    Returns:
        The mean over all pairs of each loss term and each of the eight scores ("literature" convention).
    """
    compute_loss = build_loss(loss).to(accelerator.device)
    own = range(accelerator.process_index, len(pairs), accelerator.num_processes)
    scores, rows = [], []
    for number in own:
        terms, row = _fuse(model, pairs[number], compute_loss, accelerator.device)
        scores.append(terms | evaluate(row.fused, row.a, row.b, metrics=EIGHT))
        rows += [(number, row)] if number < _SHOWN else []
    if accelerator.num_processes > 1:
        scores, rows = gather_object(scores), gather_object(rows)
    if accelerator.is_main_process:
        shown = [row for _, row in sorted(rows, key=lambda numbered: numbered[0])]
        contact_sheet(shown, sheet)
        write_image(fused_beside(sheet), shown[0].fused)
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def fused_beside(sheet: Path) -> Path:
    """The file with the fused image of the first pair on a sheet of :func:`validate`."""
    return sheet.with_name(f"{sheet.stem}_fused.png")


@torch.no_grad()
def _fuse(
    model: Network, pair: TrainingPair, loss: nn.Module, device: torch.device
) -> tuple[dict[str, float], Row]:
    """The loss terms of one pair, and its images as uint8."""
    pictures = pair.pictures()
    a, b = (torch.from_numpy(x / np.float32(255))[None, None].to(device) for x in pictures)  # (1, 1, H, W)
    fused = model(a, b)
    terms = {name: float(value) for name, value in loss(fused, a, b)._asdict().items()}
    pixels = torch.round(255 * postprocess(fused, model.contrast)[0, 0]).to(torch.uint8).cpu().numpy()
    return terms, Row(pair.name, *pictures, pixels)
