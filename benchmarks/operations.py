"""Scan and convolution: every backend, an outside peer, and attention of the same width, over the length."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from mambapy.mamba import MambaBlock, MambaConfig
from torch import Tensor

from benchmarks.machine import median_seconds
from mambadfuse import ops

DIM, STATE, WIDTH = 120, 16, 4  # those of the published network

# Longest sequences; beyond them a contestant takes more memory or time than a benchmark may.
LONGEST = {
    ("reference", "forward"): 2**16,
    ("reference", "both"): 2**14,
    ("torch", "forward"): 2**18,
    ("torch", "both"): 2**16,
    ("numba", "forward"): 2**20,
    ("numba", "both"): 2**20,
    ("mambapy", "forward"): 2**16,
    ("mambapy", "both"): 2**15,
    ("attention", "forward"): 2**15,
    ("attention", "both"): 2**14,
}


def scan_inputs(length: int) -> dict[str, Tensor]:
    """Tensors of one scan as in the network, but with Δ already positive, as the peer expects it."""
    torch.manual_seed(0)
    return {
        "u": torch.randn(1, length, DIM),
        "delta": F.softplus(torch.randn(1, length, DIM) - 3),
        "A": -torch.arange(1.0, STATE + 1).repeat(DIM, 1),
        "B": torch.randn(1, length, STATE),
        "C": torch.randn(1, length, STATE),
        "D": torch.ones(DIM),
    }


def contestants() -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
    """Name -> a function from the scan's tensors to its output."""
    peer = MambaBlock(MambaConfig(d_model=DIM // 2, n_layers=1))
    heads = 4

    def attention(x: dict[str, Tensor]) -> Tensor:
        q = x["u"].unflatten(2, (heads, -1)).transpose(1, 2)  # (1, heads, L, DIM / heads)
        return F.scaled_dot_product_attention(q, q, q, is_causal=True)

    def scan(backend: str) -> Callable[[dict[str, Tensor]], Tensor]:
        return lambda x: ops.selective_scan(**x, backend=backend)

    return {
        **{name: scan(name) for name in ("reference", "torch", "numba")},
        "mambapy": lambda x: peer.selective_scan(*(x[k] for k in ("u", "delta", "A", "B", "C", "D"))),
        "attention": attention,
    }


def scan_seconds(lengths: list[int], names: list[str], patience: float) -> list[dict[str, object]]:
    """One row for each contestant, length and direction."""
    rows = []
    for length in lengths:
        inputs = scan_inputs(length)
        for name, function in contestants().items():
            if name not in names:
                continue
            for direction in ("forward", "both"):
                if length > LONGEST[name, direction]:
                    continue
                timed = _forward if direction == "forward" else _forward_and_backward
                seconds, runs = median_seconds(partial(timed, function, inputs), patience=patience)
                rows.append({"operation": "scan", "name": name, "length": length, "direction": direction,
                             "seconds": seconds, "median_of": runs})  # fmt: skip
                print(f"  scan {name:10} {direction:8} L = {length:8}: {1e3 * seconds:10.2f} ms", flush=True)
    return rows


def conv_seconds(lengths: list[int], patience: float) -> list[dict[str, object]]:
    """The causal convolution with silu, and the same through ``torch.nn.functional.conv1d``."""

    def library(x: dict[str, Tensor]) -> Tensor:
        y = F.conv1d(x["x"].transpose(1, 2), x["weight"][:, None], x["bias"], padding=WIDTH - 1, groups=DIM)
        return F.silu(y[..., : x["x"].shape[1]]).transpose(1, 2)

    rows = []
    for length in lengths:
        torch.manual_seed(0)
        inputs = {
            "x": torch.randn(1, length, DIM),
            "weight": torch.randn(DIM, WIDTH),
            "bias": torch.randn(DIM),
        }
        functions = {
            "torch": lambda x: ops.causal_conv1d(**x, activation="silu", backend="torch"),
            "numba": lambda x: ops.causal_conv1d(**x, activation="silu", backend="numba"),
            "conv1d": library,
        }
        for name, function in functions.items():
            for direction, timed in (("forward", _forward), ("both", _forward_and_backward)):
                seconds, runs = median_seconds(partial(timed, function, inputs), patience=patience)
                rows.append({"operation": "conv", "name": name, "length": length, "direction": direction,
                             "seconds": seconds, "median_of": runs})  # fmt: skip
                print(f"  conv {name:10} {direction:8} L = {length:8}: {1e3 * seconds:10.2f} ms", flush=True)
    return rows


def _forward(function: Callable[[dict[str, Tensor]], Tensor], inputs: dict[str, Tensor]) -> None:
    with torch.no_grad():
        function(inputs)


def _forward_and_backward(function: Callable[[dict[str, Tensor]], Tensor], inputs: dict[str, Tensor]) -> None:
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    function(leaves).sum().backward()
