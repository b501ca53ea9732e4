"""The Triton kernels as differentiable PyTorch operations."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
import triton
from torch import Tensor

from mambadfuse.ops.first_derivative import first_derivative_only
from mambadfuse.ops.gpu import sizes
from mambadfuse.ops.gpu.causal_conv1d import conv_backward, conv_forward
from mambadfuse.ops.gpu.selective_scan import (
    carry_states,
    scan_chunks,
    scan_gradients,
    summarise_chunks,
    summarise_gradients,
)


def _rows(x: Tensor) -> Tensor:
    """x (B, L, D) so that token t of batch element b begins (b L + t) ``x.stride(1)`` numbers after the first."""
    regular = x.stride(2) == 1 and (x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if regular and x.shape[1] > 1 else x.clone(memory_format=torch.contiguous_format)


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
        (batch, length, dim), state = u.shape, A.shape[1]
        chunks, blocks, states = (
            -(-length // sizes.CHUNK),
            -(-dim // sizes.CHANNELS),
            triton.next_power_of_2(state),
        )
        reached, starts = (A.new_empty(batch, chunks, state, dim, dtype=torch.float32) for _ in range(2))
        steps = A.new_empty(batch, chunks, dim, dtype=torch.float32)
        y, last_state = u.new_empty(u.shape), A.new_empty(batch, dim, state, dtype=torch.float32)
        u_row, delta_row, B_row, C_row = (x.stride(1) for x in (u, delta, B, C))
        counts = length, chunks, dim, state
        grid = chunks, blocks, batch
        summarise_chunks[grid](
            u, delta, A, B, delta_bias, reached, steps, u_row, delta_row, B_row, *counts,
            SOFTPLUS=softplus, CHUNK=sizes.CHUNK, CHANNELS=sizes.CHANNELS, STATES=states, num_warps=1,
        )  # fmt: skip
        carry_states[state, blocks, batch](
            reached, steps, A, initial_state, starts, last_state, *counts[1:],
            REVERSE=False, CARRIED=sizes.CARRIED, CHANNELS=sizes.CHANNELS,
        )  # fmt: skip
        scan_chunks[grid](
            u, delta, A, B, C, D, z, delta_bias, starts, y,
            u_row, delta_row, B_row, C_row, 0 if z is None else z.stride(1), *counts,
            SOFTPLUS=softplus, GATED=z is not None,
            CHUNK=sizes.CHUNK, CHANNELS=sizes.CHANNELS, STATES=states, num_warps=1,
        )  # fmt: skip
        ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, starts, steps)
        ctx.softplus = softplus
        return y, last_state

    @staticmethod
    @first_derivative_only
    @_on_its_device
    def backward(ctx: Any, dy: Tensor, dlast_state: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, z, delta_bias, starts, steps = ctx.saved_tensors
        (batch, length, dim), state = u.shape, A.shape[1]
        chunks, states = starts.shape[1], triton.next_power_of_2(state)
        blocks, parts = -(-dim // sizes.CHANNELS), -(-dim // sizes.GRADIENT_CHANNELS)
        flags = {"SOFTPLUS": ctx.softplus, "GATED": z is not None}
        dy, counts, z_row = _rows(dy), (length, chunks, dim, state), 0 if z is None else z.stride(1)
        reached, ends = torch.empty_like(starts), torch.empty_like(starts)
        dinitial_state = A.new_empty(batch, dim, state, dtype=torch.float32)
        summarise_gradients[chunks, blocks, batch](
            delta, A, C, z, delta_bias, dy, reached, delta.stride(1), C.stride(1), z_row, dy.stride(1), *counts,
            **flags, CHUNK=sizes.CHUNK, CHANNELS=sizes.CHANNELS, STATES=states, num_warps=1,
        )  # fmt: skip
        carry_states[state, blocks, batch](
            reached, steps, A, dlast_state.contiguous(), ends, dinitial_state, *counts[1:],
            REVERSE=True, CARRIED=sizes.CARRIED, CHANNELS=sizes.CHANNELS,
        )  # fmt: skip
        du, ddelta = u.new_empty(u.shape), delta.new_empty(delta.shape)
        dz = None if z is None else z.new_empty(z.shape)
        dB, dC = A.new_empty(2, parts, batch, length, state, dtype=torch.float32)
        dD, dbias = A.new_empty(2, batch, chunks, dim, dtype=torch.float32)
        dA, noted = (
            torch.empty_like(starts),
            starts.new_empty(batch, chunks, sizes.CHUNK // sizes.PIECE, state, dim),
        )
        scan_gradients[chunks, parts, batch](
            u, delta, A, B, C, D, z, delta_bias, dy, starts, ends,
            noted, du, ddelta, dA, dB, dC, dD, dz, dbias,
            u.stride(1), delta.stride(1), B.stride(1), C.stride(1), z_row, dy.stride(1), *counts,
            **flags, CHUNK=sizes.CHUNK, PIECE=sizes.PIECE, CHANNELS=sizes.GRADIENT_CHANNELS, STATES=states, num_warps=1,
        )  # fmt: skip
        return (
            du, ddelta, dA.sum((0, 1)).t().to(A.dtype), dB.sum(0).to(B.dtype), dC.sum(0).to(C.dtype),
            dD.sum((0, 1)).to(D.dtype), dz, dbias.sum((0, 1)).to(delta_bias.dtype), None, dinitial_state,
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
    (batch, _, dim), state = u.shape, A.shape[1]
    D = A.new_zeros(dim) if D is None else D.contiguous()
    delta_bias = A.new_zeros(dim) if delta_bias is None else delta_bias.contiguous()
    initial_state = A.new_zeros(batch, dim, state) if initial_state is None else initial_state.contiguous()
    u, delta, B, C = (_rows(x) for x in (u, delta, B, C))
    z = None if z is None else _rows(z)
    return _Scan.apply(
        u, delta, A.contiguous(), B, C, D, z, delta_bias, delta_softplus, initial_state.float()
    )


class _Conv(torch.autograd.Function):
    @staticmethod
    @_on_its_device
    def forward(ctx: Any, x: Tensor, past: Tensor, weight: Tensor, bias: Tensor, activate: bool) -> Tensor:
        (batch, length, dim), width = x.shape, weight.shape[1]
        y = x.new_empty(x.shape)
        conv_forward[-(-length // sizes.CONV_CHUNK), -(-dim // sizes.CONV_CHANNELS), batch](
            x, past, weight, bias, y, x.stride(1), length, dim,
            WIDTH=width, ACTIVATE=activate, CHUNK=sizes.CONV_CHUNK, CHANNELS=sizes.CONV_CHANNELS,
        )  # fmt: skip
        ctx.save_for_backward(x, past, weight, bias)
        ctx.activate = activate
        return y

    @staticmethod
    @first_derivative_only
    @_on_its_device
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, past, weight, bias = ctx.saved_tensors
        (batch, length, dim), width = x.shape, weight.shape[1]
        chunks, dy = -(-(length + width - 1) // sizes.CONV_CHUNK), _rows(dy)
        dx, dpast = x.new_empty(x.shape), past.new_empty(past.shape)
        dweight = x.new_empty(batch, chunks, width, dim, dtype=torch.float32)
        dbias = x.new_empty(batch, chunks, dim, dtype=torch.float32)
        conv_backward[chunks, -(-dim // sizes.CONV_CHANNELS), batch](
            x, past, weight, bias, dy, dx, dpast, dweight, dbias, x.stride(1), dy.stride(1), length, dim,
            WIDTH=width, ACTIVATE=ctx.activate, CHUNK=sizes.CONV_CHUNK, CHANNELS=sizes.CONV_CHANNELS,
        )  # fmt: skip
        dweight = dweight.sum((0, 1)).t().to(weight.dtype)
        return dx, dpast, dweight, dbias.sum((0, 1)).to(bias.dtype), None


def conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """As :func:`mambadfuse.ops.gpu.backend.causal_conv1d`."""
    (batch, _, dim), width = x.shape, weight.shape[1]
    past = x.new_zeros(batch, width - 1, dim) if initial_state is None else initial_state.contiguous()
    bias = x.new_zeros(dim) if bias is None else bias.contiguous()
    return _Conv.apply(_rows(x), past, weight.contiguous(), bias, activation is not None)
