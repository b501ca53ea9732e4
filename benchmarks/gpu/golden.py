"""The published network on known answers: its output, loss and gradients in float64, as ``tests/golden`` holds them.

Those numbers come from other code, so that an error which all backends share shows here. The recipe for weights and
images is in the file itself. With these weights rounding errors grow a million times: in float32 the output would be
off by some per cent on every backend. So only those that take float64 are compared.
"""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.check import Case, Check, Row
from benchmarks.gpu.settings import Settings
from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.published_names import published_name
from mambadfuse.ops import use_backend

GOLDEN = json.loads((Path(__file__).parents[2] / "tests/golden/network.json").read_text(encoding="utf-8"))
BOUND = 1e-6


def cases(settings: Settings) -> Iterable[Case]:
    return [{"backend": "reference"}, {"backend": "torch"}]


def _draw(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def golden_image(name: str) -> Tensor:
    """Image "A" or "B", (1, 1, 12, 18), in float64."""
    return torch.from_numpy(_draw(name).random((1, 1, 12, 18)))


def golden_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One parameter, by its published name."""
    v = _draw(name).standard_normal(shape)
    leaf = name.rsplit(".", 1)[-1]
    if leaf in ("A_log", "A_b_log"):
        return np.log(np.arange(1, 17)) + 0.25 * v
    if leaf in ("D", "D_b", "D_c"):
        return 1 + 0.3 * v
    if "norm" in name:
        return 1 + 0.25 * v if leaf == "weight" else 0.2 * v
    if leaf == "bias":
        return -2 + 0.5 * v if "dt_proj" in name else 0.1 * v
    return 1.3 * v / np.sqrt(np.prod(shape[1:]))


def golden_network() -> MambaDFuse:
    """The published network with these parameters, in float64."""
    model = MambaDFuse(MambaDFuseConfig.published()).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(golden_value(published_name(name), parameter.shape)))
    return model


def dot_cos(x: Tensor) -> Tensor:
    """Σ_i x_i cos(i) over all numbers, in float64: one number that depends on all of them and on their order."""
    x = x.detach().double().cpu().flatten()
    return x @ torch.arange(len(x), dtype=torch.float64).cos()


def measure(settings: Settings, backend: str) -> Row:
    """In float64: the error of the output over its largest number, of the loss, of each gradient over its norm."""
    model = golden_network().to(settings.device)
    a, b = (golden_image(name).to(settings.device) for name in "AB")
    with use_backend(backend):
        fused = model(a, b)
        loss = ((fused - (a + b) / 2) ** 2).mean()
        loss.backward()
    output = torch.tensor(GOLDEN["output"], dtype=torch.float64)
    wanted = GOLDEN["gradient_check"]
    gradients = {published_name(name): p.grad for name, p in model.named_parameters()}
    errors = {
        "output, error": float((fused[0, 0].detach().cpu() - output).abs().max() / output.abs().max()),
        "loss, error": abs(loss.item() / wanted["loss_value"] - 1),
        "gradients, error": max(
            max(
                abs(gradients[name].norm().item() - want["l2"]),
                abs(dot_cos(gradients[name]).item() - want["dot_cos"]),
            )
            / want["l2"]
            for name, want in wanted["grads"].items()
        ),
    }
    return {"right": all(error <= BOUND for error in errors.values()), **errors, "bound": BOUND}


CHECK = Check("The published network against golden values", True, cases, measure)
