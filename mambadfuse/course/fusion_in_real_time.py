"""The exercises of notebook 13: costs on paper, a loss that compares mirror images, a network within a budget."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mambadfuse.course.answers import function, tensor
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly, roughly
from mambadfuse.models.config import FastFusionConfig
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.flops import fast_flops

WIDTH, HEIGHT = 640, 480
WEIGHTS = 35_000  # at least
SEEN = 37  # pixels: how far ``ivf-fast`` sees

COSTS = (
    Question(
        "larger tokens",
        "6600e1554388",
        "the operations of a block are those of a token times the number of tokens",
        exactly,
        {
            2: "a token twice as wide is twice as high, too",
            8: "how many tokens of 2 x 2 are in one of 4 x 4?",
            16: "that is against single pixels",
            1: "the operations of a token stay, but how many tokens are there?",
            0.25: "the other way round: how many times fewer?",
        },
    ),
    Question(
        "half the width",
        "f27c3934b344",
        "a convolution of a block takes 2 · 9 C² operations for a token",
        exactly,
        {
            2: "half the channels go in, and half of them come out",
            8: "C stands in it squared, not cubed",
            0.5: "the other way round, and half the channels come out, too",
            0.25: "the other way round: how many times fewer?",
        },
    ),
    Question(
        "depthwise",
        "6b295da61f8b",
        "9 C² against 9 C + C², for C = 16",
        roughly,
        {
            16: "that is the depthwise part alone: the 1 x 1 convolution that mixes channels is missing",
            9: "that is the 1 x 1 convolution alone: the depthwise part is missing",
            0.1736: "upside down: how many times fewer?",
            6.55: "that is for C = 24",
            2304: "those are the multiply-adds of the full one: divide them by those of the other",
            400: "those are the multiply-adds of the cheap one: divide by them",
        },
    ),
    Question(
        "flicker of the mean",
        "006a23159a95",
        "variances of independent noises add: what is the variance of (a + b) / 2?",
        roughly,
        {
            4: "the two noises are independent: at times they cancel",
            2: "that halves the variance twice, or takes away one of the noises",
            8: "that is a variance: what is its root?",
            math.sqrt(32): "that is a + b: the mean is half of it",
            16: "that is the variance of one of them",
        },
    ),
)


@exercise
def costs(answer: object) -> None:
    """Exercise 1: operations saved by larger tokens, half the width and depthwise convolutions; flicker of a mean.

    >>> from mambadfuse.course.fusion_in_real_time import costs
    >>> costs([2, 4, 5.76, 2])
    'not yet: 2 of 4 are right; larger tokens: a token twice as wide is twice as high, too'
    """
    ask(COSTS, answer)


@exercise
def mirror_consistency(consistency: Callable[..., Any]) -> None:
    """Exercise 2: the mean absolute difference between a fused picture and its mirror image, fused and mirrored back.

    The function takes a network and both sides, (B, 1, H, W), and returns a number through which gradients flow.

    >>> from mambadfuse.course.fusion_in_real_time import mirror_consistency
    >>> mirror_consistency(lambda net, a, b: None)
    'not yet: your function still returns None'
    """
    function(consistency)
    net, a, b = _random_network()
    found = consistency(net, a, b)
    if found is None:
        raise NotYet("your function still returns None")
    value = tensor(found, ())
    fused, mirrored = net(a, b), net(a.flip(3), b.flip(3)).flip(3)
    right = (fused - mirrored).abs().mean()
    if not torch.allclose(value.double(), right.double(), rtol=1e-4):
        raise NotYet(_what_it_is(value.detach(), net, a, b))
    if not value.requires_grad:
        raise NotYet("the right number, but no gradient flows through it: a training could not use it")
    weights = list(net.parameters())
    mine, wanted = (torch.cat([g.flatten() for g in torch.autograd.grad(x, weights)]) for x in (value, right))
    if not torch.allclose(mine, wanted, rtol=1e-3, atol=1e-6):
        raise NotYet("the right number, but its gradient flows through one of the two passes only")


def _random_network() -> tuple[nn.Module, Tensor, Tensor]:
    """A network to which a picture and its mirror image are two things, and two pairs of images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FastFusion(FastFusionConfig(dim=4, depth=1))
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.3)
        a, b = torch.rand(2, 2, 1, 8, 12).unbind(0)
    return net, a, b


@torch.no_grad()
def _what_it_is(value: Tensor, net: nn.Module, a: Tensor, b: Tensor) -> str:
    fused = net(a, b)
    mirrored = net(a.flip(3), b.flip(3))
    difference = fused - mirrored.flip(3)
    known = {
        "the second picture is still mirrored: turn it back before you compare": (fused - mirrored).abs().mean(),
        "you mirror a alone: then it no longer lies on b": (fused - net(a.flip(3), b).flip(3)).abs().mean(),
        "you mirror b alone: then a no longer lies on it": (fused - net(a, b.flip(3)).flip(3)).abs().mean(),
        "that is upside down: rows are dimension 2, columns are dimension 3": (
            (fused - net(a.flip(2), b.flip(2)).flip(2)).abs().mean()
        ),
        "that turns by half a turn: mirror left and right only": (
            (fused - net(a.flip(2, 3), b.flip(2, 3)).flip(2, 3)).abs().mean()
        ),
        "you square the differences; here they count by their size": difference.square().mean(),
        "differences of both signs cancel: take their size first": difference.mean(),
        "that is the sum over all pixels: take the mean": difference.abs().sum(),
        "it is zero: do both pictures come from the same input? Columns are dimension 3": torch.zeros(()),
        "that is the largest difference: take the mean": difference.abs().max(),
        "you exchange the two sides: mirror each of them": (fused - net(b, a)).abs().mean(),
        "that moves the pair by one pixel: mirror it": (
            (fused - net(a.roll(1, 3), b.roll(1, 3)).roll(-1, 3)).abs().mean()
        ),
        "that is the root of the mean square; here differences count by their size": difference.square().mean().sqrt(),
    }  # fmt: skip
    for hint, wrong in known.items():
        if torch.allclose(value.double().abs(), wrong.double().abs(), rtol=1e-4, atol=1e-9):
            return hint
    return f"expected {float(difference.abs().mean()):.3g} for a test network, found {float(value):.3g}"


@exercise
def network_within_budget(answer: object) -> str:
    """Exercise 3: a fast network no dearer than ``ivf-tiny`` that sees as far as ``ivf-fast``, of 35,000 weights.

    >>> from mambadfuse.course.fusion_in_real_time import network_within_budget
    >>> network_within_budget({"dim": 24, "depth": 4, "patch": 2})
    'not yet: 6.9 GFLOP for 640 x 480; the budget is 1.8, that of ivf-tiny'
    """
    config = _config(answer)
    cost, budget = (fast_flops(one, HEIGHT, WIDTH) for one in (config, FastFusionConfig.tiny()))
    if cost > budget:
        raise NotYet(
            f"{cost / 1e9:.1f} GFLOP for 640 x 480; the budget is {budget / 1e9:.1f}, that of ivf-tiny"
        )
    if reach(config) < SEEN:
        raise NotYet(
            f"a fused pixel sees {reach(config)} pixels far, expected {SEEN} at least: "
            "blocks are dilated by 1, 2, 4 in turn"
        )
    weights = FastFusion(config).parameter_count()
    if weights < WEIGHTS:
        raise NotYet(
            f"{weights:,} weights, expected {WEIGHTS:,} at least: what makes room for more at the same cost?"
        )
    return f"{cost / 1e9:.1f} GFLOP, {reach(config)} pixels far, {weights:,} weights"


def reach(config: FastFusionConfig) -> int:
    """The largest distance in pixels, along a row, at which a source pixel can change a fused one.

    >>> reach(FastFusionConfig.fast()), reach(FastFusionConfig.tiny())
    (37, 17)
    """
    tokens = 2 + sum(2 * 2 ** (i % 3) for i in range(config.depth))
    return config.patch * tokens + config.patch - 1


def _config(answer: object) -> FastFusionConfig:
    if answer is None:
        raise NotYet("my_network is still None")
    if isinstance(answer, FastFusion):
        answer = answer.config
    if isinstance(answer, Mapping):
        if unknown := set(answer) - {"dim", "depth", "patch"}:
            raise NotYet(f"expected dim, depth and patch, found {sorted(map(str, unknown))[0]!r}")
        answer = FastFusionConfig(**answer)
    if not isinstance(answer, FastFusionConfig):
        raise NotYet(f"expected a FastFusionConfig, found {type(answer).__name__}")
    return answer
