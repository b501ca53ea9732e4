"""The public signature of each operation: check the arguments, choose the backend, call it."""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops import exported, traced
from mambadfuse.ops.gpu import sizes

_log = logging.getLogger("mambadfuse")

_MODULES = {
    "reference": "mambadfuse.ops.reference",
    "torch": "mambadfuse.ops.chunked",
    "numba": "mambadfuse.ops.cpu.autograd",
    "triton": "mambadfuse.ops.gpu.backend",
    "cuda": "mambadfuse.ops.cuda",
}
_TAKES_HALF_PRECISION = {_MODULES["triton"], _MODULES["cuda"]}  # without being widened first
_COMPUTES_WHOLE_SSM = {_MODULES["triton"]}


@dataclass(frozen=True)
class Backend:
    """Whether one backend can be used on this machine.

    If not, ``reason`` says why and ``remedy`` what to do about it; otherwise both are empty.
    """

    name: str
    usable: bool
    reason: str = ""
    remedy: str = ""


def backends() -> dict[str, Backend]:
    """Every backend by name, with reason and remedy where it cannot be used here."""
    return {name: _probe(name) for name in _MODULES}


@cache
def _probe(name: str) -> Backend:
    try:
        module = importlib.import_module(_MODULES[name])
    except Exception as error:  # an import can fail with anything: ABI, driver, missing library
        return Backend(name, False, f"{type(error).__name__}: {error}", f"pip install --upgrade {name}")
    unusable: Callable[[], tuple[str, str] | None] = getattr(module, "unusable", lambda: None)
    problem = unusable()
    return Backend(name, True) if problem is None else Backend(name, False, *problem)


_preferred: ContextVar[str] = ContextVar("preferred", default="auto")


def _require_known(name: str) -> None:
    if name not in _MODULES:
        raise ValueError(f"unknown backend {name!r}: choose one of {', '.join(_MODULES)} or 'auto'")


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within the ``with`` block, calls with backend "auto" use this one.

    >>> u, A, B = torch.ones(1, 3, 2), -torch.ones(2, 4), torch.ones(1, 3, 4)
    >>> with use_backend("reference"):
    ...     y = selective_scan(u, u, A, B, B)

    Raises:
        ValueError: there is no backend of that name.
    """
    if name != "auto":
        _require_known(name)
    token = _preferred.set(name)
    try:
        yield
    finally:
        _preferred.reset(token)


@cache
def _announce(name: str, device: str) -> None:
    _log.info("backend=auto: using %r on %s", name, device)


def _choose(backend: str, x: Tensor) -> str:
    """The name of a backend's module; for "auto" that of the preferred one for the device and dtype of x.

    While a network is exported, every choice is overruled by the one that can be exported.
    """
    return exported.__name__ if torch.compiler.is_exporting() else _module(backend, x.device, x.dtype)


def _module(backend: str, device: torch.device, dtype: torch.dtype) -> str:
    backend = _preferred.get() if backend == "auto" else backend
    transformed = torch._C._are_functorch_transforms_active()  # by torch.func: grad, vmap, jvp ...
    if backend == "auto" and transformed:
        backend = "reference"
    elif backend == "auto":
        fast = {"cuda": ("cuda", "triton"), "cpu": ("numba",)}.get(device.type, ())
        usable = [name for name in fast if dtype != torch.float64 and _probe(name).usable]
        backend = usable[0] if usable else "torch"
        _announce(backend, str(device))
    _require_known(backend)
    if transformed and backend != "reference":
        raise RuntimeError(f"torch.func cannot transform backend {backend!r}: use 'reference'")
    found = _probe(backend)
    if not found.usable:
        raise RuntimeError(f"backend {backend!r} is not usable here: {found.reason}. Remedy: {found.remedy}")
    if backend == "cuda" and device.type != "cuda":
        raise RuntimeError(
            f"backend 'cuda' computes on an NVIDIA GPU, found a tensor on {device}: use 'auto'"
        )
    return _MODULES[backend]


# what torch.compiler.assume_constant_result does, without its import of torch._dynamo, a second for every program
_module._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _is_traced_by_compile() -> bool:
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def supports_mamba_inner(x: Tensor) -> bool:
    """Whether tokens x (B, L, C) suit the fused Mamba unit, :func:`mambadfuse.ops.cpu.mamba_inner.mamba_inner`.

    Its kernels take at least sixteen channels, in float32 on a CPU. With gradients they run in parallel over the
    batch, not along a sequence: where that would leave more than half of the threads idle, separate operations
    are faster.
    """
    if torch.compiler.is_compiling():  # the operations by themselves can be traced
        return False
    if torch.is_autocast_enabled(x.device.type) or x.dtype != torch.float32 or x.shape[-1] < 16:
        return False
    enough_jobs = not torch.is_grad_enabled() or 2 * x.shape[0] >= torch.get_num_threads()
    return enough_jobs and _choose("auto", x) == _MODULES["numba"]


def supports_selective_ssm(x: Tensor, rank: int) -> bool:
    """Whether :func:`selective_ssm` of tokens x (B, L, D) is one operation here, with backend "auto", and pays.

    It computes the step sizes, of that rank, as often as it needs them. Beyond a rank of sixteen, 256 channels in the
    network, an A100 would on paper rather read them again (benchmarks/NOTES.md).
    """
    return _choose("auto", x) in _COMPUTES_WHOLE_SSM and rank <= sizes.LARGEST_RANK


def _require_tensors(**arguments: object) -> None:
    for name, x in arguments.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a tensor, found {type(x).__name__}")


def _expect(name: str, x: Tensor | None, shape: tuple[int, ...], letters: str, like: Tensor) -> None:
    if x is None:
        return
    _require_tensors(**{name: x})
    if tuple(x.shape) != shape:
        raise ValueError(f"{name} must have shape {letters} = {shape}, found {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, found {x.dtype}")
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, expected {like.device}, that of the first argument")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    backend: str = "auto",
    *,
    initial_state: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """The selective state-space model of Mamba (Gu and Dao 2023, section 3; MambaDFuse section 3.1).

        Δ  = softplus(delta + delta_bias)                      (if delta_softplus)
        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t
        y_t = Σ_n C_t h_t + D u_t,   then   y_t · silu(z_t)    (if z is given)

    Args:
        u: input, (B, L, D).
        delta: step sizes before bias and softplus, (B, L, D).
        A: state matrix, one diagonal per channel, (D, N); negative in every trained model.
        B: input projection of each token, (B, L, N).
        C: output projection of each token, (B, L, N).
        D: weight of the skip connection, (D,).
        z: gate before its silu, (B, L, D).
        delta_bias: added to delta before the softplus, (D,).
        delta_softplus: whether Δ = softplus(delta + delta_bias).
        return_last_state: whether to return h_L as well; with "cuda" no gradient flows through it.
        backend: "reference", "torch", "numba", "triton", "cuda" or "auto" (the preferred one here; logged once).
        initial_state: h_0, (B, D, N); zero if absent. Two scans over the halves of a sequence, the second from
            the last state of the first, equal one scan.

    Returns:
        y, (B, L, D), in the dtype of u; with ``return_last_state`` also h_L, (B, D, N), in float32
        (float64 if u is). Half-precision inputs are computed in float32.

    Raises:
        ValueError: a shape or device does not fit; the message names the argument.
        TypeError: an argument is not a floating-point tensor.
        RuntimeError: the named backend cannot be used here; the message gives reason and remedy.
    """
    _require_tensors(u=u, delta=delta, A=A, B=B, C=C)
    if u.ndim != 3 or u.shape[1] == 0:
        raise ValueError(f"u must have shape (B, L, D) with L >= 1, found {tuple(u.shape)}")
    if A.ndim != 2:
        raise ValueError(f"A must have shape (D, N), found {tuple(A.shape)}")
    (batch, length, dim), state = u.shape, A.shape[1]
    _expect("u", u, (batch, length, dim), "(B, L, D)", u)
    _expect("delta", delta, (batch, length, dim), "(B, L, D)", u)
    _expect("A", A, (dim, state), "(D, N)", u)
    _expect("B", B, (batch, length, state), "(B, L, N)", u)
    _expect("C", C, (batch, length, state), "(B, L, N)", u)
    _expect("D", D, (dim,), "(D,)", u)
    _expect("z", z, (batch, length, dim), "(B, L, D)", u)
    _expect("delta_bias", delta_bias, (dim,), "(D,)", u)
    _expect("initial_state", initial_state, (batch, dim, state), "(B, D, N)", u)
    module = _choose(backend, u)
    arguments = [u, delta, A, B, C, D, z, delta_bias]
    if module not in _TAKES_HALF_PRECISION:
        wide = torch.float64 if u.dtype == torch.float64 else torch.float32
        arguments = [None if x is None else x.to(wide) for x in arguments]
        initial_state = None if initial_state is None else initial_state.to(wide)
    if _is_traced_by_compile():
        y, last_state = traced.selective_scan(*arguments, initial_state, delta_softplus, module)
    else:
        y, last_state = importlib.import_module(module).selective_scan(
            *arguments, delta_softplus, initial_state
        )
    y = y.to(u.dtype)
    return (y, last_state) if return_last_state else y


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    backend: str = "auto",
    *,
    initial_state: Tensor | None = None,
) -> Tensor:
    """Depthwise causal convolution over the tokens, the local mixing before Mamba's scan.

        y_t = bias + Σ_k weight[k] x_{t - (W-1) + k},   then silu(y_t)    (if activation)

    Args:
        x: tokens, (B, L, D).
        weight: one filter per channel, (D, W).
        bias: (D,).
        activation: None, "silu" or "swish", another name for it.
        backend: as in :func:`selective_scan`.
        initial_state: the W - 1 tokens before x, (B, W - 1, D); zero if absent.

    Returns:
        y, (B, L, D), in the dtype of x.

    Raises:
        ValueError: a shape, device or activation does not fit; the message names the argument.
        TypeError: an argument is not a floating-point tensor.
        RuntimeError: the named backend cannot be used here; the message gives reason and remedy.
    """
    _require_tensors(x=x, weight=weight)
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x must have shape (B, L, D) with L >= 1, found {tuple(x.shape)}")
    if weight.ndim != 2 or weight.shape[1] == 0:
        raise ValueError(f"weight must have shape (D, W) with W >= 1, found {tuple(weight.shape)}")
    if activation not in (None, "silu", "swish"):
        raise ValueError(f"activation must be None, 'silu' or 'swish', found {activation!r}")
    (batch, length, dim), width = x.shape, weight.shape[1]
    _expect("x", x, (batch, length, dim), "(B, L, D)", x)
    _expect("weight", weight, (dim, width), "(D, W)", x)
    _expect("bias", bias, (dim,), "(D,)", x)
    _expect("initial_state", initial_state, (batch, width - 1, dim), "(B, W - 1, D)", x)
    module = _choose(backend, x)
    arguments = [x, weight, bias]
    if module not in _TAKES_HALF_PRECISION:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        arguments = [None if a is None else a.to(wide) for a in arguments]
        initial_state = None if initial_state is None else initial_state.to(wide)
    if _is_traced_by_compile():
        y = traced.causal_conv1d(*arguments, initial_state, activation, module)
    else:
        y = importlib.import_module(module).causal_conv1d(*arguments, activation, initial_state)
    return y.to(x.dtype)


def selective_ssm(
    x: Tensor,
    conv: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    backend: str = "auto",
    *,
    conv_state: Tensor | None = None,
    ssm_state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Convolution, selective scan with parameters computed from each token, gate (Gu and Dao 2023, section 3.4).

        u = silu(conv(x));   Δ_raw, B, C = x_proj u;   Δ = softplus(dt_proj Δ_raw + dt_bias)
        y = scan(u, Δ, A, B, C) + D u,   then   y · silu(z)    (if z is given)

    With "triton" it is one operation that writes neither u nor Δ to memory; with the others it is
    :func:`causal_conv1d`, two matrix products and :func:`selective_scan`. R is the rank of the step size.

    Args:
        x: tokens, (B, L, D).
        conv: one filter per channel, (D, W).
        conv_bias: (D,).
        x_proj: from u to Δ_raw, B and C, (R + 2N, D).
        dt_proj: from Δ_raw to Δ before bias and softplus, (D, R).
        dt_bias: (D,).
        A: state matrix, one diagonal per channel, (D, N).
        D: weight of the skip connection, (D,).
        z: gate before its silu, (B, L, D).
        backend: as in :func:`selective_scan`.
        conv_state: the W - 1 tokens before x, (B, W - 1, D); zero if absent.
        ssm_state: the state of the scan before the first token, (B, D, N); zero if absent.

    Returns:
        y, (B, L, D), in the dtype of x, and the last state, (B, D, N), in float32 (float64 if x is). In half precision
        what the projections give has the dtype of x, too; convolution and scan are computed in float32.

    Raises:
        ValueError: a shape or device does not fit; the message names the argument.
        TypeError: an argument is not a floating-point tensor.
        RuntimeError: the named backend cannot be used here; the message gives reason and remedy.

    >>> x, A, vector = torch.ones(1, 5, 2), -torch.ones(2, 4), torch.ones(2)
    >>> y, last_state = selective_ssm(x, A, vector, torch.ones(9, 2), torch.ones(2, 1), vector, A, vector)
    >>> y.shape, last_state.shape
    (torch.Size([1, 5, 2]), torch.Size([1, 2, 4]))
    """
    _require_tensors(
        x=x, conv=conv, conv_bias=conv_bias, x_proj=x_proj, dt_proj=dt_proj, dt_bias=dt_bias, A=A, D=D
    )
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x must have shape (B, L, D) with L >= 1, found {tuple(x.shape)}")
    for name, matrix, letters in (
        ("conv", conv, "(D, W) with W >= 1"),
        ("dt_proj", dt_proj, "(D, R) with R >= 1"),
        ("A", A, "(D, N) with N >= 1"),
    ):
        if matrix.ndim != 2 or matrix.shape[1] == 0:
            raise ValueError(f"{name} must have shape {letters}, found {tuple(matrix.shape)}")
    (batch, length, dim), width, rank, state = x.shape, conv.shape[1], dt_proj.shape[1], A.shape[1]
    _expect("x", x, (batch, length, dim), "(B, L, D)", x)
    _expect("conv", conv, (dim, width), "(D, W)", x)
    _expect("conv_bias", conv_bias, (dim,), "(D,)", x)
    _expect("dt_proj", dt_proj, (dim, rank), "(D, R)", x)
    _expect("A", A, (dim, state), "(D, N)", x)
    _expect("x_proj", x_proj, (rank + 2 * state, dim), "(R + 2N, D)", x)
    _expect("dt_bias", dt_bias, (dim,), "(D,)", x)
    _expect("D", D, (dim,), "(D,)", x)
    _expect("z", z, (batch, length, dim), "(B, L, D)", x)
    _expect("conv_state", conv_state, (batch, width - 1, dim), "(B, W - 1, D)", x)
    _expect("ssm_state", ssm_state, (batch, dim, state), "(B, D, N)", x)
    module = _choose(backend, x)
    if module in _COMPUTES_WHOLE_SSM:
        arguments = x, z, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, conv_state, ssm_state
        if _is_traced_by_compile():
            return traced.selective_ssm(*arguments, module)
        return importlib.import_module(module).selective_ssm(*arguments)
    u = causal_conv1d(x, conv, conv_bias, "silu", backend, initial_state=conv_state)
    raw, B, C = F.linear(u, x_proj.to(u.dtype)).split([rank, state, state], dim=-1)
    delta = F.linear(raw, dt_proj.to(raw.dtype))
    found = selective_scan(u, delta, A, B, C, D, z, dt_bias, True, True, backend, initial_state=ssm_state)
    return cast(tuple[Tensor, Tensor], found)
