"""The kernels launched: grids, flags and temporary tensors of each of the sequence operations and of its gradient.

Letters: B batch, L length, D channels, N states, W width of the convolution, R rank of the step size. Every tensor of
tokens has regular rows: token t of batch element b begins (b L + t) ``x.stride(1)`` numbers after the first.
"""

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from mambadfuse.ops.gpu import sizes
from mambadfuse.ops.gpu.causal_conv1d import conv_backward, conv_forward
from mambadfuse.ops.gpu.projection import convolve_and_project
from mambadfuse.ops.gpu.selective_scan import (
    carry_states,
    scan_chunks,
    scan_gradients,
    summarise_chunks,
    summarise_gradients,
)


class Convolution(NamedTuple):
    """A causal convolution without its tokens."""

    past: Tensor
    """The W - 1 tokens before the first, (B, W - 1, D)."""
    weight: Tensor
    """One filter per channel, (D, W)."""
    bias: Tensor
    """(D,)."""


class ScanInputs(NamedTuple):
    """What the kernels of the scan read, as in :func:`mambadfuse.ops.selective_scan`.

    Where ``conv`` and ``dt_proj`` are given, u are the tokens before the convolution and delta is Δ_raw, (B, L, R).
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    z: Tensor | None
    delta_bias: Tensor
    conv: Convolution | None = None
    dt_proj: Tensor | None = None


class ScanGradients(NamedTuple):
    """The gradients with respect to what the scan reads, and to its initial state."""

    u: Tensor
    """After the convolution, (B, L, D)."""
    delta: Tensor | None
    """(B, L, D); None where the kernels compute Δ from Δ_raw."""
    projected: Tensor
    """Those of Δ_raw if the kernels read it, B and C, side by side, (B, L, R + 2N) or (B, L, 2N); float32."""
    A: Tensor
    D: Tensor
    z: Tensor | None
    delta_bias: Tensor
    dt_proj: Tensor | None
    initial_state: Tensor
    convolved: Tensor | None
    """Not a gradient: u after the convolution, (B, L, D), where the kernels convolve."""


def rows(x: Tensor) -> Tensor:
    """x (B, L, D) with regular rows."""
    regular = x.stride(2) == 1 and (x.shape[0] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if regular and x.shape[1] > 1 else x.clone(memory_format=torch.contiguous_format)


def convolve(x: Tensor, conv: Convolution, activate: bool) -> Tensor:
    """:func:`mambadfuse.ops.causal_conv1d` of x (B, L, D)."""
    batch, length, dim = x.shape
    y = x.new_empty(x.shape)
    conv_forward[-(-length // sizes.CONV_CHUNK), -(-dim // sizes.CONV_CHANNELS), batch](
        x, *conv, y, x.stride(1), length, dim,
        WIDTH=conv.weight.shape[1], ACTIVATE=activate, CHUNK=sizes.CONV_CHUNK, CHANNELS=sizes.CONV_CHANNELS,
    )  # fmt: skip
    return y


def convolution_gradients(
    x: Tensor, conv: Convolution, activate: bool, dy: Tensor
) -> tuple[Tensor, Convolution]:
    """The gradients with respect to x and to the fields of ``conv``, from dy (B, L, D)."""
    (batch, length, dim), width = x.shape, conv.weight.shape[1]
    chunks = -(-(length + width - 1) // sizes.CONV_CHUNK)
    dx, dpast = x.new_empty(x.shape), conv.past.new_empty(conv.past.shape)
    dweight = x.new_empty(batch, chunks, width, dim, dtype=torch.float32)
    dbias = x.new_empty(batch, chunks, dim, dtype=torch.float32)
    conv_backward[chunks, -(-dim // sizes.CONV_CHANNELS), batch](
        x, *conv, dy, dx, dpast, dweight, dbias, x.stride(1), dy.stride(1), length, dim,
        WIDTH=width, ACTIVATE=activate, CHUNK=sizes.CONV_CHUNK, CHANNELS=sizes.CONV_CHANNELS,
    )  # fmt: skip
    dweight = dweight.sum((0, 1)).t().to(conv.weight.dtype)
    return dx, Convolution(dpast, dweight, dbias.sum((0, 1)).to(conv.bias.dtype))


def project(x: Tensor, conv: Convolution, x_proj: Tensor) -> Tensor:
    """x_proj (P, D) of the convolved tokens x (B, L, D), (B, L, P)."""
    (batch, length, dim), outputs = x.shape, len(x_proj)
    projected = x.new_empty(batch, length, outputs)
    convolve_and_project[-(-length // sizes.PROJECTED), batch](
        x, *conv, x_proj, projected, x.stride(1), length, dim, outputs,
        WIDTH=conv.weight.shape[1], CHUNK=sizes.PROJECTED, CHANNELS=sizes.PROJECTED_CHANNELS,
        BLOCKS=-(-outputs // sizes.OUTPUTS), OUTPUTS=sizes.OUTPUTS, num_stages=1,
    )  # fmt: skip
    return projected


def scan(inputs: ScanInputs, softplus: bool, initial_state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """y (B, L, D) and the last state (B, D, N), then what the backward needs.

    That is the state at the start of each chunk, (B, chunks, N, D), and each chunk's ΣΔ, (B, chunks, D).
    """
    u, delta, A, B, C, D, z, delta_bias, *_ = inputs
    (batch, length, dim), state = u.shape, A.shape[1]
    chunks, blocks = -(-length // sizes.CHUNK), -(-dim // sizes.CHANNELS)
    reached, starts = (A.new_empty(batch, chunks, state, dim, dtype=torch.float32) for _ in range(2))
    steps = A.new_empty(batch, chunks, dim, dtype=torch.float32)
    y, last_state = u.new_empty(u.shape), A.new_empty(batch, dim, state, dtype=torch.float32)
    before, constants = _before(inputs), _constants(inputs, softplus)
    u_row, delta_row, B_row, C_row = (x.stride(1) for x in (u, delta, B, C))
    counts = length, chunks, dim, state, _rank(inputs)
    grid = chunks, blocks, batch
    summarise_chunks[grid](
        u, delta, A, B, delta_bias, *before, reached, steps, u_row, delta_row, B_row, *counts,
        **constants, CHANNELS=sizes.CHANNELS, num_warps=1,
    )  # fmt: skip
    carry_states[state, blocks, batch](
        reached, steps, A, initial_state, starts, last_state, chunks, dim, state,
        REVERSE=False, CARRIED=sizes.CARRIED, CHANNELS=sizes.CHANNELS,
    )  # fmt: skip
    scan_chunks[grid](
        u, delta, A, B, C, D, z, delta_bias, *before, starts, y,
        u_row, delta_row, B_row, C_row, _row(z), *counts,
        **constants, GATED=z is not None, CHANNELS=sizes.CHANNELS, num_warps=1,
    )  # fmt: skip
    return y, last_state, starts, steps


def scan_backward(
    inputs: ScanInputs, softplus: bool, starts: Tensor, steps: Tensor, dy: Tensor, dlast_state: Tensor
) -> ScanGradients:
    """All gradients, from dy (B, L, D), dlast_state (B, D, N) and what :func:`scan` has kept."""
    u, delta, A, B, C, D, z, delta_bias, conv, dt_proj = inputs
    (batch, length, dim), state, rank, chunks = u.shape, A.shape[1], _rank(inputs), starts.shape[1]
    before, constants = _before(inputs), _constants(inputs, softplus) | {"GATED": z is not None}
    counts = length, chunks, dim, state, rank
    reached, ends = torch.empty_like(starts), torch.empty_like(starts)
    dinitial_state = A.new_empty(batch, dim, state, dtype=torch.float32)
    blocks = -(-dim // sizes.CHANNELS)
    without_convolution = {k: x for k, x in constants.items() if k not in ("WIDTH", "TAPS")}
    summarise_gradients[chunks, blocks, batch](
        delta, A, C, z, delta_bias, dt_proj, dy, reached, delta.stride(1), C.stride(1), _row(z), dy.stride(1), *counts,
        **without_convolution, CHANNELS=sizes.CHANNELS, num_warps=1,
    )  # fmt: skip
    carry_states[state, blocks, batch](
        reached, steps, A, dlast_state, ends, dinitial_state, chunks, dim, state,
        REVERSE=True, CARRIED=sizes.CARRIED, CHANNELS=sizes.CHANNELS,
    )  # fmt: skip
    blocks, columns = -(-dim // sizes.GRADIENT_CHANNELS), rank + 2 * state
    du, dz = u.new_empty(u.shape), None if z is None else z.new_empty(z.shape)
    convolved = None if conv is None else u.new_empty(u.shape)
    parts = A.new_empty(blocks, batch, length, columns, dtype=torch.float32)
    ddelta = delta.new_empty(delta.shape) if dt_proj is None else None
    ddt_proj = None if dt_proj is None else A.new_empty(batch, chunks, rank, dim, dtype=torch.float32)
    dD, dbias = A.new_empty(2, batch, chunks, dim, dtype=torch.float32)
    dA, noted = (
        torch.empty_like(starts),
        starts.new_empty(batch, chunks, sizes.CHUNK // sizes.PIECE, state, dim),
    )
    scan_gradients[chunks, blocks, batch](
        u, delta, A, B, C, D, z, delta_bias, *before, dy, starts, ends,
        noted, du, parts if ddelta is None else ddelta, dA, parts[..., rank:], parts[..., rank + state :],
        dD, dz, dbias, ddt_proj, convolved,
        u.stride(1), delta.stride(1), B.stride(1), C.stride(1), _row(z), dy.stride(1), columns, *counts,
        **constants, PIECE=sizes.PIECE, CHANNELS=sizes.GRADIENT_CHANNELS, num_warps=1,
    )  # fmt: skip
    return ScanGradients(
        u=du,
        delta=ddelta,
        projected=parts.sum(0),
        A=dA.sum((0, 1)).t().to(A.dtype),
        D=dD.sum((0, 1)).to(D.dtype),
        z=dz,
        delta_bias=dbias.sum((0, 1)).to(delta_bias.dtype),
        dt_proj=None if ddt_proj is None or dt_proj is None else ddt_proj.sum((0, 1)).t().to(dt_proj.dtype),
        initial_state=dinitial_state,
        convolved=convolved,
    )


def _row(x: Tensor | None) -> int:
    return 0 if x is None else x.stride(1)


def _rank(inputs: ScanInputs) -> int:
    return 0 if inputs.dt_proj is None else inputs.dt_proj.shape[1]


def _before(inputs: ScanInputs) -> tuple[Tensor | None, ...]:
    """What the kernels compute u and Δ from, as they take it."""
    return *(inputs.conv or (None, None, None)), inputs.dt_proj


def _constants(inputs: ScanInputs, softplus: bool) -> dict[str, int]:
    """What a kernel of the scan is compiled for: its flags, and the sizes of its tiles, which are powers of two."""
    width = 0 if inputs.conv is None else inputs.conv.weight.shape[1]
    powers = {"TAPS": width, "RANKS": _rank(inputs), "STATES": inputs.A.shape[1]}
    tiles = {name: triton.next_power_of_2(n) if n else 0 for name, n in powers.items()}
    return {"SOFTPLUS": softplus, "WIDTH": width, "CHUNK": sizes.CHUNK} | tiles
