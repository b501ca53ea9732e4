"""The floating-point operations of a forward pass by stage, from the configuration alone.

A multiply-add counts 2. The scan counts 9 for each state and token: Δ A, its exponential (counted 1), Δ u B (2),
the recurrence (2), the sum over states (2), and its share of softplus, skip and gate (1). Norms and activations
are left out. A component of your own counts its own, with a static method ``flops(config, height, width)`` for one
call on a map of that size; without it, PyTorch's counter counts its matrix products, convolutions and attention,
and nothing else. Divided by the measured rate of a large matrix product, this gives the time that the
arithmetic alone would take, a lower bound with which the benchmarks compare.

Letters: C model width, E inner width, N state size, R rank of the step-size projection, W convolution width.
"""

import math

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mambadfuse import ops
from mambadfuse.components import is_component, named_component
from mambadfuse.models.config import FastFusionConfig, MambaDFuseConfig, NetworkConfig

SCAN = 9  # operations for each state and token


class UnknownFlopsError(ValueError):
    """A component does not say how many operations it takes, and PyTorch's counter cannot tell."""


def mixer_flops(config: MambaDFuseConfig, height: int = 1, width: int = 1) -> int:
    """Operations of one mixer over a map, a single token by default.

    For each token 2 E W + 2 E (R + 2 N) + 2 R E + 9 E N, twice that if bidirectional; for "convolution" 2 · 49 E.

    Raises:
        UnknownFlopsError: those of a mixer of your own are unknown.
    """
    if is_component(config.mixer):
        return _own_flops(config.mixer, config, (config.inner,), height, width)
    inner, rank = config.inner, config.rank
    if config.mixer == "convolution":
        return 2 * 49 * inner * height * width
    parameters = 2 * inner * (rank + 2 * config.state) + 2 * rank * inner
    scan = 2 * inner * config.conv_width + parameters + SCAN * inner * config.state
    return (2 * scan if config.mixer == "bidirectional" else scan) * height * width


def branch_flops(config: MambaDFuseConfig, gated: bool = True, height: int = 1, width: int = 1) -> int:
    """Operations of one branch over a map: in_proj, 2 C (2 E or E) for each token, and mixer, without out_proj."""
    projection = 2 * config.dim * (2 * config.inner if gated else config.inner)
    return projection * height * width + mixer_flops(config, height, width)


def mamba_flops(config: MambaDFuseConfig, height: int = 1, width: int = 1) -> int:
    """Operations of one Mamba unit over a map: its branch and out_proj, 2 E C for each token."""
    return branch_flops(config, True, height, width) + 2 * config.inner * config.dim * height * width


def m3_flops(config: MambaDFuseConfig, height: int = 1, width: int = 1) -> int:
    """Operations of one M3 block over a map: three branches, one out_proj, the depthwise convolution."""
    guides = 2 * branch_flops(config, config.gate == "own", height, width)
    conv = 2 * 9 * config.dim * height * width if config.deep_conv else 0
    return mamba_flops(config, height, width) + guides + conv


def fusion_block_flops(config: MambaDFuseConfig, height: int = 1, width: int = 1) -> int:
    """Operations of one block of deep fusion over a map.

    Raises:
        UnknownFlopsError: those of a block of your own are unknown.
    """
    if is_component(config.fusion_block):
        return _own_flops(config.fusion_block, config, (config.dim,) * 3, height, width)
    return m3_flops(config, height, width)


def fast_flops(config: FastFusionConfig, height: int, width: int) -> int:
    """Operations of one forward pass of a fast network over one pair of images: its convolutions."""
    tokens = math.ceil(height / config.patch) * math.ceil(width / config.patch)
    ends = 2 * conv_flops(2 * config.patch**2, config.dim)
    return tokens * (ends + 2 * config.depth * conv_flops(config.dim, config.dim))


def total_flops(config: NetworkConfig, height: int, width: int) -> int | None:
    """Operations of one forward pass; None if a component of your own does not report its operations."""
    if isinstance(config, FastFusionConfig):
        return fast_flops(config, height, width)
    try:
        return forward_flops(config, height, width)["total"]
    except UnknownFlopsError:
        return None


def _own_flops(name: str, config: MambaDFuseConfig, widths: tuple[int, ...], height: int, width: int) -> int:
    """What the component says, or PyTorch counts, for tokens (1, H W, channels) of each of these widths."""
    made = named_component(name, nn.Module)
    if hasattr(made, "flops"):
        return int(made.flops(config, height, width))
    try:
        with torch.device("meta"), torch.no_grad(), ops.use_backend("torch"):
            module, tokens = made(config), [torch.empty(1, height * width, c) for c in widths]
            with FlopCounterMode(display=False) as counter:
                module(*tokens, height=height, **({"caches": None} if getattr(made, "causal", False) else {}))
            counted = counter.get_total_flops()
    except Exception as error:  # whatever it is, without values it cannot be counted
        raise _unknown(name) from error
    if not counted:
        raise _unknown(name)
    return int(counted)


def _unknown(name: str) -> UnknownFlopsError:
    return UnknownFlopsError(
        f"{name}: its operations are unknown, PyTorch counts none: give it a static method flops(config, height, width)"
    )


def conv_flops(inputs: int, outputs: int) -> int:
    """Operations for one pixel in a 3x3 convolution."""
    return 2 * 9 * inputs * outputs


def forward_flops(config: MambaDFuseConfig, height: int, width: int) -> dict[str, int]:
    """Operations of one forward pass over one pair of images, by stage, and their "total".

    Raises:
        UnknownFlopsError: those of a component of your own are unknown.
    """
    c, pixels = config.dim, height * width
    mixed = 2 * c if config.shallow_conv_inputs == "both" else c
    unit = mamba_flops(config, height, width)
    convs = conv_flops(c, c // 2) + conv_flops(c // 2, c // 4) + conv_flops(c // 4, 1)
    stages = {
        "low level": 2 * (conv_flops(1, c // 2) + conv_flops(c // 2, c)) * pixels,
        "high level": 2 * config.extraction_depth * unit,
        "shallow fusion": 2 * config.exchange_depth * unit + 2 * conv_flops(mixed, c) * pixels,
        "deep fusion": config.deep_depth and config.deep_depth * fusion_block_flops(config, height, width),
        "reconstruction": config.reconstruction_depth * unit + convs * pixels,
    }
    return {**stages, "total": sum(stages.values())}
