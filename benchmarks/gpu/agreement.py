"""Scan, convolution and a whole SSM on every backend against the reference in float64 on the CPU, with all gradients.

In bfloat16 the tokens are rounded first, for the reference too, and the parameters stay float32, as under autocast. An
error is the largest difference in a tensor over the largest magnitude of the one expected.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.gpu.check import Check, Row, each_backend_and_precision, require
from benchmarks.gpu.settings import Settings
from mambadfuse.ops import causal_conv1d, selective_scan, selective_ssm

BOUND = {"float32": 1e-4, "bfloat16": 0.02}
TOKENS = ("u", "delta", "B", "C", "z", "x")

Tensors = dict[str, Tensor]


def scan(tensors: Tensors, backend: str) -> Tensors:
    """y and the last state; of these only y has a gradient on every backend."""
    y, last_state = selective_scan(**tensors, delta_softplus=True, return_last_state=True, backend=backend)
    return {"y": y, "last_state": last_state.detach()}


def convolution(tensors: Tensors, backend: str) -> Tensors:
    return {"y": causal_conv1d(**tensors, activation="silu", backend=backend)}


def ssm(tensors: Tensors, backend: str) -> Tensors:
    """As :func:`scan`."""
    y, last_state = selective_ssm(**tensors, backend=backend)
    return {"y": y, "last_state": last_state.detach()}


def scan_tensors(batch: int, length: int, dim: int, state: int) -> Tensors:
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    return {
        "u": normal(batch, length, dim),
        "delta": normal(batch, length, dim) - 1,
        "A": -0.2 - 4 * torch.rand(dim, state, generator=draw),
        "B": normal(batch, length, state),
        "C": normal(batch, length, state),
        "D": normal(dim),
        "z": normal(batch, length, dim),
        "delta_bias": torch.rand(dim, generator=draw) / 2,
        "initial_state": normal(batch, dim, state),
    }


def convolution_tensors(batch: int, length: int, dim: int, state: int) -> Tensors:
    draw = torch.Generator().manual_seed(1)
    shapes = {"x": (batch, length, dim), "weight": (dim, 4), "bias": (dim,), "initial_state": (batch, 3, dim)}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def ssm_tensors(batch: int, length: int, dim: int, state: int) -> Tensors:
    draw, rank, width = torch.Generator().manual_seed(3), -(-dim // 32), 4

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    return {
        "x": normal(batch, length, dim),
        "z": normal(batch, length, dim),
        "conv": normal(dim, width) / width**0.5,
        "conv_bias": normal(dim) / 2,
        "x_proj": normal(rank + 2 * state, dim) / dim**0.5,
        "dt_proj": normal(dim, rank) / rank**0.5,
        "dt_bias": torch.rand(dim, generator=draw) - 1,
        "A": -0.2 - 4 * torch.rand(dim, state, generator=draw),
        "D": normal(dim),
        "conv_state": normal(batch, width - 1, dim),
        "ssm_state": normal(batch, dim, state),
    }


def results(operation: Callable[[Tensors, str], Tensors], tensors: Tensors, backend: str) -> Tensors:
    """The outputs, and the gradient of a fixed random sum of y with respect to every tensor, on the CPU."""
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}
    outputs = operation(leaves, backend)
    weights = torch.randn(outputs["y"].shape, generator=torch.Generator().manual_seed(2))
    gradients = torch.autograd.grad((weights.to(outputs["y"]) * outputs["y"]).sum(), list(leaves.values()))
    found = outputs | {f"d{name}": g for name, g in zip(leaves, gradients, strict=True)}
    return {name: x.detach().cpu() for name, x in found.items()}


def errors(found: Tensors, expected: Tensors) -> dict[str, float]:
    """The error of each tensor; infinite where not all numbers are finite."""
    return {name: error(found[name].double(), x) for name, x in expected.items()}


def error(found: Tensor, expected: Tensor) -> float:
    largest = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    return float(largest.nan_to_num(math.inf))


def measure(settings: Settings, backend: str, precision: str) -> Row:
    """The largest error over all shapes, the tensor that has it, and whether a second call gives the same bits."""
    require(backend)
    row: Row = {"right": True}
    for operation, draw in ((scan, scan_tensors), (convolution, convolution_tensors), (ssm, ssm_tensors)):
        worst, same = (0.0, ""), True
        for shape in settings.shapes:
            dtype = getattr(torch, precision)
            tensors = {k: x.to(dtype) if k in TOKENS else x for k, x in draw(*shape).items()}
            expected = results(operation, {k: x.double() for k, x in tensors.items()}, "reference")
            there = {k: x.to(settings.device) for k, x in tensors.items()}
            found, again = (results(operation, there, backend) for _ in range(2))
            worst = max(worst, *((size, name) for name, size in errors(found, expected).items()))
            same &= all(torch.equal(x, again[name]) for name, x in found.items())
        name = operation.__name__
        row |= {f"{name}, error": worst[0], f"{name}, worst in": worst[1], f"{name}, same bits again": same}
        row["right"] &= worst[0] <= BOUND[precision]
    return row | {"bound": BOUND[precision]}


CHECK = Check(
    "Scan, convolution and a whole SSM against the reference", True, each_backend_and_precision, measure
)
