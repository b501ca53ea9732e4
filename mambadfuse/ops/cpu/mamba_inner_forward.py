"""A whole Mamba unit on a CPU as one kernel: norm, projections, convolution, scan and gate.

    u, z = in_proj(norm(x));   u = silu(conv(u));   B, C, Δ_raw = x_proj(u)
    out = out_proj(scan(u, softplus(dt_proj(Δ_raw)), B, C) silu(z))

Computed operation by operation, each of these sequences is written to memory and read again, which takes longer than
the arithmetic. Here ``TILE`` tokens pass through all of it before the next ones do, so everything between x and out
stays in the cache. Scratch arrays always hold a full tile; where there are fewer tokens, the rest is computed and
discarded.

One *job* is one batch element: any number of threads gives the same result.

Letters: B batch, L length, T tokens of a tile, C model width (C' rounded up to whole vectors or panels), E inner
channels and N states (both padded with zeros to whole panels), R rank of the step size, W width of the convolution.
"""

from typing import NamedTuple

import numpy as np
from numba import boolean, float32, int64, njit
from numpy import ndarray

from mambadfuse.ops.cpu.kernel import C1, C2, C3, C4, C5, F3, ORDER, Kernel, group
from mambadfuse.ops.cpu.layout import ZERO, channel_masks, scratch_matrix, scratch_vectors
from mambadfuse.ops.cpu.simd import (
    PANEL_STATES,
    SIMD_WIDTH,
    broadcast,
    horizontal_sum,
    load,
    load_panel,
    store,
)
from mambadfuse.ops.cpu.simd_math import LOG2_E, ONE
from mambadfuse.ops.cpu.tile_passes import (
    convolve,
    discretise_low_rank,
    gate,
    project,
    read_tokens,
    recurrence,
    write_tokens,
)

TILE = 48  # tokens; a multiple of six


class Norm(NamedTuple):
    """A layer norm that is applied ``passes`` times in a row."""

    affine: ndarray  # (3, C'): weight, bias, and 1 for channels or 0 for padding
    passes: int
    eps: np.float32


class PackedWeights(NamedTuple):
    """The weights of a Mamba unit, transposed so that the outputs of a product are contiguous, and padded."""

    in_proj: ndarray  # (C, 2 E): stream, gate
    conv: ndarray  # (W, E)
    conv_bias: ndarray  # (E,)
    x_proj: ndarray  # (E, 2 N + R): B, C, Δ_raw
    dt_proj: ndarray  # (R, E)
    dt_bias: ndarray  # (E,)
    A: ndarray  # (E / 16, N, 16)
    D: ndarray  # (E,)
    out_proj: ndarray  # (E, C')


class UnitState(NamedTuple):
    """What a unit carries from one token to the next; checkpoints have an axis for tiles after that of the batch."""

    conv: ndarray  # (B, W - 1, E): the last inputs of the convolution
    ssm: ndarray  # (B, E / 16, N, 16): the states of the scan


@njit(forceinline=True)
def read_normalised(x, residual, order, add_residual, norm, masks, rows):
    """rows = norm(x), or norm(residual) after residual += x; arguments as in :func:`read_tokens`."""
    affine, passes, eps = norm
    read_tokens(x, residual, order, add_residual, masks, rows)
    for _ in range(passes):
        _normalise(rows, affine, eps, x.shape[1])


@njit(forceinline=True)
def _normalise(rows, affine, eps, dim):
    """The layer norm of each row over its first dim channels, in place; affine as in :class:`Norm`."""
    for t in range(rows.shape[0]):
        total = broadcast(ZERO)
        for c in range(0, rows.shape[1], SIMD_WIDTH):
            total = total + load(rows, (t, c))
        mean = horizontal_sum(total) / np.float32(dim)
        squares = broadcast(ZERO)
        for c in range(0, rows.shape[1], SIMD_WIDTH):
            deviation = (load(rows, (t, c)) - mean) * load(affine, (2, c))
            store(rows, (t, c), deviation)
            squares = squares + deviation * deviation
        scale = ONE / np.sqrt(horizontal_sum(squares) / np.float32(dim) + eps)
        for c in range(0, rows.shape[1], SIMD_WIDTH):
            store(rows, (t, c), load(rows, (t, c)) * scale * load(affine, (0, c)) + load(affine, (1, c)))


@njit(forceinline=True)
def scan_tile(B, C, A, state, steps, drives, outs):
    """The recurrence of all blocks; A and state (blocks, N, 16), the rest as in :func:`recurrence` for each block.

    The state before the tile is replaced by the one after it.
    """
    for i in range(A.shape[0]):
        for n in range(0, A.shape[1], PANEL_STATES):
            A2, h = load_panel(A, (i, n, 0)) * LOG2_E, load_panel(state, (i, n, 0))
            store(state, (i, n, 0), recurrence(B, C, n, A2, h, steps[i], drives[i], outs[i]))


def _mamba_inner_forward(
    first,
    last,
    start,
    stop,
    order,
    x,
    residual,
    add_residual,
    norm,
    weights,
    state,
    accumulate,
    out,
    checkpoints,
):
    """Tokens order[start..stop-1] of batch elements first..last-1.

    order (L,); x, residual, out (B, L, C), where out may be x. With ``add_residual``, residual += x and the unit reads
    residual; with ``accumulate``, out += instead of out =. The state before the tokens is replaced by the one after
    them. The checkpoints receive the state before each tile, for the gradient; none are kept if they have no tiles.
    """
    in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, out_proj = weights
    inner, states, before = conv.shape[1], A.shape[1], conv.shape[0] - 1
    blocks, masks = A.shape[0], channel_masks(x.shape[2])
    rows, out_rows = scratch_matrix(TILE, norm.affine.shape[1]), scratch_matrix(TILE, out_proj.shape[1])
    stream_gate = scratch_matrix(before + TILE, in_proj.shape[1])
    sums, u = scratch_matrix(TILE, inner), scratch_matrix(TILE, inner)
    BC_delta = scratch_matrix(TILE, x_proj.shape[1])
    steps, slopes, drives, outs = scratch_vectors(4 * blocks, TILE).reshape((4, blocks, TILE, SIMD_WIDTH))
    rows[:], stream_gate[:] = ZERO, ZERO
    for b in range(first, last):
        stream_gate[:before, :inner] = state.conv[b]
        for t0 in range(start, stop, TILE):
            count = min(TILE, stop - t0)
            if checkpoints.ssm.shape[1] > 0:
                checkpoints.conv[b, t0 // TILE] = stream_gate[:before, :inner]
                checkpoints.ssm[b, t0 // TILE] = state.ssm[b]
            places = order[t0 : t0 + count]
            read_normalised(x[b], residual[b], places, add_residual, norm, masks, rows)
            project(rows, in_proj, stream_gate[before:])
            convolve(stream_gate, conv, conv_bias, sums, u)
            project(u, x_proj, BC_delta)
            discretise_low_rank(
                u, BC_delta[:, 2 * states :], dt_proj, dt_bias, D, steps, slopes, drives, outs
            )
            B, C = BC_delta[:count, :states], BC_delta[:count, states : 2 * states]
            scan_tile(B, C, A, state.ssm[b], steps, drives, outs)
            gate(stream_gate[before:, inner:], True, 0, blocks, outs, u)
            project(u, out_proj, out_rows)
            write_tokens(out_rows, masks, places, accumulate, out[b])
            for t in range(before):
                stream_gate[t] = stream_gate[count + t]
        state.conv[b] = stream_gate[:before, :inner]


def _add_norm(start, stop, order, x, residual, norm):
    """residual += x and x = norm(residual) for tokens order[start..stop-1]; else as :func:`_mamba_inner_forward`."""
    masks, rows = channel_masks(x.shape[2]), scratch_matrix(TILE, norm.affine.shape[1])
    rows[:] = ZERO
    for b in range(x.shape[0]):
        for t0 in range(start, stop, TILE):
            places = order[t0 : min(t0 + TILE, stop)]
            read_normalised(x[b], residual[b], places, True, norm, masks, rows)
            write_tokens(rows, masks, places, False, x[b])


NORM = group(Norm, C2, int64, float32)
WEIGHTS = group(PackedWeights, C2, C2, C1, C2, C2, C1, C3, C1, C2)
STATE, CHECKPOINTS = group(UnitState, C3, C4), group(UnitState, C4, C5)
mamba_inner_forward = Kernel(
    _mamba_inner_forward,
    *(int64, int64, int64, int64, ORDER, F3, F3, boolean, NORM, WEIGHTS, STATE, boolean, F3, CHECKPOINTS),
)
add_norm = Kernel(_add_norm, int64, int64, ORDER, F3, F3, NORM)
