"""A whole Mamba unit as one differentiable operation: its weights, and the kernels behind it.

Letters: B batch, L length, C model width, E inner channels, N states, R rank of the step size, W width of the
convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mambadfuse.ops.cpu.layout import block_count
from mambadfuse.ops.cpu.mamba_inner_backward import TransposedWeights, mamba_inner_backward
from mambadfuse.ops.cpu.mamba_inner_forward import TILE, Norm, PackedWeights, UnitState, mamba_inner_forward
from mambadfuse.ops.cpu.packing import padded, reuse_while_unchanged
from mambadfuse.ops.cpu.simd import PANEL_STATES, PANEL_WIDTH, SIMD_WIDTH
from mambadfuse.ops.cpu.threads import parallel_for
from mambadfuse.ops.first_derivative import first_derivative_only


@dataclass(frozen=True)
class MambaInnerWeights:
    """The parameters of one Mamba unit, as its modules hold them."""

    in_proj: Tensor  # (2 E, C)
    conv: Tensor  # (E, W)
    conv_bias: Tensor  # (E,)
    x_proj: Tensor  # (R + 2 N, E)
    dt_proj: Tensor  # (E, R)
    dt_bias: Tensor  # (E,)
    A_log: Tensor  # (E, N)
    D: Tensor  # (E,)
    out_proj: Tensor  # (C, E)


def mamba_inner(x: Tensor, weights: MambaInnerWeights, order: Tensor | None = None) -> Tensor:
    """The Mamba unit between its norm and its residual (Gu and Dao 2023, section 3.4).

        u, z = in_proj(x);   u = silu(conv(u));   Δ_raw, B, C = x_proj(u);   A = -exp(A_log)
        out  = out_proj(selective_scan(u, softplus(dt_proj(Δ_raw)), A, B, C, D) silu(z))

    Args:
        x: tokens (B, L, C), C at least sixteen, in float32 on a CPU.
        weights: the parameters, in float32 on a CPU.
        order: the tokens in the order in which they are read, (L,), each once; None for the order of x.

    Returns:
        Tokens (B, L, C) in the order of x, differentiable with respect to x and all weights.
    """
    parameters, order = vars(weights).values(), torch.arange(x.shape[1]) if order is None else order
    if torch.is_grad_enabled():
        return _MambaInner.apply(x, order, *_pack(*parameters))
    return _forward(x, order, packed_weights(*parameters), keep_checkpoints=False)[0]


@reuse_while_unchanged
def packed_weights(*parameters: Tensor) -> PackedWeights:
    """The fields of :class:`MambaInnerWeights` for the kernels; reused while they hold the same values."""
    return _arrays(_pack(*parameters))


def initial_state(batch: int, weights: PackedWeights) -> UnitState:
    """The state before the first token: zero."""
    conv = np.zeros((batch, len(weights.conv) - 1, weights.conv.shape[1]), np.float32)
    return UnitState(conv, np.zeros((batch, *weights.A.shape), np.float32))


def identity_norm(dim: int) -> Norm:
    """A norm of dim channels that is applied zero times."""
    return Norm(np.zeros((3, block_count(dim) * SIMD_WIDTH), np.float32), 0, np.float32(0))


def no_checkpoints() -> UnitState:
    """Checkpoints for zero tiles, so that the kernel keeps none."""
    return UnitState(np.zeros((0, 0, 0, 0), np.float32), np.zeros((0, 0, 0, 0, 0), np.float32))


def _pack(
    in_proj: Tensor,
    conv: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A_log: Tensor,
    D: Tensor,
    out_proj: Tensor,
) -> list[Tensor]:
    """The fields of :class:`PackedWeights` as differentiable functions of the parameters."""
    rank, state = dt_proj.shape[1], A_log.shape[1]
    stream, gate = (padded(x, PANEL_WIDTH, 1) for x in in_proj.chunk(2))
    delta, B, C = x_proj.split([rank, state, state])
    B, C = (padded(x, PANEL_STATES, PANEL_WIDTH) for x in (B, C))
    BC_delta = torch.cat([B, C, padded(delta, 1, PANEL_WIDTH)])
    A = padded(-torch.exp(A_log), PANEL_WIDTH, PANEL_STATES)
    return [
        torch.cat([stream, gate]).t().contiguous(),
        padded(conv.t(), 1, PANEL_WIDTH),
        padded(conv_bias, PANEL_WIDTH),
        padded(BC_delta.t(), 1, PANEL_WIDTH),
        padded(dt_proj.t(), 1, PANEL_WIDTH),
        padded(dt_bias, PANEL_WIDTH),
        A.unflatten(0, (-1, SIMD_WIDTH)).mT.contiguous(),  # (E, N) -> (E / 16, N, 16)
        padded(D, PANEL_WIDTH),
        padded(out_proj.t(), PANEL_WIDTH, PANEL_WIDTH),
    ]


def _arrays(packed: Sequence[Tensor]) -> PackedWeights:
    return PackedWeights(*(x.detach().contiguous().numpy() for x in packed))


def _forward(
    x: Tensor, order: Tensor, weights: PackedWeights, keep_checkpoints: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The output (B, L, C), and the checkpoints of convolution and scan (B, tiles or 0, ...)."""
    batch, length, dim = x.shape
    state, out = initial_state(batch, weights), torch.empty(x.shape)
    tiles = -(-length // TILE) if keep_checkpoints else 0
    conv = torch.empty(batch, tiles, *state.conv.shape[1:])
    ssm = torch.empty(batch, tiles, *state.ssm.shape[1:])
    tokens, checkpoints = x.detach().contiguous().numpy(), UnitState(conv.numpy(), ssm.numpy())
    parallel_for(
        mamba_inner_forward,
        batch,
        0,
        length,
        order.numpy(),
        tokens,
        tokens,
        False,
        identity_norm(dim),
        weights,
        state,
        False,
        out.numpy(),
        checkpoints,
    )
    return out, conv, ssm


class _MambaInner(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, order, *packed):
        out, *checkpoints = _forward(x, order, _arrays(packed), keep_checkpoints=any(ctx.needs_input_grad))
        ctx.save_for_backward(x, order, *checkpoints, *packed)
        return out

    @staticmethod
    @first_derivative_only
    def backward(ctx, dout):
        x, order, conv, ssm, *packed = ctx.saved_tensors
        checkpoints, weights = UnitState(conv.numpy(), ssm.numpy()), _arrays(packed)
        batch, _, dim = x.shape
        dx, dpacked = torch.empty(x.shape), [weight.new_zeros(batch, *weight.shape) for weight in packed]
        dpacked[0] = x.new_zeros(batch, block_count(dim) * SIMD_WIDTH, packed[0].shape[1])
        tokens, dtokens = x.detach().contiguous().numpy(), dout.contiguous().numpy()
        parallel_for(
            mamba_inner_backward,
            batch,
            order.numpy(),
            tokens,
            dtokens,
            weights,
            _transposed(packed, dim),
            checkpoints,
            dx.numpy(),
            _arrays(dpacked),
        )
        dpacked[0] = dpacked[0][:, :dim]
        return dx, None, *(gradient.sum(0) for gradient in dpacked)


def _transposed(packed: Sequence[Tensor], dim: int) -> TransposedWeights:
    in_proj, _, _, x_proj, dt_proj, _, A, _, out_proj = packed
    first = 2 * A.shape[1]  # Δ_raw comes after B and C
    dt_proj_t = x_proj.new_zeros(x_proj.shape)
    dt_proj_t[:, first : first + len(dt_proj)] = dt_proj.t()
    transposed = padded(in_proj.t(), 1, PANEL_WIDTH), x_proj.t(), dt_proj_t, out_proj.t()[:dim]
    return TransposedWeights(*(x.detach().contiguous().numpy() for x in transposed))
