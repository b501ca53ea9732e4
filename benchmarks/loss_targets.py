"""What a loss asks for, without a network: the pixels of the fused image themselves are optimised, then scored.

    python -m benchmarks.loss_targets --a FOLDER --b FOLDER

A trained network is a smooth compromise over all its images; this is the image that minimises the loss. It lets a
loss be judged in minutes, where training a network for each would take hours. The images are centre crops of
160 x 220 pixels of every fifth pair.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mambadfuse as mdf
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.limited_range import read_luma
from mambadfuse.losses import FusionLoss, FusionLossConfig

HEIGHT, WIDTH, STEPS, RATE = 160, 220, 180, 0.02

_BOTH = FusionLossConfig(ssim_weighting="local", edges="direction")
_PLAIN = replace(FusionLossConfig.local(), intensity=40.0, robust_scale=math.inf)

LOSSES = {
    "published": FusionLossConfig.vif(),
    "published, gradient term doubled": FusionLossConfig(gradient=40.0),
    "direction of edges": FusionLossConfig(edges="direction"),
    "local structure": FusionLossConfig(ssim_weighting="local"),
    "both": _BOTH,
    "both, 30 / 20 / 50": replace(_BOTH, intensity=30.0, structure=50.0),
    "both, 30 / 20 / 50, range 1/3": replace(_BOTH, intensity=30.0, structure=50.0, ssim_range=1 / 3),
    "both, 30 / 20 / 100, range 1/3": replace(_BOTH, intensity=30.0, structure=100.0, ssim_range=1 / 3),
    "both, 30 / 20 / 100, range 1/10": replace(_BOTH, intensity=30.0, structure=100.0, ssim_range=1 / 10),
    "40 / 45 / 150, white 1": replace(_PLAIN, white=1.0, detail=1.0),
    "40 / 45 / 150, white 1.02": replace(_PLAIN, detail=1.0),
    "40 / 45 / 150, white 1.02, detail 0.7": replace(_PLAIN, detail=0.7),
    "40 / 45 / 150, white 1.02, detail 0.8": _PLAIN,
    "100 / 45 / 150, the same, robust 0.05": replace(
        FusionLossConfig.local(), intensity=100.0, robust_scale=0.05
    ),
    "FusionLoss.local(): 200 / 45 / 150, robust 0.02": FusionLossConfig.local(),
}


def optimal_image(loss: FusionLoss, a: Tensor, b: Tensor) -> Tensor:
    """The image that Adam finds to minimise the loss, started halfway between mean and maximum; all (1, 1, H, W)."""
    fused = ((a + b) / 4 + torch.maximum(a, b) / 2).requires_grad_()
    optimiser = torch.optim.Adam([fused], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS, eta_min=1e-4)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(fused, a, b).total.backward()
        optimiser.step()
        schedule.step()
    return fused.detach().clamp(0, 1)


def centre_crop(image: np.ndarray) -> np.ndarray:
    top, left = ((size - wanted) // 2 for size, wanted in zip(image.shape, (HEIGHT, WIDTH), strict=True))
    return image[max(top, 0) :, max(left, 0) :][:HEIGHT, :WIDTH]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--a", type=Path, required=True, help="infrared or MRI images")
    parser.add_argument("--b", type=Path, required=True, help="the other side, paired by name")
    options = parser.parse_args()
    pairs = find_pairs(options.a, options.b).pairs[::5]
    images = [(centre_crop(read_luma(pair.a)), centre_crop(read_luma(pair.b))) for pair in pairs]
    print(f"{len(images)} pairs\n\n| loss | {' | '.join(mdf.metrics.EIGHT)} |\n|---|{'---|' * 8}", flush=True)
    for name, config in LOSSES.items():
        loss = FusionLoss(config)
        rows = []
        for a, b in images:
            x, y = (torch.from_numpy(p)[None, None].float() / 255 for p in (a, b))
            fused = (optimal_image(loss, x, y)[0, 0] * 255).round().byte().numpy()
            rows.append(list(mdf.evaluate(fused, a, b, metrics=mdf.metrics.EIGHT).values()))
        print(f"| {name} | {' | '.join(f'{score:.3f}' for score in np.mean(rows, axis=0))} |", flush=True)


if __name__ == "__main__":
    main()
