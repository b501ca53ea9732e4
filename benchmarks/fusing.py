"""Milliseconds of every way of fusing that the kit has, on one thread, in one run.

Networks: `ivf`, the two fast ones, and a plain CNN of three layers at full resolution that takes as many operations as
`ivf-fast`, for the cost of an operation depends on the layout of the network.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.machine import median_seconds
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.models.checkpoints import load
from mambadfuse.models.config import FastFusionConfig
from mambadfuse.models.flops import fast_flops, total_flops

NETWORKS = ("ivf", "ivf-fast", "ivf-tiny")


class PlainCNN(nn.Module):
    """Three 3x3 convolutions 2 -> C -> C -> 1 with ReLU between them, C chosen for the operations of ``ivf-fast``."""

    def __init__(self) -> None:
        super().__init__()
        self.width = _width(fast_flops(FastFusionConfig.fast(), 64, 64) / 64**2)
        self.name = f"plain CNN, C = {self.width}"
        self.layers = nn.Sequential(
            nn.Conv2d(2, self.width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.width, self.width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.width, 1, 3, padding=1),
        )

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([a, b], dim=1))


def _width(operations: float) -> int:
    """The width C at which 18 (C² + 3 C) operations a pixel are as many as these."""
    return round((-3 + math.sqrt(9 + 4 * operations / 18)) / 2)


def measure(height: int = 480, width: int = 640, patience: float = 10.0) -> list[dict[str, object]]:
    """The median seconds of one forward pass of each on one thread, and the operations of the networks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    a, b = (torch.from_numpy(side)[None, None] for side in pixels)
    plain = PlainCNN().eval()
    networks = {name: load(name) for name in NETWORKS}
    operations = {name: total_flops(network.config, height, width) for name, network in networks.items()}
    operations[plain.name] = 18 * (plain.width**2 + 3 * plain.width) * height * width
    ways: dict[str, Callable[[], object]] = {
        name: partial(network, a, b) for name, network in {**networks, plain.name: plain}.items()
    }
    ways |= {name: partial(fuse, *pixels) for name, fuse in BASELINES.items()}
    try:
        with torch.inference_mode():
            return [
                {
                    "name": name,
                    "seconds": median_seconds(fuse, 9, patience)[0],
                    "operations": operations.get(name),
                }
                for name, fuse in ways.items()
            ]
    finally:
        torch.set_num_threads(threads)
