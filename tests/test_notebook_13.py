"""Notebook 13: the counts, the network, the ranks and the flicker that it builds by hand are those of the package."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions

from mambadfuse.evaluation.flicker import flicker
from mambadfuse.evaluation.table import PUBLISHED, Method, rank
from mambadfuse.metrics import EIGHT
from mambadfuse.models.config import FastFusionConfig, MambaDFuseConfig
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.flops import forward_flops
from mambadfuse.resources import resource_folder

BY_HAND = definitions("13")


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 5), (3, 2, 6, 3)])
def test_a_convolution_and_its_operations(shape):
    inputs, outputs, height, width = shape
    x, w = torch.randn(inputs, height, width), torch.randn(outputs, inputs, 3, 3)
    y, operations = BY_HAND["conv_by_hand"](x, w)
    torch.testing.assert_close(y, F.conv2d(x[None], w, padding=1)[0], rtol=1e-4, atol=1e-5)
    assert operations == BY_HAND["conv"](inputs, outputs) * height * width


@pytest.mark.parametrize(
    "config", [MambaDFuseConfig(), MambaDFuseConfig.published(), MambaDFuseConfig.lite()]
)
def test_operations_by_stage_are_those_of_the_package(config):
    counted = BY_HAND["count"](config)
    assert counted | {"total": sum(counted.values())} == forward_flops(config, 1, 1)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_tokens_are_those_of_pytorch(p):
    x = torch.randn(2, 3, 6 * p, 4 * p)
    assert torch.equal(BY_HAND["to_tokens"](x, p), F.pixel_unshuffle(x, p))


@pytest.mark.parametrize(
    "config", [FastFusionConfig(6, 4, 1), FastFusionConfig(6, 2, 2), FastFusionConfig(8, 3, 4)]
)
def test_the_network_is_that_of_the_package(config):
    package = FastFusion(config)
    for parameter in package.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mine = BY_HAND["Fast"](config.dim, config.depth, config.patch)
    mine.load_state_dict(package.state_dict())
    a, b = torch.rand(2, 2, 1, 16, 24)
    for net in (mine, package):
        net(a, b).square().mean().backward()
    torch.testing.assert_close(mine(a, b), package(a, b))
    for one, other in zip(mine.parameters(), package.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_ranks_are_those_of_the_package():
    rng = np.random.default_rng(0)
    rows = {name: dict(zip(EIGHT, rng.integers(0, 3, 8).astype(float), strict=True)) for name in "abcd"}
    methods = [Method(name, PUBLISHED, means, {}, {}) for name, means in rows.items()]
    package = rank(methods, EIGHT, [], "literature").mean_ranks
    assert {f"{name} ({PUBLISHED})": r for name, r in BY_HAND["mean_ranks"](rows).items()} == pytest.approx(
        package
    )


@settings(max_examples=20)
@given(st.integers(3, 6), st.integers(0, 2**32 - 1))
def test_flicker_is_that_of_the_package(count, seed):
    frames = np.random.default_rng(seed).normal(100, 20, (count, 3, 4))
    assert BY_HAND["flicker_by_hand"](frames) == pytest.approx(flicker(frames))


@pytest.mark.parametrize("move", [0, 1, 3, 4])
def test_without_noise_all_frames_show_the_same_at_the_same_place(move):
    sides = zip(*BY_HAND["video"](move, noise=0), strict=True)
    for frames in sides:
        first, *others = BY_HAND["followed"](list(frames), move)
        assert all(np.array_equal(first, other) for other in others)


def test_the_mean_over_four_ways_moves_with_the_scene():
    net = FastFusion(FastFusionConfig(dim=4, depth=1))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    a, b = torch.rand(2, 1, 1, 24, 48)
    with torch.no_grad():
        for ways, moves_along in ((net, False), (lambda a, b: BY_HAND["several_ways"](net, a, b), True)):
            difference = (ways(a, b)[..., 1:] - ways(a[..., 1:], b[..., 1:]))[..., 12:-12].abs().max()
            assert (difference < 1e-5) == moves_along


@pytest.mark.parametrize(
    ("name", "sentence"), [("ivf-fast", "about eight pairs"), ("ivf-tiny", "about thirty pairs")]
)
def test_the_rates_in_the_text_are_those_of_the_cards(name, sentence):
    card = (resource_folder("weights") / f"{name}.md").read_text(encoding="utf-8")
    assert f"{sentence} of 640 x 480 pixels a second on one core" in card
