"""The Triton kernels as differentiable PyTorch operations."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from mambadfuse.ops.first_derivative import first_derivative_only
from mambadfuse.ops.gpu import launches
from mambadfuse.ops.gpu.launches import Convolution, ScanInputs, rows

Method = TypeVar("Method", bound=Callable[..., Any])


def _on_its_device(method: Method) -> Method:
    """Launches kernels on the device of the first tensor; Triton takes whichever is current."""

    @wraps(method)
    def guarded(ctx: Any, first: Tensor, *others: Any) -> Any:
        with torch.cuda.device_of(first):
            return method(ctx, first, *others)

    return cast(Method, guarded)


class _Scan(torch.autograd.Function):
    @staticmethod
    @_on_its_device
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor,
        z: Tensor | None,
        delta_bias: Tensor,
        softplus: bool,
        initial_state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        inputs = ScanInputs(u, delta, A, B, C, D, z, delta_bias)
        y, last_state, *kept = launches.scan(inputs, softplus, initial_state)
        ctx.save_for_backward(*kept, u, delta, A, B, C, D, z, delta_bias)
        ctx.softplus = softplus
        return y, last_state

    @staticmethod
    @first_derivative_only
    @_on_its_device
    def backward(ctx: Any, dy: Tensor, dlast_state: Tensor) -> tuple[Tensor | None, ...]:
        starts, steps, *tensors = ctx.saved_tensors
        inputs = ScanInputs(*tensors)
        found = launches.scan_backward(
            inputs, ctx.softplus, starts, steps, rows(dy), dlast_state.contiguous()
        )
        dB, dC = (x.to(inputs.B.dtype) for x in found.projected.chunk(2, -1))
        return (
            found.u, found.delta, found.A, dB, dC, found.D, found.z, found.delta_bias, None, found.initial_state,
        )  # fmt: skip


def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As :func:`mambadfuse.ops.gpu.backend.selective_scan`."""
    dim = u.shape[2]
    D = A.new_zeros(dim) if D is None else D.contiguous()
    delta_bias = A.new_zeros(dim) if delta_bias is None else delta_bias.contiguous()
    u, delta, B, C = (rows(x) for x in (u, delta, B, C))
    z = None if z is None else rows(z)
    return _Scan.apply(
        u, delta, A.contiguous(), B, C, D, z, delta_bias, delta_softplus, _state(initial_state, u, A)
    )


class _Conv(torch.autograd.Function):
    @staticmethod
    @_on_its_device
    def forward(ctx: Any, x: Tensor, past: Tensor, weight: Tensor, bias: Tensor, activate: bool) -> Tensor:
        ctx.save_for_backward(x, past, weight, bias)
        ctx.activate = activate
        return launches.convolve(x, Convolution(past, weight, bias), activate)

    @staticmethod
    @first_derivative_only
    @_on_its_device
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *conv = ctx.saved_tensors
        dx, dconv = launches.convolution_gradients(x, Convolution(*conv), ctx.activate, rows(dy))
        return dx, *dconv, None


def conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """As :func:`mambadfuse.ops.gpu.backend.causal_conv1d`."""
    bias = x.new_zeros(x.shape[2]) if bias is None else bias.contiguous()
    past = _past(initial_state, x, weight)
    return _Conv.apply(rows(x), past, weight.contiguous(), bias, activation is not None)


class _SSM(torch.autograd.Function):
    """Kept for the backward are x, z, what x_proj gives, and what the scan keeps; u and Δ are computed again.

    Two matrix products of the backward are PyTorch's; only they may differ between runs, where PyTorch's do.
    """

    @staticmethod
    @_on_its_device
    def forward(
        ctx: Any,
        x: Tensor,
        z: Tensor | None,
        conv: Tensor,
        conv_bias: Tensor,
        x_proj: Tensor,
        dt_proj: Tensor,
        dt_bias: Tensor,
        A: Tensor,
        D: Tensor,
        conv_state: Tensor,
        ssm_state: Tensor,
    ) -> tuple[Tensor, Tensor]:
        projected = launches.project(x, Convolution(conv_state, conv, conv_bias), x_proj)
        tensors = x, z, conv, conv_bias, dt_proj, dt_bias, A, D, conv_state, projected
        y, last_state, *kept = launches.scan(_inputs(*tensors), True, ssm_state)
        ctx.save_for_backward(x_proj, *kept, *tensors)
        return y, last_state

    @staticmethod
    @first_derivative_only
    @_on_its_device
    def backward(ctx: Any, dy: Tensor, dlast_state: Tensor) -> tuple[Tensor | None, ...]:
        x_proj, starts, steps, *tensors = ctx.saved_tensors
        inputs = _inputs(*tensors)
        x, conv = inputs.u, cast(Convolution, inputs.conv)
        found = launches.scan_backward(inputs, True, starts, steps, rows(dy), dlast_state.contiguous())
        with torch.autocast(x.device.type, enabled=False):
            dprojected = found.projected.to(x.dtype).flatten(0, 1)  # (B L, P)
            du = found.u.flatten(0, 1).addmm_(dprojected, x_proj.to(x.dtype)).view(x.shape)
            dx_proj = dprojected.t() @ cast(Tensor, found.convolved).flatten(0, 1)
        dx, dconv = launches.convolution_gradients(x, conv, True, du)
        return (
            dx, found.z, dconv.weight, dconv.bias, dx_proj.to(x_proj.dtype), found.dt_proj, found.delta_bias,
            found.A, found.D, dconv.past, found.initial_state,
        )  # fmt: skip


def _inputs(
    x: Tensor,
    z: Tensor | None,
    conv: Tensor,
    conv_bias: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    conv_state: Tensor,
    projected: Tensor,
) -> ScanInputs:
    raw, B, C = projected.split([dt_proj.shape[1], A.shape[1], A.shape[1]], dim=-1)
    return ScanInputs(x, raw, A, B, C, D, z, dt_bias, Convolution(conv_state, conv, conv_bias), dt_proj)


def ssm(
    x: Tensor,
    z: Tensor | None,
    conv: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    conv_state: Tensor | None,
    ssm_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As :func:`mambadfuse.ops.gpu.backend.selective_ssm`."""
    weights = (w.contiguous() for w in (conv, conv_bias, x_proj, dt_proj, dt_bias, A, D))
    z = None if z is None else rows(z)
    return _SSM.apply(rows(x), z, *weights, _past(conv_state, x, conv), _state(ssm_state, x, A))


def _past(tokens: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """The W - 1 tokens before x, zero if there are none."""
    return x.new_zeros(len(x), weight.shape[1] - 1, x.shape[2]) if tokens is None else tokens.contiguous()


def _state(state: Tensor | None, u: Tensor, A: Tensor) -> Tensor:
    """The state before the first token, in float32, zero if there is none."""
    return (A.new_zeros(len(u), *A.shape) if state is None else state.contiguous()).float()
