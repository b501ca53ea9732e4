"""One training step on four crops of 64 x 64: seconds, and three times the arithmetic limit of the forward pass."""

import torch

from benchmarks.machine import matrix_rate, median_seconds
from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.losses import FusionLoss
from mambadfuse.models.flops import forward_flops

BATCH, CROP = 4, 64


def step_seconds(preset: str, patience: float) -> dict[str, object]:
    torch.manual_seed(0)
    config = getattr(MambaDFuseConfig, preset)()
    model, loss = MambaDFuse(config), FusionLoss.vif()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    a, b = torch.rand(2, BATCH, 1, CROP, CROP)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(model(a, b), a, b).total.backward()
        optimiser.step()

    step()  # compiles
    seconds, runs = median_seconds(step, patience=patience)
    limit = 3 * BATCH * forward_flops(config, CROP, CROP)["total"] / matrix_rate()
    print(
        f"  {preset:10} {seconds:6.2f} s, {seconds / limit:.2f} x three times the forward's limit", flush=True
    )
    return {
        "preset": preset,
        "seconds": seconds,
        "median_of": runs,
        "arithmetic_limit": limit,
        "times_limit": seconds / limit,
    }
