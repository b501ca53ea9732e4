"""The gradient of a whole Mamba unit on a CPU as one kernel: ``mamba_inner_forward.py`` backwards.

A sequence is taken tile by tile from last to first. Each tile is recomputed from the checkpoint before it; then the
gradient of its output goes back through every step: gate, scan, step size, convolution and projections. The gradients
of the weights are summed over the tiles; each batch element has its own.

One *job* is one batch element: any number of threads gives the same result. Letters as in ``mamba_inner_forward.py``.
"""

from typing import NamedTuple

from numba import int64, njit
from numpy import ndarray

from mambadfuse.ops.cpu.kernel import C2, C3, C4, F3, ORDER, Kernel, group
from mambadfuse.ops.cpu.layout import ZERO, channel_masks, scratch_matrix, scratch_vectors
from mambadfuse.ops.cpu.mamba_inner_forward import CHECKPOINTS, TILE, WEIGHTS, PackedWeights
from mambadfuse.ops.cpu.simd import PANEL_STATES, PANEL_WIDTH, SIMD_WIDTH, broadcast, load, load_panel, store
from mambadfuse.ops.cpu.simd_math import LOG2_E, ONE, sigmoid
from mambadfuse.ops.cpu.tile_passes import (
    adjoint,
    clear,
    convolve,
    discretise_low_rank,
    gate,
    gate_backward,
    project,
    read_tokens,
    recompute,
    sum_channels,
    write_tokens,
)


class TransposedWeights(NamedTuple):
    """The projections of :class:`PackedWeights` transposed, as their gradients need them."""

    in_proj: ndarray  # (2 E, C')
    x_proj: ndarray  # (2 N + R, E)
    dt_proj: ndarray  # (E, 2 N + R), after 2 N columns of zeros
    out_proj: ndarray  # (C, E)


@njit(forceinline=True)
def _project_backward(x, dout, dweight):
    """dweight += xᵀ dout for out = x weight, four inputs by one panel of outputs at a time.

    x (T, K or more), dout (T, M), dweight (K, M); K a multiple of four, M of a panel.
    """
    for m in range(0, dweight.shape[1], PANEL_WIDTH):
        for k in range(0, dweight.shape[0], 4):
            s0, s1 = load_panel(dweight, (k, m)), load_panel(dweight, (k + 1, m))
            s2, s3 = load_panel(dweight, (k + 2, m)), load_panel(dweight, (k + 3, m))
            for t in range(x.shape[0]):
                row = load_panel(dout, (t, m))
                s0, s1 = s0 + x[t, k] * row, s1 + x[t, k + 1] * row
                s2, s3 = s2 + x[t, k + 2] * row, s3 + x[t, k + 3] * row
            store(dweight, (k, m), s0), store(dweight, (k + 1, m), s1)
            store(dweight, (k + 2, m), s2), store(dweight, (k + 3, m), s3)


@njit(forceinline=True)
def _add(total, index, x):
    """total += x for the vector at the index."""
    store(total, index, load(total, index) + x)


@njit(forceinline=True)
def _discretise_backward(u, delta, D, steps, slopes, douts, dsteps, ddrives, du, draws, dD, dweight, dbias):
    """The gradient of :func:`discretise_low_rank`, from the results of the adjoint recurrence.

        draws = (dsteps + u ddrives) slopes,   du = D douts + Δ ddrives
        dD += Σ_t u douts,   dweight += deltaᵀ draws,   dbias += Σ_t draws

    draws (T, E) is the gradient of the argument of the softplus.
    """
    for t in range(u.shape[0]):
        for i in range(steps.shape[0]):
            c = i * SIMD_WIDTH
            x, dout, ddrive = load(u, (t, c)), load(douts, (i, t, 0)), load(ddrives, (i, t, 0))
            draw = (load(dsteps, (i, t, 0)) + ddrive * x) * load(slopes, (i, t, 0))
            store(draws, (t, c), draw)
            store(du, (t, c), dout * load(D, (c,)) + ddrive * load(steps, (i, t, 0)))
            _add(dD, (c,), dout * x)
            _add(dbias, (c,), draw)
            for r in range(dweight.shape[0]):
                _add(dweight, (r, c), delta[t, r] * draw)


@njit(forceinline=True)
def _silu_backward(sums, du, du_projected, dsums):
    """dsums = (du + du_projected) silu'(sums) for u = silu(sums), whose gradient comes in two parts."""
    for t in range(du.shape[0]):
        for c in range(0, sums.shape[1], SIMD_WIDTH):
            x = load(sums, (t, c))
            s = sigmoid(x)
            store(dsums, (t, c), (load(du, (t, c)) + load(du_projected, (t, c))) * s * (x * (ONE - s) + ONE))


@njit(forceinline=True)
def _convolve_backward(stream, weight, dsums, count, dstream, dweight, dbias):
    """dstream_t = Σ_k weight_k dsums_{t+W-1-k},   dweight_k += Σ_t dsums_t stream_{t+k},   dbias += Σ_t dsums_t.

    For count tokens; dsums extends W - 1 tokens beyond them, and stream starts W - 1 tokens before them.
    """
    before = weight.shape[0] - 1
    for t in range(count):
        for c in range(0, weight.shape[1], SIMD_WIDTH):
            dx, dsum = broadcast(ZERO), load(dsums, (t, c))
            for k in range(before + 1):
                dx = dx + load(weight, (k, c)) * load(dsums, (t + before - k, c))
                _add(dweight, (k, c), dsum * load(stream, (t + k, c)))
            store(dstream, (t, c), dx)
            _add(dbias, (c,), dsum)


@njit(forceinline=True)
def _gate_gradient(dgates, outs, dz):
    """dz (T, E) = dgates outs, both by block, as :func:`gate_backward` leaves them."""
    for t in range(dz.shape[0]):
        for i in range(outs.shape[0]):
            store(dz, (t, i * SIMD_WIDTH), load(dgates, (i, t, 0)) * load(outs, (i, t, 0)))


def _mamba_inner_backward(first, last, order, x, dout, weights, transposed, checkpoints, dx, gradients):
    """Jobs first..last-1; dX is the gradient with respect to X.

    order (L,); x, dout, dx (B, L, C); checkpoints as the forward kernel kept them. The gradients of the weights start
    from zero: shapes as the weights' behind an axis for the batch element, over which the caller sums, in_proj with
    C' rows.
    """
    in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, _ = weights
    din_proj, dconv, dconv_bias, dx_proj, ddt_proj, ddt_bias, dA, dD, dout_proj = gradients
    length, dim, inner, states, before = x.shape[1], x.shape[2], conv.shape[1], A.shape[1], conv.shape[0] - 1
    blocks, masks = A.shape[0], channel_masks(dim)
    rows, drows_out = scratch_matrix(TILE, din_proj.shape[1]), scratch_matrix(TILE, dout_proj.shape[2])
    drows_in = scratch_matrix(TILE, transposed.in_proj.shape[1])
    stream_gate = scratch_matrix(before + TILE, in_proj.shape[1])
    dstream_gate = scratch_matrix(TILE, in_proj.shape[1])
    BC_delta, dBC_delta = scratch_matrix(TILE, x_proj.shape[1]), scratch_matrix(TILE, x_proj.shape[1])
    sums, u, y, dy, draws, du, du_projected = scratch_matrix(7 * TILE, inner).reshape((7, TILE, inner))
    dsums = scratch_matrix(TILE + before, inner)
    scratch = scratch_vectors(8 * blocks, TILE).reshape((8, blocks, TILE, SIMD_WIDTH))
    steps, slopes, drives, outs, douts, dgates, dsteps, ddrives = scratch
    kept, dBC = scratch_vectors(TILE, 2 * PANEL_STATES), scratch_vectors(TILE, 2 * states)
    dh = scratch_vectors(blocks, states)
    rows[:], drows_out[:], stream_gate[:], dstream_gate[:], dBC_delta[:] = ZERO, ZERO, ZERO, ZERO, ZERO
    for b in range(first, last):
        dsums[:], dh[:] = ZERO, ZERO
        for tile in range((length - 1) // TILE, -1, -1):
            count = min(TILE, length - tile * TILE)
            places = order[tile * TILE : tile * TILE + count]
            read_tokens(x[b], x[b], places, False, masks, rows)
            read_tokens(dout[b], x[b], places, False, masks, drows_out)
            stream_gate[:before, :inner] = checkpoints.conv[b, tile]
            stream, gates = stream_gate[:, :inner], stream_gate[before : before + count, inner:]
            delta, dgate_columns = BC_delta[:count, 2 * states :], dstream_gate[:count, inner : 2 * inner]
            B, C = BC_delta[:count, :states], BC_delta[:count, states : 2 * states]
            project(rows, in_proj, stream_gate[before:])
            convolve(stream_gate, conv, conv_bias, sums, u)
            project(u, x_proj, BC_delta)
            discretise_low_rank(u[:count], delta, dt_proj, dt_bias, D, steps, slopes, drives, outs)
            project(drows_out, transposed.out_proj, dy)
            gate_backward(gates, dy[:count], True, 0, blocks, douts, dgates)
            clear(dsteps), clear(ddrives), clear(dBC)
            for i in range(blocks):
                for n in range(0, states, PANEL_STATES):
                    a, h = load_panel(A, (i, n, 0)), load_panel(checkpoints.ssm, (b, tile, i, n, 0))
                    h = recompute(B, C, n, a * LOG2_E, h, steps[i], drives[i], outs[i], kept)
                    dh_panel, dA_panel = load_panel(dh, (i, n, 0)), load_panel(dA, (b, i, n, 0))
                    dh_panel, dA_panel = adjoint(
                        B,
                        C,
                        n,
                        a,
                        h,
                        dh_panel,
                        dA_panel,
                        steps[i],
                        drives[i],
                        kept,
                        douts[i],
                        broadcast(ONE),
                        ddrives[i],
                        dsteps[i],
                        dBC,
                    )
                    store(dh, (i, n, 0), dh_panel)
                    store(dA, (b, i, n, 0), dA_panel)
            gate(gates, True, 0, blocks, outs, y[:count])
            _project_backward(y[:count], drows_out, dout_proj[b])
            _gate_gradient(dgates, outs, dgate_columns)
            _discretise_backward(
                u[:count],
                delta,
                D,
                steps,
                slopes,
                douts,
                dsteps,
                ddrives,
                du,
                draws,
                dD[b],
                ddt_proj[b],
                ddt_bias[b],
            )
            project(draws, transposed.dt_proj, dBC_delta)
            sum_channels(dBC, dBC_delta[:count, :states], dBC_delta[:count, states : 2 * states])
            _project_backward(u[:count], dBC_delta, dx_proj[b])
            project(dBC_delta, transposed.x_proj, du_projected)
            _silu_backward(sums, du[:count], du_projected, dsums)
            _convolve_backward(stream, conv, dsums, count, dstream_gate, dconv[b], dconv_bias[b])
            _project_backward(rows[:count], dstream_gate, din_proj[b])
            project(dstream_gate, transposed.in_proj, drows_in)
            write_tokens(drows_in, masks, places, False, dx[b])
            dsums[TILE:] = dsums[:before]


_TRANSPOSED = group(TransposedWeights, C2, C2, C2, C2)
_GRADIENTS = group(PackedWeights, C3, C3, C2, C3, C3, C2, C4, C2, C3)
mamba_inner_backward = Kernel(
    _mamba_inner_backward, int64, int64, ORDER, F3, F3, WEIGHTS, _TRANSPOSED, CHECKPOINTS, F3, _GRADIENTS
)
