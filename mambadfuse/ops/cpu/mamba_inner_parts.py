"""A whole Mamba unit on a CPU as two kernels, so that several threads can share it: up to the scan, and from it on.

The scan is the only step in which a token waits for the one before it, and it never mixes channels. While one thread
scans some channels of a tile, others can scan the remaining ones of the tile before and project the tile behind.

Names and letters as in ``mamba_inner_forward.py``.
"""

from typing import NamedTuple

import numpy as np
from numba import boolean, int64
from numpy import ndarray

from mambadfuse.ops.cpu.kernel import C3, F3, ORDER, Kernel, group
from mambadfuse.ops.cpu.layout import ZERO, channel_masks, scratch_matrix, scratch_vectors
from mambadfuse.ops.cpu.mamba_inner_forward import (
    NORM,
    STATE,
    TILE,
    WEIGHTS,
    PackedWeights,
    read_normalised,
    scan_tile,
)
from mambadfuse.ops.cpu.simd import SIMD_WIDTH
from mambadfuse.ops.cpu.tile_passes import convolve, discretise_low_rank, gate, project, write_tokens


class ScanInputs(NamedTuple):
    """What the scan and its gate read, for T tokens in whole tiles."""

    u: ndarray  # (B, T, E)
    z: ndarray  # (B, T, E)
    BC_delta: ndarray  # (B, T, 2 N + R)


def scan_inputs(batch: int, tokens: int, weights: PackedWeights) -> ScanInputs:
    """Uninitialised memory for that many tokens."""
    shape, inner = (batch, -(-tokens // TILE) * TILE), weights.conv.shape[1]
    widths = inner, inner, weights.x_proj.shape[1]
    return ScanInputs(*(np.empty((*shape, width), np.float32) for width in widths))


def _mamba_inner_project(start, stop, order, x, residual, add_residual, norm, weights, state, inputs):
    """u, z = in_proj(norm(x));   u = silu(conv(u));   B, C, Δ_raw = x_proj(u) for tokens order[start..stop-1]."""
    in_proj, conv, conv_bias, x_proj = weights[:4]
    inner, before, masks = conv.shape[1], conv.shape[0] - 1, channel_masks(x.shape[2])
    rows = scratch_matrix(TILE, norm.affine.shape[1])
    stream, sums = scratch_matrix(before + TILE, inner), scratch_matrix(TILE, inner)
    rows[:], stream[:] = ZERO, ZERO
    for b in range(x.shape[0]):
        stream[:before] = state.conv[b]
        for t0 in range(start, stop, TILE):
            count, tile = min(TILE, stop - t0), slice(t0 - start, t0 - start + TILE)
            u, z = inputs.u[b, tile], inputs.z[b, tile]
            read_normalised(x[b], residual[b], order[t0 : t0 + count], add_residual, norm, masks, rows)
            project(rows, in_proj[:, :inner], stream[before:])
            project(rows, in_proj[:, inner:], z)
            convolve(stream, conv, conv_bias, sums, u)
            project(u, x_proj, inputs.BC_delta[b, tile])
            for t in range(before):
                stream[t] = stream[count + t]
        state.conv[b] = stream[:before]


def _mamba_inner_scan(start, stop, order, first, last, weights, state, inputs, accumulate, out):
    """out_proj(scan(u, softplus(dt_proj(Δ_raw)), B, C) silu(z)) of the blocks of channels first..last-1 alone.

    For tokens order[start..stop-1]; out =, or out += with ``accumulate``.
    """
    dt_proj, dt_bias, A, D, out_proj = weights[4:]
    states, blocks, masks = A.shape[1], last - first, channel_masks(out.shape[2])
    channels = slice(first * SIMD_WIDTH, last * SIMD_WIDTH)
    y, out_rows = scratch_matrix(TILE, blocks * SIMD_WIDTH), scratch_matrix(TILE, out_proj.shape[1])
    steps, slopes, drives, outs = scratch_vectors(4 * blocks, TILE).reshape((4, blocks, TILE, SIMD_WIDTH))
    for b in range(out.shape[0]):
        for t0 in range(start, stop, TILE):
            count, tile = min(TILE, stop - t0), slice(t0 - start, t0 - start + TILE)
            u, z, BC_delta = (
                inputs.u[b, tile, channels],
                inputs.z[b, tile, channels],
                inputs.BC_delta[b, tile],
            )
            delta, dt_weight = BC_delta[:, 2 * states :], dt_proj[:, channels]
            discretise_low_rank(
                u, delta, dt_weight, dt_bias[channels], D[channels], steps, slopes, drives, outs
            )
            B, C = BC_delta[:count, :states], BC_delta[:count, states : 2 * states]
            scan_tile(B, C, A[first:last], state.ssm[b, first:last], steps, drives, outs)
            gate(z, True, 0, blocks, outs, y)
            project(y, out_proj[channels], out_rows)
            write_tokens(out_rows, masks, order[t0 : t0 + count], accumulate, out[b])


_INPUTS = group(ScanInputs, C3, C3, C3)
mamba_inner_project = Kernel(
    _mamba_inner_project, int64, int64, ORDER, F3, F3, boolean, NORM, WEIGHTS, STATE, _INPUTS
)
mamba_inner_scan = Kernel(
    _mamba_inner_scan, int64, int64, ORDER, int64, int64, WEIGHTS, STATE, _INPUTS, boolean, F3
)
