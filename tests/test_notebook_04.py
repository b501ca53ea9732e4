"""What a reader builds in notebook 04 keeps the promises of the package's operations and Mamba unit."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from notebook_code import definitions
from ops_cases import Conv, Scan, as_float64, assert_close, results
from torch import Tensor

from mambadfuse import ops
from mambadfuse.models import mamba
from mambadfuse.models.config import MambaConfig

BOOK = definitions("04")
reference = partial(ops.selective_scan, backend="reference")

scans = pytest.mark.parametrize(
    "scan",
    [
        BOOK["scan_loop"],
        partial(BOOK["scan_chunked"], chunk=1),
        partial(BOOK["scan_chunked"], chunk=8),
        partial(BOOK["scan_chunked"], chunk=32),
        ops.selective_scan,
    ],
    ids=["loop", "chunks of 1", "chunks of 8", "one chunk", "package"],
)


def package_unit(dim):
    return mamba.Mamba(MambaConfig(dim))


units = pytest.mark.parametrize("unit", [BOOK["Mamba"], package_unit], ids=["notebook", "package"])


def scan_case(**sizes: int) -> dict[str, Tensor]:
    """The arguments that the notebook's scans take: no gate, no softplus, no state to start from."""
    tensors = Scan(softplus=False, given=("D",), **sizes).tensors()
    return {name: x for name, x in tensors.items() if x is not None}


# ---------------------------------------------------------------------------------------------------- scans


@scans
@pytest.mark.parametrize("sizes", [{}, {"batch": 1, "dim": 1, "state": 1}, {"state": 16}])
def test_every_scan_is_the_recurrence_with_its_gradients(scan, sizes):
    tensors = scan_case(length=32, **sizes)
    assert_close(results(scan, tensors, {}), results(reference, as_float64(tensors), {}))


def test_the_compiled_kernel_is_the_recurrence():
    tensors = scan_case()
    expected = reference(**as_float64(tensors))
    assert_close({"y": BOOK["scan_compiled"](*tensors.values())}, {"y": expected})


@given(rounds=st.integers(0, 4), data=st.data())
def test_pairs_give_the_states_of_the_loop(rounds: int, data):
    """Also with decays of zero (all forgotten) and one (nothing forgotten)."""
    numbers = st.lists(st.floats(0, 1), min_size=2**rounds, max_size=2**rounds)
    a, x = (torch.tensor(data.draw(numbers, label=name), dtype=torch.float64) for name in "ax")
    h, expected = 0.0, []
    for a_t, x_t in zip(a.tolist(), x.tolist(), strict=True):
        h = a_t * h + x_t
        expected.append(h)
    torch.testing.assert_close(BOOK["scan_pairs"](a, x), torch.tensor(expected, dtype=torch.float64))


# ----------------------------------------------------------------------------------------------------- unit


@pytest.mark.parametrize("case", [Conv(width=w, activation=None, given=("bias",)) for w in (1, 2, 4)])
def test_the_convolution_is_the_packages(case):
    x, weight, bias = (x for x in case.tensors().values() if x is not None)
    found = BOOK["causal_conv"](x, weight, bias)
    assert_close({"y": found}, {"y": ops.causal_conv1d(x, weight, bias, backend="reference")})


def test_the_unit_has_the_packages_names_outputs_and_gradients():
    ours, theirs = BOOK["Mamba"](24).double(), mamba.Mamba(MambaConfig(24)).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 30, 24, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(x)
    torch.testing.assert_close(ours(x), theirs(x))
    mine, package = (
        torch.autograd.grad((weights * unit(x)).sum(), [x, *unit.parameters()]) for unit in (ours, theirs)
    )
    torch.testing.assert_close(mine, package)


@units
@given(cut=st.integers(1, 19))
def test_a_token_acts_on_no_token_before_it(unit, cut: int):
    torch.manual_seed(0)
    layer, x = unit(8), torch.randn(1, 20, 8)
    later = x.clone()
    later[:, cut:] += 1
    with torch.no_grad():
        before, after = layer(x), layer(later)
    torch.testing.assert_close(before[:, :cut], after[:, :cut])
    assert not torch.allclose(before[:, cut], after[:, cut])


@units
def test_a_fresh_unit_takes_steps_between_a_thousandth_and_a_tenth(unit):
    steps = torch.nn.functional.softplus(unit(60).ssm.dt_proj.bias)
    assert steps.min() > 0.99e-3
    assert steps.max() < 0.101


def test_the_block_is_the_packages():
    ours, theirs = BOOK["Block"](8), mamba.MambaBlock(MambaConfig(8))
    ours.load_state_dict(theirs.state_dict())
    x, r, weights = torch.randn(3, 1, 20, 8)
    torch.testing.assert_close(ours(x, r), theirs(x, r))
    mine, package = (
        torch.autograd.grad((weights * sum(block(x, r))).sum(), list(block.parameters()))
        for block in (ours, theirs)
    )
    torch.testing.assert_close(mine, package)


# ----------------------------------------------------------------------------------------------------- task


@given(seed=st.integers(0, 1000), length=st.integers(4, 60))
def test_the_answers_are_the_letters_in_their_order(seed: int, length: int):
    tokens, letters = BOOK["draw"](3, torch.Generator().manual_seed(seed), length)
    text, questions = tokens[:, :length], tokens[:, length:]
    dot = BOOK["SYMBOLS"].index(".")
    assert torch.equal(text[text != dot].view(3, -1), letters)
    assert "".join(BOOK["SYMBOLS"][k] for k in questions[0]) == "1234"


@given(shift=st.integers(1, 19))
def test_only_what_sees_the_token_depends_on_it(shift: int):
    """Without sight the layer is linear and time-invariant; with it, it is neither."""
    torch.manual_seed(0)
    u, sees = torch.randn(1, 20, 6), ("delta", "B", "C")
    blind, seeing = BOOK["Layer"](6, 4, ()), BOOK["Layer"](6, 4, sees)
    later = torch.cat([torch.zeros(1, shift, 6), u[:, :-shift]], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(blind(later)[:, shift:], blind(u)[:, :-shift])
        torch.testing.assert_close(blind(2 * u), 2 * blind(u))
        assert not torch.allclose(seeing(2 * u), 2 * seeing(u))


def test_both_models_have_the_same_parameters():
    seeing, blind = BOOK["Copier"](("delta", "B", "C")), BOOK["Copier"](())
    blind.load_state_dict(seeing.state_dict())
