"""Validation: whole pictures fused with the averaged weights, the loss and the eight scores of them, and a sheet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from mambadfuse.data.images import write_image
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.fusion.postprocess import postprocess
from mambadfuse.losses.fusion_loss import FusionLoss
from mambadfuse.metrics import EIGHT, evaluate
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.plotting.contact_sheet import Row, contact_sheet

SMALLEST = 41  # pixels a side, for VIF
SHOWN = 4  # pairs on the sheet


def require_large_enough(pairs: Sequence[TrainingPair]) -> None:
    """Nothing, if all pairs can be scored.

    Raises:
        ValueError: a picture is too small for the scores.
    """
    for pair in pairs:
        if min(pair.shape) < SMALLEST:
            height, width = pair.shape
            raise ValueError(
                f"{pair.name}: is {width}x{height}, the scores of validation need {SMALLEST} pixels a side"
            )


def validate(
    model: MambaDFuse,
    pairs: Sequence[TrainingPair],
    loss: FusionLoss,
    accelerator: Accelerator,
    sheet: Path,
) -> dict[str, float]:
    """The means of the loss terms and of the eight scores ("literature") over all pairs, shared among processes.

    Args:
        model: to be judged.
        pairs: each fused whole.
        loss: whose terms are computed, too.
        accelerator: of the run.
        sheet: a PNG file to be drawn, a | b | fused for the first few pairs. What was made of the first one is
            also written alone, as :func:`fused_beside` the sheet.
    """
    own = range(accelerator.process_index, len(pairs), accelerator.num_processes)
    scores, rows = [], []
    for number in own:
        terms, row = _fuse(model, pairs[number], loss, accelerator.device)
        scores.append(terms | evaluate(row.fused, row.a, row.b, metrics=EIGHT))
        rows += [(number, row)] if number < SHOWN else []
    if accelerator.num_processes > 1:
        scores, rows = gather_object(scores), gather_object(rows)
    if accelerator.is_main_process:
        shown = [row for _, row in sorted(rows, key=lambda numbered: numbered[0])]
        contact_sheet(shown, sheet)
        write_image(fused_beside(sheet), shown[0].fused)
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def fused_beside(sheet: Path) -> Path:
    """The file with the fused picture of the first pair on a sheet of :func:`validate`."""
    return sheet.with_name(f"{sheet.stem}_fused.png")


@torch.no_grad()
def _fuse(
    model: MambaDFuse, pair: TrainingPair, loss: FusionLoss, device: torch.device
) -> tuple[dict[str, float], Row]:
    """The loss terms of one pair, and its pictures as uint8."""
    pictures = pair.pictures()
    a, b = (torch.from_numpy(x / np.float32(255))[None, None].to(device) for x in pictures)  # (1, 1, H, W)
    fused = model(a, b)
    terms = {name: float(value) for name, value in loss(fused, a, b)._asdict().items()}
    pixels = torch.round(255 * postprocess(fused, model.contrast)[0, 0]).to(torch.uint8).cpu().numpy()
    return terms, Row(pair.name, *pictures, pixels)
