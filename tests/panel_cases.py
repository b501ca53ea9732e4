"""Every panel, with small images and networks."""

import io
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from training_cases import toy_pairs

import mambadfuse as mdf
from mambadfuse.widgets import (
    AblationLab,
    BlindPreference,
    BranchExplorer,
    ExchangeExplorer,
    FusionExplorer,
    ScanExplorer,
)

torch.manual_seed(0)
CONFIG = mdf.MambaDFuseConfig(
    dim=8, state=2, extraction_depth=1, exchange_depth=2, deep_depth=2, reconstruction_depth=1
)
TINY = {"tiny": mdf.MambaDFuse(CONFIG).eval()}
ROWS = """
default: {question: "What is all else compared with?", changes: {}}
gate-shared: {question: "Is one gate enough?", changes: {model.gate: shared}}
exchange-off: {question: "What does the exchange bring?", changes: {model.exchange_period: 0}}
"""
LONG = ("steps=100000", "batch=1", "crop_sizes=8x16", "model=lite", "model.dim=4", "model.state=2")


def ablation_lab(folder: Path) -> AblationLab:
    table = folder / "rows.yaml"
    table.write_text(ROWS, encoding="utf-8")
    return AblationLab([toy_pairs()], toy_pairs(1, (41, 44)), out=folder, table=table, settings=LONG)


def blind_preference(folder: Path, seed: int = 0) -> BlindPreference:
    """Three methods that fused two pairs."""
    for number, name in enumerate(("ir", "vi", "ours", "theirs", "mean")):
        (folder / name).mkdir(exist_ok=True)
        for picture in range(2):
            (folder / name / f"{picture}.png").write_bytes(png(48, 44, 2 * number + picture))
    fused = [folder / name for name in ("ours", "theirs", "mean")]
    return BlindPreference(fused, folder / "ir", folder / "vi", out=folder / "answers.jsonl", seed=seed)


PANELS = {
    "scan": lambda folder: ScanExplorer(),
    "fusion": lambda folder: FusionExplorer(TINY, side=48),
    "exchange": lambda folder: ExchangeExplorer(TINY, side=16),
    "branches": lambda folder: BranchExplorer(TINY, side=16),
    "lab": ablation_lab,
    "preference": blind_preference,
}


def png(width: int, height: int, seed: int = 0) -> bytes:
    """An image file of noise."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def workers() -> list[psutil.Process]:
    """The running processes of the lab."""
    family = psutil.Process().children()
    return [one for one in family if one.is_running() and "mambadfuse.ablation.worker" in one.cmdline()]
