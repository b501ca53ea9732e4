"""What a loss asks for, without a network: the pixels of the fused image themselves are optimised, then judged.

    python -m benchmarks.loss_targets --a FOLDER --b FOLDER

A trained network is a smooth compromise over all its images; this is the image that minimises the loss. It lets a
loss be judged in minutes, by scores and by the fault meter, where training a network for each would take hours. The
images are centre crops of 160 x 220 pixels of every fourth pair, and two made-up pairs: a sign in a flat sky, and two
people in front of headlights.

The image is a sum of four grids, from one value per pixel to one per 64 x 64 pixels: single pixels alone would never
agree to brighten a whole sky.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import mambadfuse as mdf
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.limited_range import read_luma
from mambadfuse.evaluation import faults
from mambadfuse.losses import FusionLoss, FusionLossConfig

HEIGHT, WIDTH, STEPS, RATE = 160, 220, 120, 0.02
GRIDS = (1, 4, 16, 64)  # pixels per value

_LOCAL = FusionLossConfig.local()

LOSSES = {
    "published": FusionLossConfig.vif(),
    "direction of edges": FusionLossConfig(edges="direction"),
    "local structure": FusionLossConfig(ssim_weighting="local"),
    "FusionLoss.local()": _LOCAL,
    "all terms in flat regions": replace(_LOCAL, flat="all"),
    "without the range": replace(_LOCAL, overshoot=0.0),
    "without glare": replace(_LOCAL, glare=0.0),
    "robust scale 0.02": replace(_LOCAL, robust_scale=0.02),
    "intensity 200": replace(_LOCAL, intensity=200.0),
    "gradient 30": replace(_LOCAL, gradient=30.0),
    "structure 100": replace(_LOCAL, structure=100.0),
}


def optimal_image(loss: FusionLoss, a: Tensor, b: Tensor) -> Tensor:
    """The image that Adam finds to minimise the loss, started halfway between mean and maximum; all (1, 1, H, W)."""
    start = (a + b) / 4 + torch.maximum(a, b) / 2
    size = start.shape[-2:]
    grids = [torch.zeros(1, 1, *(-(-side // step) for side in size)).requires_grad_() for step in GRIDS]
    optimiser = torch.optim.Adam(grids, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS, eta_min=1e-4)

    def image() -> Tensor:
        return start + sum(F.interpolate(grid, size, mode="bilinear") for grid in grids)

    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(image(), a, b).total.backward()
        optimiser.step()
        schedule.step()
    return image().detach().clamp(0, 1)


def sign_in_the_sky() -> tuple[np.ndarray, np.ndarray]:
    """A flat sky, dark in infrared and bright in visible light, with a warm sign in it, over textured ground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    ground = y >= 100
    sign = (abs(y - 75) < 15) & (abs(x - 110) < 70)
    texture = 40 * np.sin(x / 9 + np.sin(y / 7)) + rng.normal(0, 6, y.shape)
    infrared = np.where(ground, 110 + 0.5 * texture, 8 + rng.normal(0, 0.7, y.shape))
    visible = np.where(ground, 120 + np.roll(texture, 9, 1), 180 - y / 6 + rng.normal(0, 0.7, y.shape))
    return tuple(np.where(sign, 170, z).clip(0, 255).astype(np.uint8) for z in (infrared, visible))


def people_in_glare() -> tuple[np.ndarray, np.ndarray]:
    """Two warm people in front of headlights that saturate the visible camera."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    infrared = 90 + 10 * np.sin(x / 40)
    for centre in (90, 130):
        infrared[(abs(y - 80) < 22) & (abs(x - centre) < 6)] = 215
    visible = 30 + 500 * np.exp(-((y - 80) ** 2 + (x - 110) ** 2) / 2 / 45**2)
    return tuple(z.clip(0, 255).astype(np.uint8) for z in (infrared, visible))


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
    pairs = find_pairs(options.a, options.b).pairs[::4]
    images = [(centre_crop(read_luma(pair.a)), centre_crop(read_luma(pair.b))) for pair in pairs]
    images += [sign_in_the_sky(), people_in_glare()]
    columns = [*mdf.metrics.EIGHT, *faults.FAULTS, "sky: halo", "glare: target"]
    print(f"{len(pairs)} pairs\n\n| loss | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for name, config in LOSSES.items():
        fused = [(_fuse(FusionLoss(config), a, b), a, b) for a, b in images]
        scores = np.mean(
            [list(mdf.evaluate(*one, metrics=mdf.metrics.EIGHT).values()) for one in fused[:-2]], axis=0
        )
        found = [faults.measure(*one) for one in fused]
        of_pairs = np.nanmean([list(one.values()) for one in found[:-2]], axis=0)
        row = [*scores, *of_pairs, found[-2]["halo"], found[-1]["target"]]
        print(f"| {name} | {' | '.join(f'{number:.3f}' for number in row)} |", flush=True)


def _fuse(loss: FusionLoss, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = (torch.from_numpy(side)[None, None].float() / 255 for side in (a, b))
    return (optimal_image(loss, x, y)[0, 0] * 255).round().byte().numpy()


if __name__ == "__main__":
    main()
