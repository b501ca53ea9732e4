"""One suite for every backend: outputs, last state and all gradients against the float64 recurrence."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import (
    CONVS,
    SCANS,
    SMALL_CONVS,
    SMALL_SCANS,
    SMALL_SSMS,
    SSM,
    Conv,
    Scan,
    as_float64,
    assert_close,
    results,
    share_of_all_states_kept,
    small_programs,
)
from torch import Tensor

from mambadfuse import ops
from mambadfuse.ops import chunked, reference

BACKENDS = ("reference", "torch", "numba")
TRITON = pytest.param(
    "triton",
    marks=[
        pytest.mark.skipif(
            not importlib.util.find_spec("triton"),
            reason="Triton is not installed: pip install triton (Linux)",
        ),
        pytest.mark.slow,  # interpreted
    ],
)
backend = pytest.mark.parametrize("backend", BACKENDS)
backend_and_triton = pytest.mark.parametrize("backend", [*BACKENDS, TRITON])  # where a small scan will do


@pytest.fixture(scope="module", autouse=True)
def programs() -> Iterator[None]:
    with small_programs():
        yield


def scan_case(backend: str) -> Scan:
    """A scan, for Triton's interpreter a small one."""
    return Scan(length=5, dim=3) if backend == "triton" else Scan()


Cases = list[Scan] | list[Conv] | list[SSM]


def on_every_backend(cases: Cases, small: Cases) -> object:
    """The parameters backend and case; for Triton's interpreter the small ones."""
    return pytest.mark.parametrize(
        ("backend", "case"),
        [
            *[pytest.param(b, case, id=f"{b}-{case}") for b in BACKENDS for case in cases],
            *[pytest.param("triton", case, id=f"triton-{case}", marks=TRITON.marks) for case in small],
        ],
    )


def scan_with(backend: str) -> partial:
    return partial(ops.selective_scan, return_last_state=True, backend=backend)


def conv_with(backend: str) -> partial:
    return partial(ops.causal_conv1d, backend=backend)


def ssm_with(backend: str) -> partial:
    return partial(ops.selective_ssm, backend=backend)


# ----------------------------------------------------------------------------------- against the recurrence


@on_every_backend(SCANS, SMALL_SCANS)
def test_scan_equals_the_recurrence(backend: str, case: Scan):
    assert_close(results(scan_with(backend), case.tensors(), case.flags()), case.expected())


@on_every_backend(CONVS, SMALL_CONVS)
def test_conv_equals_its_equation(backend: str, case: Conv):
    assert_close(results(conv_with(backend), case.tensors(), case.flags()), case.expected())


@on_every_backend(SMALL_SSMS, SMALL_SSMS)
def test_ssm_equals_its_equations(backend: str, case: SSM):
    assert_close(results(ssm_with(backend), case.tensors(), case.flags()), case.expected())


@backend_and_triton
def test_scan_gradients_without_the_last_state_in_the_loss(backend: str):
    case = scan_case(backend)
    expected = results(
        reference.selective_scan, as_float64(case.tensors()), case.flags(), state_in_loss=False
    )
    assert_close(results(scan_with(backend), case.tensors(), case.flags(), state_in_loss=False), expected)


@backend_and_triton
def test_only_the_wanted_gradients_are_needed(backend: str):
    case = scan_case(backend)
    tensors = case.tensors()
    tensors["A"].requires_grad_()
    y, h = scan_with(backend)(**tensors, **case.flags())
    (y.sum() + h.sum()).backward()
    assert tensors["A"].grad.isfinite().all()
    assert all(x.grad is None for name, x in tensors.items() if name != "A")


@backend_and_triton
def test_no_gradient_mode_gives_the_same_numbers(backend: str):
    case = scan_case(backend)
    tensors = {name: x.requires_grad_() for name, x in case.tensors().items()}
    y, h = scan_with(backend)(**tensors, **case.flags())
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y2, h2 = scan_with(backend)(**tensors, **case.flags())
        assert not y2.requires_grad
        assert torch.equal(y, y2)
        assert torch.equal(h, h2)


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_float64_gradcheck(backend: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunked, "CHUNK", 4)  # two chunks, the second one not full
    scan = as_float64(Scan(batch=1, length=7, dim=2, state=2).tensors())
    inputs = [x.requires_grad_() for x in scan.values()]

    def call(*args: Tensor) -> tuple[Tensor, Tensor]:
        return scan_with(backend)(**dict(zip(scan, args, strict=True)), delta_softplus=True)

    assert torch.autograd.gradcheck(call, inputs)
    y, h = call(*inputs)
    assert y.dtype == h.dtype == torch.float64
    conv = [x.requires_grad_() for x in as_float64(Conv(batch=1, length=5, dim=2).tensors()).values()]
    assert torch.autograd.gradcheck(
        lambda x, w, b, h: ops.causal_conv1d(x, w, b, "silu", backend, initial_state=h), conv
    )


@pytest.mark.parametrize("backend", ["torch", "numba", TRITON])
def test_a_second_derivative_is_an_error_and_not_zero(backend: str):
    """Of a penalty on a gradient, say, which would otherwise train nothing."""
    for case, operation in (
        (scan_case(backend), ops.selective_scan),
        (Conv(), ops.causal_conv1d),
        (SSM(length=1), lambda **arguments: ops.selective_ssm(**arguments)[0]),
    ):
        if backend == "torch" and operation is ops.causal_conv1d:
            continue  # PyTorch's own operations
        tensors = {name: x.requires_grad_() for name, x in case.tensors().items()}
        y = operation(**tensors, **case.flags(), backend=backend)
        with pytest.raises(RuntimeError, match=r"first derivatives only.*use backend 'reference'"):
            torch.autograd.grad(y.sum(), list(tensors.values()), create_graph=True)


def test_torch_func_transforms_the_reference_alone():
    tensors = Scan(length=5, dim=3).tensors()
    us = torch.stack([tensors.pop("u"), torch.ones(2, 5, 3)])

    def total(u: Tensor, **named: str) -> Tensor:
        return ops.selective_scan(u, **tensors, **named).square().sum()

    found = torch.func.vmap(torch.func.grad(total))(us)
    for gradient, u in zip(found, us, strict=True):
        u = u.clone().requires_grad_()
        torch.testing.assert_close(gradient, *torch.autograd.grad(total(u), u))
    for backend in ("torch", "numba"):
        with pytest.raises(RuntimeError, match=f"cannot transform backend '{backend}': use 'reference'"):
            torch.func.grad(partial(total, backend=backend))(us[0])


# --------------------------------------------------------------------------------------------- known answers


@backend
def test_without_decay_the_scan_is_a_running_sum(backend: str):
    u = torch.randn(2, 300, 5)
    ones = torch.ones(2, 300, 1)
    y, h = scan_with(backend)(u, torch.ones_like(u), torch.zeros(5, 1), ones, ones)
    torch.testing.assert_close(y, u.double().cumsum(1).float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(h[..., 0], y[:, -1])


@backend
def test_an_impulse_decays_geometrically(backend: str):
    u = torch.zeros(1, 50, 3)
    u[:, 0] = 1
    rates = torch.tensor([[-0.5], [-1.0], [-2.0]])
    ones = torch.ones(1, 50, 1)
    y = ops.selective_scan(u, torch.full_like(u, 0.25), rates, ones, ones, backend=backend)
    expected = 0.25 * torch.exp(rates[:, 0] * 0.25 * torch.arange(50)[:, None])
    torch.testing.assert_close(y[0], expected, rtol=1e-5, atol=1e-7)


@backend_and_triton
@pytest.mark.parametrize("width", [1, 3, 4])
def test_conv_is_the_padded_grouped_convolution_of_torch(backend: str, width: int):
    x, weight, bias = torch.randn(2, 30, 17), torch.randn(17, width), torch.randn(17)
    expected = F.conv1d(F.pad(x.mT, (width - 1, 0)), weight[:, None], bias, groups=17).mT
    torch.testing.assert_close(ops.causal_conv1d(x, weight, bias, backend=backend), expected)
    torch.testing.assert_close(ops.causal_conv1d(x, weight, bias, "swish", backend), F.silu(expected))


# -------------------------------------------------------------------------------------------- memory layouts


def transposed(x: Tensor) -> Tensor:
    return x.mT.contiguous().mT if x.ndim > 1 else x


def every_second(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1)[..., ::2]


def cut_from_a_wider_one(x: Tensor) -> Tensor:
    return F.pad(x, (3, 5))[..., 3:-5]


def expanded(x: Tensor) -> Tensor:
    return x[:1].expand_as(x) if x.ndim == 3 else x


def one_step_for_all_channels(x: Tensor) -> Tensor:
    return x[..., :1].expand_as(x)


@backend_and_triton
@pytest.mark.parametrize(
    "layout", [transposed, every_second, cut_from_a_wider_one, expanded, one_step_for_all_channels]
)
def test_any_memory_layout_gives_the_same_numbers(backend: str, layout):
    for case, operation in (
        (scan_case(backend), scan_with(backend)),
        (Conv(), conv_with(backend)),
        (SSM(length=3), ssm_with(backend)),
    ):
        views = {name: layout(x) for name, x in case.tensors().items()}
        copies = {name: x.contiguous() for name, x in views.items()}
        assert_close(results(operation, views, case.flags()), results(operation, copies, case.flags()), 1e-6)


@backend_and_triton
@pytest.mark.parametrize("layout", [transposed, every_second, expanded])
def test_any_memory_layout_of_the_incoming_gradient(backend: str, layout):
    for case, operation in ((scan_case(backend), ops.selective_scan), (Conv(), ops.causal_conv1d)):
        tensors = {name: x.requires_grad_() for name, x in case.tensors().items()}
        y = operation(**tensors, **case.flags(), backend=backend)
        incoming = layout(torch.randn_like(y))
        inputs = list(tensors.values())
        found = torch.autograd.grad(y, inputs, incoming, retain_graph=True)
        expected = torch.autograd.grad(y, inputs, incoming.contiguous())
        torch.testing.assert_close(found, expected)


# ---------------------------------------------------------------------------------------------- hard numbers


@backend_and_triton
@pytest.mark.parametrize("huge", [1e4, 1e30])
@pytest.mark.parametrize("softplus", [False, True])
def test_huge_steps_forget_everything_and_overflow_nothing(backend: str, huge: float, softplus: bool):
    case = replace(scan_case(backend), softplus=softplus)
    tensors = case.tensors()
    tensors["delta"][:, 3::7] = huge
    expected = results(reference.selective_scan, as_float64(tensors), case.flags())
    assert_close(results(scan_with(backend), tensors, case.flags()), expected)


@backend_and_triton
def test_a_zero_step_leaves_the_state_as_it_is(backend: str):
    tensors = replace(scan_case(backend), given=("initial_state",)).tensors()
    tensors["delta"].zero_()
    y, h = scan_with(backend)(**tensors)
    assert torch.equal(h, tensors["initial_state"])
    expected = torch.einsum("bdn,bln->bld", tensors["initial_state"], tensors["C"])
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


@backend_and_triton
def test_softplus_is_accurate_on_both_sides_of_its_threshold(backend: str):
    raw = torch.cat([torch.linspace(-80, 80, 33), torch.linspace(-2, 22, 97)])
    delta = raw[None, None].requires_grad_()  # a channel for each number
    ones = torch.ones(1, 1, 1)  # one token from the state zero: y is the step itself
    y = ops.selective_scan(
        torch.ones_like(delta),
        delta,
        -torch.ones(len(raw), 1),
        ones,
        ones,
        delta_softplus=True,
        backend=backend,
    )
    (gradient,) = torch.autograd.grad(y.sum(), delta)
    raw = raw.detach().double()
    torch.testing.assert_close(y.flatten().double(), torch.log1p(raw.exp()), rtol=5e-6, atol=0)
    torch.testing.assert_close(gradient.flatten().double(), torch.sigmoid(raw), rtol=1e-5, atol=0)


@backend
@pytest.mark.parametrize("name", ["u", "delta", "B", "C", "z"])
def test_a_nan_shows_where_it_acts_and_nowhere_else(backend: str, name: str):
    case = Scan(batch=2, length=24, dim=18)
    clean = case.tensors()
    spoiled = {k: x.clone() for k, x in clean.items()}
    spoiled[name][0, 10, 0] = float("nan")
    before, after = (ops.selective_scan(**x, **case.flags(), backend=backend) for x in (clean, spoiled))
    channels = slice(None) if name in ("B", "C") else slice(0, 1)
    tokens = slice(10, 11) if name in ("C", "z") else slice(10, None)
    assert after[0, tokens, channels].isnan().all()
    after[0, tokens, channels] = before[0, tokens, channels]
    assert torch.equal(after, before)


@backend_and_triton
def test_a_nan_passes_through_the_conv(backend: str):
    case = Conv(width=3)
    x = case.tensors()
    before = ops.causal_conv1d(**x, **case.flags(), backend=backend)
    x["x"][1, 5, 17] = float("nan")
    after = ops.causal_conv1d(**x, **case.flags(), backend=backend)
    assert after[1, 5:8, 17].isnan().all()
    after[1, 5:8, 17] = before[1, 5:8, 17]
    assert torch.equal(after, before)


# ------------------------------------------------------------------------------------------------ properties

lengths = st.integers(2, 90)
few = settings(max_examples=12)


@backend
@few
@given(length=lengths, dim=st.integers(1, 20), data=st.data())
def test_two_pieces_with_the_state_carried_equal_one_scan(backend: str, length: int, dim: int, data):
    cut = data.draw(st.integers(1, length - 1), label="cut")
    case = Scan(length=length, dim=dim)
    tensors = case.tensors()
    scan = partial(scan_with(backend), **case.flags())
    whole, end = scan(**tensors)
    pieces, state = [], tensors.pop("initial_state")
    for part in (slice(None, cut), slice(cut, None)):
        cuts = {k: x[:, part] if k in ("u", "delta", "B", "C", "z") else x for k, x in tensors.items()}
        piece, state = scan(**cuts, initial_state=state)
        pieces.append(piece)
    assert_close({"y": torch.cat(pieces, 1), "h": state}, {"y": whole, "h": end})


@backend_and_triton
@few
@given(length=lengths, width=st.integers(1, 5), data=st.data())
def test_two_pieces_with_the_last_tokens_carried_equal_one_conv(backend: str, length: int, width: int, data):
    cut = data.draw(st.integers(1, length - 1), label="cut")
    case = Conv(length=length, width=width)
    tensors = case.tensors()
    conv = partial(conv_with(backend), weight=tensors["weight"], bias=tensors["bias"], **case.flags())
    x, past = tensors["x"], tensors["initial_state"]
    first = conv(x[:, :cut], initial_state=past)
    past = torch.cat([past, x[:, :cut]], 1)[:, cut:]
    second = conv(x[:, cut:], initial_state=past)
    whole = conv(x, initial_state=tensors["initial_state"])
    assert_close({"y": torch.cat([first, second], 1)}, {"y": whole})


@backend_and_triton
@pytest.mark.parametrize("width", [3, 4])
def test_two_pieces_with_both_states_carried_equal_one_ssm(backend: str, width: int):
    tensors = SSM(length=7, width=width).tensors()
    x, z, past, ssm_state = (tensors.pop(name) for name in ("x", "z", "conv_state", "ssm_state"))
    ssm = partial(ssm_with(backend), **tensors)
    whole, end = ssm(x, z=z, conv_state=past, ssm_state=ssm_state)
    pieces = []
    for part in (slice(2), slice(2, 7)):  # the first is shorter than the filter
        piece, ssm_state = ssm(x[:, part], z=z[:, part], conv_state=past, ssm_state=ssm_state)
        past = torch.cat([past, x[:, part]], 1)[:, 1 - width :]
        pieces.append(piece)
    assert_close({"y": torch.cat(pieces, 1), "h": ssm_state}, {"y": whole, "h": end})


@backend_and_triton
def test_a_nan_in_an_ssm_shows_at_its_token_and_after_it(backend: str):
    tensors = SSM(batch=2, length=6, width=3).tensors()
    before, _ = ssm_with(backend)(**tensors)
    tensors["x"][1, 3, 0] = float("nan")
    after, _ = ssm_with(backend)(**tensors)
    assert after[1, 3:].isnan().all()  # every channel, through B and C
    after[1, 3:] = before[1, 3:]
    assert torch.equal(after, before)


@backend
@few
@given(length=lengths, data=st.data())
def test_a_token_acts_on_no_token_before_it(backend: str, length: int, data):
    cut = data.draw(st.integers(0, length - 1), label="cut")
    for case, operation in (
        (Scan(length=length), ops.selective_scan),
        (Conv(length=length), ops.causal_conv1d),
    ):
        tensors = case.tensors()
        before = operation(**tensors, **case.flags(), backend=backend)
        for name in {"u", "delta", "B", "C", "z", "x"} & tensors.keys():
            tensors[name][:, cut:] += 1
        after = operation(**tensors, **case.flags(), backend=backend)
        assert torch.equal(before[:, :cut], after[:, :cut])
        assert not torch.equal(before[:, cut], after[:, cut])


@backend
@few
@given(length=lengths, a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_the_scan_is_linear_in_its_input(backend: str, length: int, a: float, b: float):
    case = Scan(length=length, given=("D", "z", "delta_bias"))
    tensors = case.tensors()
    first, second = tensors.pop("u"), torch.randn(2, length, case.dim)

    def scan(u: Tensor) -> Tensor:
        return ops.selective_scan(u, **tensors, **case.flags(), backend=backend)

    expected = a * scan(first) + b * scan(second)
    scale = scan(first).abs().max() + scan(second).abs().max()
    assert (scan(a * first + b * second) - expected).abs().max() < 1e-5 * scale


@backend
@few
@given(batch=st.integers(1, 4), dim=st.integers(1, 40))
def test_batch_elements_and_channels_are_independent(backend: str, batch: int, dim: int):
    case = Scan(batch=batch, dim=dim)
    tensors = case.tensors()
    y, h = scan_with(backend)(**tensors, **case.flags())
    b, d = batch - 1, slice(dim // 2, dim)
    alone = {
        "u": tensors["u"][b:, :, d], "delta": tensors["delta"][b:, :, d], "z": tensors["z"][b:, :, d],
        "B": tensors["B"][b:], "C": tensors["C"][b:], "A": tensors["A"][d], "D": tensors["D"][d],
        "delta_bias": tensors["delta_bias"][d], "initial_state": tensors["initial_state"][b:, d],
    }  # fmt: skip
    y2, h2 = scan_with(backend)(**alone, **case.flags())
    assert_close({"y": y2, "h": h2}, {"y": y[b:, :, d], "h": h[b:, d]})


# ------------------------------------------------------------------------------------------------- promises


@pytest.fixture
def threads():
    """Sets the number of threads; the old number comes back after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_numba_gives_the_same_bits_on_any_number_of_threads(threads):
    cases = [
        (Scan(batch=3, length=130, dim=120, state=16), scan_with("numba")),
        (Conv(batch=3, length=130, dim=120), conv_with("numba")),
    ]
    for case, operation in cases:
        found = []
        for n in (1, 2, 3, 2):
            threads(n)
            found.append(results(operation, case.tensors(), case.flags()))
        for other in found[1:]:
            assert all(torch.equal(x, other[name]) for name, x in found[0].items())


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_training_keeps_far_less_than_all_states(backend: str):
    assert share_of_all_states_kept(backend, length=512) < 1 / 4


@backend_and_triton
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32_and_rounded_once(backend: str, dtype: torch.dtype):
    if backend == "triton" and dtype == torch.bfloat16:
        pytest.skip("Triton's interpreter truncates to bfloat16; see test_ops_triton.py for this dtype")
    for case, operation in ((scan_case(backend), scan_with(backend)), (Conv(), conv_with(backend))):
        half = {name: x.to(dtype) for name, x in case.tensors().items()}
        wide = {name: x.float() for name, x in half.items()}
        y = operation(**half, **case.flags())
        expected = operation(**wide, **case.flags())
        if isinstance(y, tuple):
            assert torch.equal(y[1], expected[1])  # the state stays in float32
            y, expected = y[0], expected[0]
        assert y.dtype == dtype
        assert torch.equal(y, expected.to(dtype))
        gradients = results(operation, half, case.flags())
        assert all(gradients[f"d{name}"].dtype == dtype for name in half)
        assert_close(gradients, results(operation, wide, case.flags()), 0.02)


@backend_and_triton
def test_autocast_does_not_lower_the_precision_inside(backend: str):
    for case, operation in ((scan_case(backend), scan_with(backend)), (Conv(), conv_with(backend))):
        expected = results(operation, case.tensors(), case.flags())
        with torch.autocast("cpu", torch.bfloat16):
            found = results(operation, case.tensors(), case.flags())
        assert all(torch.equal(x, expected[name]) for name, x in found.items())


def test_arguments_may_differ_in_dtype():
    case = Scan()
    tensors = case.tensors()
    expected = ops.selective_scan(**tensors, **case.flags())
    tensors["A"], tensors["D"] = tensors["A"].double(), tensors["D"].double()
    assert torch.equal(ops.selective_scan(**tensors, **case.flags()), expected)
