"""The CUDA backend on any machine: stand-ins take the place of the two packages and hold it to their rules.

The stand-ins have the signatures of mamba-ssm's ``selective_scan_fn`` and causal-conv1d's ``causal_conv1d_fn``
and check what the real ones demand: layout, strides, dtypes, sizes. They compute with the reference.
"""

import sys
from types import ModuleType

import pytest
import torch
from ops_cases import CONVS, SCANS, Conv, Scan, as_float64, assert_close, operator_arguments, results
from torch import Tensor

from mambadfuse.ops import cuda, reference, traced

KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def fake_selective_scan_fn(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False
):
    (batch, dim, length), state = u.shape, A.shape[1]
    assert u.dtype in KERNEL_DTYPES
    assert state <= 256
    for x in (u, delta, z):
        assert x is None or (x.shape == (batch, dim, length) and x.dtype == u.dtype and x.stride(-1) == 1)
    for x in (B, C):
        assert x.shape == (batch, state, length)
        assert x.dtype == u.dtype
        assert x.stride(-1) == 1
    assert A.shape == (dim, state)
    assert A.dtype == torch.float32
    for x in (D, delta_bias):
        assert x is None or (x.shape == (dim,) and x.dtype == torch.float32 and x.stride(-1) == 1)
    tokens = [None if x is None else x.mT.float() for x in (u, delta, B, C, z)]
    y, state = reference.selective_scan(
        *tokens[:2], A, *tokens[2:4], D, tokens[4], delta_bias, delta_softplus, None
    )
    y = y.mT.to(u.dtype)
    return (y, state) if return_last_state else y


def fake_causal_conv1d_fn(
    x, weight, bias=None, seq_idx=None, initial_states=None, return_final_states=False, final_states_out=None,
    activation=None,
):  # fmt: skip
    assert x.dtype in KERNEL_DTYPES
    assert x.stride() == (x.shape[1] * x.shape[2], x.shape[2], 1)  # else it means channels last
    assert weight.shape[0] == x.shape[1]
    assert 2 <= weight.shape[1] <= 4
    assert weight.dtype in KERNEL_DTYPES
    assert weight.stride(-1) == 1
    assert bias is None or (bias.shape == (x.shape[1],) and bias.dtype == weight.dtype)
    assert activation in (None, "silu", "swish")
    assert (seq_idx, initial_states, return_final_states, final_states_out) == (None, None, False, None)
    y = reference.causal_conv1d(x.mT.float(), weight, bias, activation, None)
    return y.mT.to(x.dtype)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch):
    mamba, causal = ModuleType("mamba_ssm.ops.selective_scan_interface"), ModuleType("causal_conv1d")
    mamba.selective_scan_fn = fake_selective_scan_fn
    causal.causal_conv1d_fn = fake_causal_conv1d_fn
    for module in (ModuleType("mamba_ssm"), ModuleType("mamba_ssm.ops"), mamba, causal):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state) -> tuple[Tensor, Tensor]:
    """The backend's scan; its last state is cut off from the gradients, so the loss must not use it."""
    y, last_state = cuda.selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state)
    assert not last_state.requires_grad
    return y, last_state


def run_cuda(case: Scan, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return cuda.selective_scan(**tensors, **case.flags())


def run_reference(case: Scan, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return reference.selective_scan(**tensors, **case.flags())


@pytest.mark.parametrize("case", [c for c in SCANS if c.length < 300], ids=str)
def test_scan_equals_the_recurrence(case: Scan):
    expected = results(
        reference.selective_scan, as_float64(case.tensors()), case.flags(), state_in_loss=False
    )
    found = results(scan, case.tensors(), case.flags(), state_in_loss=False)
    assert_close(found, expected)


@pytest.mark.parametrize("case", [c for c in CONVS if 2 <= c.width <= 4], ids=str)
def test_conv_equals_its_equation(case: Conv):
    assert_close(results(cuda.causal_conv1d, case.tensors(), case.flags()), case.expected())


@pytest.mark.parametrize("given", [("D", "z", "delta_bias", "bias", "initial_state"), ()])
def test_the_kernels_survive_tracing(given: tuple[str, ...]):
    scan, conv = Scan(length=5, dim=3, given=given), Conv(length=5, dim=3, given=given)
    torch.library.opcheck(traced.selective_scan, operator_arguments(scan, cuda.__name__))
    torch.library.opcheck(traced.causal_conv1d, operator_arguments(conv, cuda.__name__))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", [Scan(), Scan(given=("D", "z", "delta_bias"))], ids=str)
def test_scan_in_half_precision(case: Scan, dtype: torch.dtype):
    half = {name: x if x is None else x.to(dtype) for name, x in case.tensors().items()}
    wide = {name: x if x is None else x.float() for name, x in half.items()}
    (y, h), (y32, h32) = run_cuda(case, half), run_reference(case, wide)
    assert y.dtype == dtype
    assert h.dtype == torch.float32
    assert_close({"y": y, "h": h}, {"y": y32, "h": h32}, torch.finfo(dtype).eps)
    found = results(scan, half, case.flags(), state_in_loss=False)
    expected = results(reference.selective_scan, wide, case.flags(), state_in_loss=False)
    assert_close(found, expected, 0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_conv_in_half_precision(dtype: torch.dtype):
    case = Conv()
    half = {name: x.to(dtype) for name, x in case.tensors().items()}
    wide = {name: x.float() for name, x in half.items()}
    y = cuda.causal_conv1d(**half, **case.flags())
    assert y.dtype == dtype
    assert torch.equal(y, reference.causal_conv1d(**wide, **case.flags()).to(dtype))


def test_parameters_in_float32_beside_activations_in_half_precision():
    """What autocast produces: every kind of argument has its own dtype."""
    case = Scan()
    tensors = case.tensors()
    tensors |= {name: tensors[name].bfloat16() for name in ("u", "B", "C")}
    y, h = run_cuda(case, tensors)
    expected = run_reference(case, {name: x.float() for name, x in tensors.items()})
    assert y.dtype == torch.bfloat16
    assert_close({"y": y, "h": h}, dict(zip("yh", expected, strict=True)), torch.finfo(y.dtype).eps)


def test_the_initial_state_is_written_exactly():
    """With steps of zero the scan returns the state it was given, bit for bit."""
    case = Scan(state=16, given=("initial_state",), softplus=False)
    tensors = case.tensors()
    tensors["delta"].zero_()
    tensors["initial_state"] *= 10 ** torch.linspace(-20, 20, 16)
    _, h = run_cuda(case, tensors)
    assert torch.equal(h, tensors["initial_state"])


def test_float64_is_refused():
    with pytest.raises(
        RuntimeError, match=r"float32, float16 or bfloat16, found u in torch.float64.*'torch'"
    ):
        run_cuda(Scan(), as_float64(Scan().tensors()))
    with pytest.raises(
        RuntimeError, match=r"float32, float16 or bfloat16, found x in torch.float64.*'torch'"
    ):
        cuda.causal_conv1d(**as_float64(Conv().tensors()), activation=None)


def test_too_many_states_are_refused():
    assert run_cuda(Scan(length=2), Scan(length=2, state=256).tensors())[0].isfinite().all()
    with pytest.raises(RuntimeError, match="at most 256 states, found A with 257: use backend='torch'"):
        run_cuda(Scan(length=2), Scan(length=2, state=257).tensors())


@pytest.mark.parametrize("width", [1, 5])
def test_filters_of_another_width_are_refused(width: int):
    with pytest.raises(RuntimeError, match=rf"\(2, 3, 4\) tokens, found {width}: use backend='torch'"):
        cuda.causal_conv1d(**Conv(width=width).tensors(), activation=None)


class _Broken:
    """A finder for which importing mamba-ssm fails as it does after an upgrade of PyTorch."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "mamba_ssm.ops.selective_scan_interface":
            raise OSError("selective_scan_cuda.so: undefined symbol")


def test_why_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    reason, remedy = cuda.unusable()
    assert "built without CUDA" in reason
    assert "NVIDIA GPU" in remedy
    assert "'numba'" in remedy
    assert "--no-build-isolation --no-cache-dir causal-conv1d mamba-ssm" in remedy
    assert remedy.index("install torch") < remedy.index("causal-conv1d")

    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    reason, remedy = cuda.unusable()
    assert "no NVIDIA GPU" in reason
    assert "'numba'" in remedy

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert cuda.unusable() is None

    monkeypatch.delitem(sys.modules, "mamba_ssm.ops.selective_scan_interface")
    monkeypatch.setattr(sys.modules["mamba_ssm.ops"], "__path__", [], raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Broken, *sys.meta_path])
    reason, remedy = cuda.unusable()
    assert reason == "OSError: selective_scan_cuda.so: undefined symbol"
    assert "nvcc" in remedy
    assert "--no-build-isolation --no-cache-dir causal-conv1d mamba-ssm" in remedy
