"""The exercises of notebook 13: right answers pass as they are written, wrong ones get a hint."""

from functools import partial

import numpy as np
import pytest
import torch
from course_cases import CRASH, crash, right, wrong

from mambadfuse.course import fusion_in_real_time as real_time
from mambadfuse.models.config import FastFusionConfig
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.flops import fast_flops

COSTS = {
    "larger tokens": 4,
    "half the width": 4,
    "depthwise": 9 * 16**2 / (9 * 16 + 16**2),
    "flicker of the mean": np.sqrt(4**2 + 4**2) / 2,
}


@right(
    [
        COSTS,
        list(COSTS.values()),
        np.array(list(COSTS.values())),
        {name.upper(): value for name, value in COSTS.items()},
        COSTS | {"depthwise": "2304/400", "flicker of the mean": 2.83, "larger tokens": 4.0},
    ]
)
def test_costs_right(answer):
    assert real_time.costs(answer) == "passed"


@wrong(
    side=(COSTS | {"larger tokens": 2}, "twice as high, too"),
    against_pixels=(COSTS | {"larger tokens": 16}, "against single pixels"),
    tokens_alike=(COSTS | {"larger tokens": 1}, "how many tokens are there"),
    other_way_round=(COSTS | {"larger tokens": 0.25}, "the other way round"),
    any_other=(COSTS | {"larger tokens": 5}, "times the number of tokens"),
    one_side_of_a_convolution=(COSTS | {"half the width": 2}, "half of them come out"),
    cubed=(COSTS | {"half the width": 8}, "not cubed"),
    out_and_upside_down=(COSTS | {"half the width": 0.5}, "half the channels come out"),
    depthwise_alone=(COSTS | {"depthwise": 16}, "mixes channels is missing"),
    pointwise_alone=(COSTS | {"depthwise": 9}, "the depthwise part is missing"),
    upside_down=(COSTS | {"depthwise": 400 / 2304}, "upside down"),
    of_the_text=(COSTS | {"depthwise": 6.545}, "that is for C = 24"),
    not_divided=(COSTS | {"depthwise": 2304}, "divide them"),
    noise_stays=(COSTS | {"flicker of the mean": 4}, "at times they cancel"),
    halved=(COSTS | {"flicker of the mean": 2}, "halves the variance twice"),
    variance=(COSTS | {"flicker of the mean": 8}, "what is its root"),
    sum_of_both=(COSTS | {"flicker of the mean": 32**0.5}, "the mean is half of it"),
    unanswered=(dict.fromkeys(COSTS), "still without an answer: larger tokens"),
    too_few=([4, 4], "expected 4 answers"),
)
def test_costs_wrong(answer, hint):
    assert hint in real_time.costs(answer)


def test_the_answers_on_paper_are_those_of_the_package():
    def block(dim, patch):
        """Operations of one residual block."""
        deep, shallow = (fast_flops(FastFusionConfig(dim, depth, patch), 480, 640) for depth in (2, 1))
        return deep - shallow

    found = {
        "larger tokens": block(16, 2) / block(16, 4),
        "half the width": block(32, 2) / block(16, 2),
    }
    assert real_time.costs(COSTS | found) == "passed"


def compared(net, a, b, turn=(3,), both=(True, True), back=True, size=torch.abs, reduce=torch.mean):
    turned = net(*(x.flip(turn) if wanted else x for x, wanted in zip((a, b), both, strict=True)))
    return reduce(size(net(a, b) - (turned.flip(turn) if back else turned)))


def by_mirroring_the_first(net, a, b):
    return (net(a, b).flip(3) - net(a.flip(3), b.flip(3))).abs().mean()


def as_one_batch(net, a, b):
    f, g = net(torch.cat([a, a.flip(-1)]), torch.cat([b, b.flip(-1)])).chunk(2)
    return torch.nn.functional.l1_loss(g.flip(-1), f)


@right([compared, by_mirroring_the_first, as_one_batch])
def test_mirror_consistency_right(answer):
    assert real_time.mirror_consistency(answer) == "passed"


def one_pass_detached(net, a, b):
    with torch.no_grad():
        turned = net(a.flip(3), b.flip(3)).flip(3)
    return (net(a, b) - turned).abs().mean()


def moved_by_one(net, a, b):
    return net(a.roll(1, 3), b.roll(1, 3)).roll(-1, 3)


@wrong(
    nothing=(lambda net, a, b: None, "still returns None"),
    a_map=(partial(compared, reduce=lambda x: x), "expected shape (), found (2, 1, 8, 12)"),
    not_back=(partial(compared, back=False), "turn it back before you compare"),
    a_alone=(partial(compared, both=(True, False)), "you mirror a alone"),
    b_alone=(partial(compared, both=(False, True)), "you mirror b alone"),
    upside_down=(partial(compared, turn=(2,)), "columns are dimension 3"),
    half_a_turn=(partial(compared, turn=(2, 3)), "mirror left and right only"),
    squared=(partial(compared, size=torch.square), "you square the differences"),
    root=(lambda net, a, b: compared(net, a, b, size=torch.square).sqrt(), "the root of the mean square"),
    signs_cancel=(partial(compared, size=lambda x: x), "differences of both signs cancel"),
    total=(partial(compared, reduce=torch.sum), "take the mean"),
    zero=(lambda net, a, b: (net(a, b) - net(a, b)).abs().mean(), "it is zero"),
    channels=(partial(compared, turn=(1,)), "Columns are dimension 3"),
    largest=(partial(compared, reduce=torch.max), "the largest difference"),
    exchanged=(lambda net, a, b: (net(a, b) - net(b, a)).abs().mean(), "you exchange the two sides"),
    moved=(lambda net, a, b: (net(a, b) - moved_by_one(net, a, b)).abs().mean(), "by one pixel: mirror it"),
    grey_levels=(lambda net, a, b: 255 * compared(net, a, b), "for a test network, found"),
    a_number=(lambda net, a, b: float(compared(net, a, b).detach()), "no gradient flows through it"),
    one_pass=(one_pass_detached, "through one of the two passes only"),
    called=(0.3, "expected the function itself"),
    crash=(crash, CRASH),
)
def test_mirror_consistency_wrong(answer, hint):
    assert hint in real_time.mirror_consistency(answer)


WITHIN = {"dim": 24, "depth": 3, "patch": 4}


@right(
    [FastFusionConfig(**WITHIN), WITHIN, FastFusion(FastFusionConfig(**WITHIN)), FastFusionConfig(32, 3, 6)]
)
def test_network_within_budget_right(answer):
    assert real_time.network_within_budget(answer).startswith("passed: ")


@wrong(
    empty=(None, "my_network is still None"),
    the_fast_one=(FastFusionConfig.fast(), "6.9 GFLOP for 640 x 480; the budget is 1.8"),
    the_tiny_one=(FastFusionConfig.tiny(), "17 pixels far, expected 37 at least"),
    few_weights=(FastFusionConfig(8, 6, 4), "weights, expected 35,000 at least"),
    too_shallow=(FastFusionConfig(24, 1, 4), "a fused pixel sees 19 pixels far"),
    no_such_size=(WITHIN | {"dim": 2.5}, "dim must be a whole number"),
    no_such_setting=({"width": 24}, "expected dim, depth and patch, found 'width'"),
    number=(24, "expected a FastFusionConfig, found int"),
)
def test_network_within_budget_wrong(answer, hint):
    assert hint in real_time.network_within_budget(answer)


@pytest.mark.parametrize(
    "config", [FastFusionConfig(4, 2, 2), FastFusionConfig(4, 4, 1), FastFusionConfig(4, 1, 3)]
)
def test_the_reach_is_what_a_network_sees(config):
    """A change of one source pixel changes no pixel further away; some pixel at that distance can change."""
    torch.manual_seed(0)
    net, reach = FastFusion(config).double(), real_time.reach(config)
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 0.2)  # nothing is cut off by a ReLU
    a = torch.ones(1, 1, 1, 2 * reach + 60, dtype=torch.float64)
    seen = []
    for at in range(reach + 20, reach + 20 + config.patch):
        changed = a.clone()
        changed[..., at] = 2
        moved = (net(a, a) - net(changed, a)).abs().flatten() > 1e-12
        seen.append(max(abs(int(k) - at) for k in moved.nonzero()))
    assert max(seen) == reach
