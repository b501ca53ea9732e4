"""The M3 block of notebook 07 beside the package's, and the measures that the notebook defines."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions
from torch import nn

from mambadfuse import MambaDFuse, MambaDFuseConfig
from mambadfuse.models.deep_fusion import DeepFusion, M3Block
from mambadfuse.models.mamba import to_map

NOTEBOOK = definitions("07")
M3, copy_weights = NOTEBOOK["M3"], NOTEBOOK["copy_weights"]
WIDTH, STATE, HEIGHT, LENGTH = 8, 4, 3, 12
SWITCHES = [
    dict(zip(("gate", "norm_passes", "state_matrix", "deep_conv"), values, strict=True))
    for values in itertools.product(("own", "shared"), (1, 2), ("own", "shared"), (True, False))
]


def random_block(cls, **switches):
    torch.manual_seed(0)
    block = cls(MambaDFuseConfig(dim=WIDTH, state=STATE, **switches)).double().requires_grad_(False)
    for p in block.parameters():
        nn.init.normal_(p, std=0.5)
    return block


def streams(seed=1, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, LENGTH, WIDTH, generator=generator, dtype=torch.float64) for _ in "frab"]


both = pytest.mark.parametrize("cls", [M3Block, M3], ids=["package", "notebook"])
each_gate = pytest.mark.parametrize("gate", ["own", "shared"])


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_the_notebook_computes_what_the_package_computes(switches):
    assert NOTEBOOK["agree"](switches)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(SWITCHES), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_they_agree_on_any_size(switches, height, width, seed):
    theirs, ours = random_block(M3Block, **switches), random_block(M3, **switches)
    copy_weights(theirs, ours)
    torch.manual_seed(seed)
    inputs = torch.randn(4, 1, height * width, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(ours(*inputs, height), theirs(*inputs, height))


@both
@each_gate
def test_a_token_sees_no_later_one(cls, gate):
    block, inputs = random_block(cls, gate=gate, deep_conv=False), streams()
    before = block(*inputs, HEIGHT)[0]
    after = block(*(torch.cat([x[:, :7], x[:, 7:].flip(-1)], dim=1) for x in inputs), HEIGHT)[0]
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=0, atol=1e-12)
    assert (after[:, 7:] - before[:, 7:]).abs().max() > 1e-3


@both
@each_gate
def test_pictures_of_a_batch_do_not_see_each_other(cls, gate):
    block, inputs = random_block(cls, gate=gate), streams()
    together = block(*inputs, HEIGHT)[0]
    alone = torch.cat([block(*(x[i : i + 1] for x in inputs), HEIGHT)[0] for i in range(2)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


@both
def test_the_running_sum_takes_the_branch_up(cls):
    f, r, a, b = streams()
    assert torch.equal(random_block(cls)(f, r, a, b, HEIGHT)[1], f + r)


@pytest.mark.parametrize(
    ("gate", "depth", "pair", "heard"),
    [("own", 1, pair, False) for pair in ("fa", "fb", "ab")]
    + [("shared", 1, "fa", True), ("shared", 1, "fb", True), ("shared", 1, "ab", False)]
    + [("own", 2, pair, True) for pair in ("fa", "fb", "ab")],
)
def test_who_hears_whom(gate, depth, pair, heard):
    torch.manual_seed(3)
    config = MambaDFuseConfig(dim=WIDTH, state=STATE, deep_depth=depth, gate=gate, stage_residual="dropped")
    deep = DeepFusion(config).double().requires_grad_(False)
    assert (NOTEBOOK["interaction"](deep, pair) > 1e-9) is heard


def test_leaky_integrator_by_hand():
    assert NOTEBOOK["leaky"]([4, 0, 2]) == [4, 2, 3]


def test_the_flag_chooses_the_target():
    f, a, b, target = NOTEBOOK["selection_batch"](torch.Generator().manual_seed(0))
    chosen = torch.where(f[..., :1] > 0, a, b)
    assert torch.equal(target, chosen)
    assert ((target - (a + b) / 2) ** 2).mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_contributions_add_up_to_the_branch(switches):
    block, inputs = random_block(M3, **switches), streams()
    c = NOTEBOOK["contributions"](block, *inputs, HEIGHT)
    bias = 0 if block.conv is None else block.conv.bias[:, None, None]
    branch = to_map(block(*inputs, HEIGHT)[0], HEIGHT)
    torch.testing.assert_close(sum(c.values()) + bias, branch)


@pytest.mark.parametrize("index", range(4))
def test_contributions_follow_the_direction_of_the_block(index):
    config = MambaDFuseConfig(dim=WIDTH, state=STATE, scan_order="alternating")
    theirs = M3Block(config, index).double().requires_grad_(False)
    ours = M3(config).double().requires_grad_(False)
    copy_weights(theirs, ours)
    c = NOTEBOOK["contributions"](ours, *streams(), HEIGHT, theirs.direction)
    branch = to_map(theirs(*streams(), HEIGHT)[0], HEIGHT)
    torch.testing.assert_close(sum(c.values()) + theirs.conv.bias[:, None, None], branch)


def test_shares_are_shares():
    c = {
        k: torch.randn(1, WIDTH, 4, 5, generator=torch.Generator().manual_seed(n))
        for n, k in enumerate("fab")
    }
    s = NOTEBOOK["shares"](c)
    assert sum(s.values()) == pytest.approx(np.ones((4, 5)), abs=1e-6)
    assert min(x.min() for x in s.values()) >= 0


def test_winner_and_balance_by_hand():
    s = {"f": np.array([[0.5, 0.1, 0.1]]), "a": np.array([[0.3, 0.6, 0.2]]), "b": np.array([[0.2, 0.3, 0.7]])}
    assert NOTEBOOK["winner_map"](s).tolist() == [[0.5, 1.0, 0.0]]
    assert NOTEBOOK["balance"](s["a"], s["b"])[0, 1] == pytest.approx(1 / 3)


@each_gate
@pytest.mark.parametrize("conv", [True, False])
def test_the_window_into_a_network_shows_its_blocks(gate, conv):
    torch.manual_seed(0)
    sizes = {
        "dim": 8,
        "state": 4,
        "extraction_depth": 1,
        "exchange_depth": 1,
        "deep_depth": 2,
        "reconstruction_depth": 1,
    }
    model = MambaDFuse(MambaDFuseConfig(gate=gate, deep_conv=conv, **sizes)).requires_grad_(False)
    a, b = torch.rand(2, 1, 1, 6, 5)
    fused, entered, left = NOTEBOOK["watched"](model, a, b)
    torch.testing.assert_close(model(a, b), fused)
    for i in range(2):
        torch.testing.assert_close(NOTEBOOK["by_hand"](model, i)(*entered[i])[0], left[i])


@each_gate
def test_a_silenced_branch_is_gone(gate):
    """Without the guide's branch the fused image no longer depends on the scan's weights."""
    torch.manual_seed(0)
    sizes = {
        "dim": 8,
        "state": 4,
        "extraction_depth": 1,
        "exchange_depth": 1,
        "deep_depth": 1,
        "reconstruction_depth": 1,
    }
    model = MambaDFuse(MambaDFuseConfig(gate=gate, **sizes)).requires_grad_(False)
    a, b = torch.rand(2, 1, 1, 6, 5)
    whole, silenced = model(a, b), NOTEBOOK["without"](model, "b", a, b)
    assert (whole - silenced).abs().max() > 0
    model.deep.blocks[0].in_proj_b.weight.mul_(3)
    torch.testing.assert_close(NOTEBOOK["without"](model, "b", a, b), silenced)
    assert (model(a, b) - whole).abs().max() > 0
