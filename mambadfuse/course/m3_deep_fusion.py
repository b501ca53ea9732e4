"""The exercises of notebook 07: which terms a new guide changes, the parameters of a block, the steps of the guides."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F

from mambadfuse.course.answers import function, number
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, letters_of
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.deep_fusion import M3Block
from mambadfuse.models.mambadfuse import MambaDFuse

CHANGED = (
    Question(
        "block 1",
        "e432cd8caae0",
        "with own gates, a term reads its own stream alone",
        letters_of("fab"),
        {"fb": "f and a enter the first block as before", "fab": "f and a enter the first block as before"},
    ),
    Question(
        "block 2",
        "08b3fde442ec",
        "which streams carry something of b when they enter the second block?",
        letters_of("fab"),
        {
            "b": "the first block wrote its sum into one of the streams",
            "f": "the guides enter every block: is b still the new one?",
            "fab": "does a block change the guides a and b?",
            "ab": "does a block change the guide a?",
        },
    ),
)


@exercise
def changed_terms(answer: object) -> None:
    """Exercise 1: which of the terms f, a, b change in two blocks if b is another picture, with own gates.

    >>> from mambadfuse.course.m3_deep_fusion import changed_terms
    >>> changed_terms({"block 1": "fb", "block 2": "fab"})
    'not yet: 0 of 2 are right; block 1: f and a enter the first block as before'
    """
    ask(CHANGED, answer)


@exercise
def block_parameters(m3_parameters: Callable[..., Any]) -> None:
    """Exercise 2: the parameters of an M3 block from its width C and its gate, "own" or "shared".

    >>> from mambadfuse.course.m3_deep_fusion import block_parameters
    >>> block_parameters(lambda C, gate: 1000)
    "not yet: for C = 60 and a gate of kind 'own' you count 1,000, and 71,120 fewer than there are"
    """
    function(m3_parameters)
    cases: list[tuple[int, Literal["own", "shared"]]] = [
        (60, "own"),
        (60, "shared"),
        (32, "own"),
        (24, "shared"),
    ]
    for C, gate in cases:
        found = m3_parameters(C, gate)
        if found is None:
            raise NotYet("your function still returns None")
        block = M3Block(MambaDFuseConfig(dim=C, gate=gate))
        missing = sum(p.numel() for p in block.parameters()) - number(found)
        if missing:
            raise NotYet(_uncounted(C, gate, number(found), missing))


def _uncounted(C: int, gate: str, found: float, missing: float) -> str:
    """What explains a count that is off by ``missing``."""
    E, N, W, R = 2 * C, 16, 4, math.ceil(C / 16)
    explained = {
        "the three norms have a weight and a bias each": 6 * C,
        "each of the three norms has a bias, too": 3 * C,
        "is the depthwise convolution in it, 3 x 3 for each channel?": 9 * C,
        "is the bias of the depthwise convolution in it?": C,
        "are weight and bias of the depthwise convolution in it?": 10 * C,
        "the skip D of the three scans is missing": 3 * E,
        "the bias of the causal convolutions is missing": 3 * E,
        "the bias of dt_proj is missing in all three scans": 3 * E,
        "the guides share one matrix A: two of three are counted": -E * N,
        "there are two matrices A: that of f, and one for the guides": E * N,
        "is out_proj in it?": E * C,
        "is the causal convolution in it, of all three scans?": 3 * (W * E + E),
        "x_proj computes B, C and the R numbers for Δ, in all three scans": 3 * E * R,
        "R is C / 16, rounded up, not down": 6 * E * (R - C // 16),
        "R is C / 16, rounded up": 6 * E * (R - C / 16),
        "the depthwise convolution has 3 x 3 weights for each channel, not for each pair of channels": 9
        * C
        * (1 - C),
        "with its own gate, each guide projects to 2 E": 2 * C * E,
        "without a gate of its own, a guide projects to E, not to 2 E": -2 * C * E,
    }
    said = f"for C = {C} and a gate of kind '{gate}' you count {found:,.0f}, "
    hints = [hint for hint, off in explained.items() if off == missing]
    if hints:
        return said.removesuffix(", ") + ": " + "; or: ".join(hints)
    return f"{said}and {abs(missing):,.0f} {'fewer' if missing > 0 else 'more'} than there are"


@exercise
def median_step(median_delta: object, model: MambaDFuse) -> None:
    """Exercise 3: the median of the step Δ that the biases of both guides of all M3 blocks set.

    >>> import mambadfuse as mdf
    >>> from mambadfuse.course.m3_deep_fusion import median_step
    >>> median_step(None, mdf.MambaDFuse(mdf.MambaDFuseConfig(dim=8)))
    'not yet: median_delta is still None'
    """
    if median_delta is None:
        raise NotYet("median_delta is still None")
    found = number(median_delta)
    parts = {"f": "ssm_fused", "a": "ssm_a", "b": "ssm_b"}
    biases = {
        key: torch.stack([getattr(block, name).dt_proj.bias.detach() for block in model.deep.blocks])
        for key, name in parts.items()
    }  # (blocks, E) each
    guides = torch.cat([biases["a"], biases["b"]], dim=1)  # (blocks, 2 E)
    steps = F.softplus(guides)
    if _is_median(found, steps):
        return
    mistakes = {
        "that is the median of the biases: Δ = softplus(bias)": guides,
        "softplus is log(1 + e^x); you took e^x alone": guides.exp(),
        "that is the mean": steps.mean(),
        "that is guide b alone": F.softplus(biases["b"]),
        "that is the fused stream; the guides are a and b": F.softplus(biases["f"]),
        "the fused stream is in it as well": F.softplus(torch.cat([guides, biases["f"]], dim=1)),
        "that is the first block alone": steps[0],
        "that is the last block alone": steps[-1],
    }
    for hint, x in mistakes.items():
        if _is_median(found, x):
            raise NotYet(hint)
    raise NotYet("is softplus applied before the median, and are both guides of all blocks in it?")


def _is_median(found: float, x: torch.Tensor) -> bool:
    """Whether a number is that of a library, between the two middle elements, or one of them rounded to its digits."""
    ordered = x.flatten().sort().values
    low, high = (float(ordered[k]) for k in ((len(ordered) - 1) // 2, len(ordered) // 2))
    digits = min(5, len(f"{found:.6g}".partition(".")[2]))
    return digits > 1 and round(low, digits) <= round(found, digits) <= round(high, digits)
