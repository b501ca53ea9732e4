"""What a reader builds in notebook 03 keeps the promises of the package's scan."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from notebook_code import definitions
from ops_cases import Scan, as_float64, assert_close, results
from torch import Tensor

from mambadfuse import ops

BOOK = definitions("03")
A, B, C = torch.tensor(-0.7).double(), torch.tensor(1.3).double(), torch.tensor(0.4).double()
steps = st.floats(1e-3, 2.0)

scan = pytest.mark.parametrize(
    "scan", [BOOK["scan"], partial(ops.selective_scan, backend="reference")], ids=["notebook", "package"]
)


def case(**sizes: int) -> dict[str, Tensor]:
    """The arguments that the notebook's scan takes: no gate, no softplus, no state to start from."""
    tensors = Scan(softplus=False, given=("D",), **sizes).tensors()
    return {name: x for name, x in tensors.items() if x is not None}


@scan
@pytest.mark.parametrize("sizes", [{}, {"length": 1}, {"batch": 1, "dim": 1, "state": 1}, {"state": 16}])
def test_the_scan_is_the_recurrence(scan, sizes):
    tensors = case(**sizes)
    expected = results(partial(ops.selective_scan, backend="reference"), as_float64(tensors), {})
    assert_close(results(scan, tensors, {}), expected)


@scan
@given(length=st.integers(2, 30), data=st.data())
def test_a_token_acts_on_no_token_before_it(scan, length: int, data):
    cut = data.draw(st.integers(1, length - 1), label="cut")
    tensors = case(length=length)
    before = scan(**tensors)
    tensors["u"][:, cut:] += 1
    after = scan(**tensors)
    assert torch.equal(before[:, :cut], after[:, :cut])
    assert not torch.equal(before[:, cut], after[:, cut])


@scan
def test_a_token_with_a_zero_step_is_skipped(scan):
    tensors = case() | {"D": torch.zeros(18)}
    tensors["delta"][:, 7] = 0
    spoiled = tensors | {"u": tensors["u"].index_fill(1, torch.tensor(7), 1e6)}
    assert torch.equal(scan(**tensors), scan(**spoiled))


@given(delta=steps, length=st.integers(1, 60))
@pytest.mark.parametrize("rule", ["exact", "euler", "mamba"])
def test_the_kernel_convolved_is_the_recurrence(rule: str, delta: float, length: int):
    u = torch.randn(length, dtype=torch.float64)
    A_bar, B_bar = BOOK[rule](torch.tensor(delta).double(), A, B)
    convolved = BOOK["convolve"](u, BOOK["kernel"](A_bar, B_bar, C, length))
    torch.testing.assert_close(convolved, C * BOOK["recur"](u, A_bar, B_bar))


@given(first=steps, second=steps)
def test_the_exact_rule_may_cut_a_step_in_two(first: float, second: float):
    """Only the exact rule does: a held input for two short steps is a held input for one long step."""
    times = torch.tensor([first, second, first + second]).double()
    A_bar, B_bar = BOOK["exact"](times, A, B)
    torch.testing.assert_close(A_bar[0] * A_bar[1], A_bar[2])
    torch.testing.assert_close(A_bar[1] * B_bar[0] + B_bar[1], B_bar[2])


@given(delta=steps)
def test_no_step_makes_mambas_state_grow(delta: float):
    A_bar, _ = BOOK["mamba"](torch.tensor(delta), A, B)
    assert 0 < A_bar < 1


def test_all_rules_agree_on_short_steps():
    delta = torch.tensor(1e-4).double()
    expected = BOOK["exact"](delta, A, B)
    for rule in ("euler", "mamba"):
        torch.testing.assert_close(BOOK[rule](delta, A, B), expected, rtol=1e-4, atol=0)


def test_the_layer_is_the_scan_with_the_same_numbers_at_every_token():
    layer, u = BOOK["DiagonalSSM"](6, 4).double(), torch.randn(2, 50, 6, dtype=torch.float64)
    delta, Bs, Cs = layer.log_delta.exp().expand_as(u), *(x.expand(2, 50, 4) for x in (layer.B, layer.C))
    expected = ops.selective_scan(u, delta, -layer.A_log.exp(), Bs, Cs, layer.D, backend="reference")
    torch.testing.assert_close(layer(u), expected)
    weights, parameters = torch.randn_like(u), list(layer.parameters())
    mine, package = (torch.autograd.grad((weights * y).sum(), parameters) for y in (layer(u), expected))
    torch.testing.assert_close(mine, package)


@given(shift=st.integers(1, 39))
def test_the_layer_does_not_care_when_a_token_comes(shift: int):
    layer, u = BOOK["DiagonalSSM"](6, 4).double(), torch.randn(2, 40, 6, dtype=torch.float64)
    later = torch.cat([torch.zeros(2, shift, 6), u[:, :-shift]], dim=1)
    torch.testing.assert_close(layer(later)[:, shift:], layer(u)[:, :-shift])
