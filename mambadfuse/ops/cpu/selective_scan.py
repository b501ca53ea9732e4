"""The selective scan on a CPU, forward and backward, as fused kernels.

One *job* is one batch element times one *group* of channel blocks. A job walks along the sequence in tiles of
``TILE`` tokens and keeps its states (N x 16 numbers a block) in the cache. Where there are enough batch elements to
occupy all threads, a group is all blocks, so that memory is read in whole rows.

* The forward kernel fuses bias, softplus, recurrence, skip and gate: it reads u, delta, z, B, C once and writes y.
  For the backward pass it also writes the states at the start of every tile, the checkpoints.
* The backward kernel goes through the tiles from last to first: it recomputes the states of one tile from its
  checkpoint, then runs the adjoint recurrence over it. Memory is O(L / TILE * N) per channel, not O(L * N).

The order of every sum is fixed by shapes and group: any number of threads gives the same result.

Letters: B batch, L length, D channels (at least sixteen), N state size (whole panels).
"""

from typing import NamedTuple

from numba import boolean, int64, njit
from numba.core.types import Tuple
from numpy import ndarray

from mambadfuse.ops.cpu.kernel import C2, C3, C4, C5, F1, F2, F3, Kernel, group
from mambadfuse.ops.cpu.layout import ZERO, first_channel, own_channels, scratch_vectors
from mambadfuse.ops.cpu.simd import PANEL_STATES, SIMD_WIDTH, load, load_panel, store
from mambadfuse.ops.cpu.simd_math import LOG2_E, ONE
from mambadfuse.ops.cpu.tile_passes import (
    adjoint,
    clear,
    discretise,
    gate,
    gate_backward,
    recompute,
    recurrence,
    sum_channels,
)

TILE = 16  # tokens between two checkpoints


class ScanGradients(NamedTuple):
    """Gradients of the arguments of a scan, before the sum over batch elements and groups where there is one."""

    u: ndarray  # (B, L, D)
    delta: ndarray  # (B, L, D)
    A: ndarray  # (B, D, N), for each batch element
    B: ndarray  # (B, groups, L, N), for each group of blocks
    C: ndarray  # (B, groups, L, N), for each group of blocks
    D: ndarray  # (B, D), for each batch element
    z: ndarray  # (B, L, D)
    delta_bias: ndarray  # (B, D), for each batch element
    initial_state: ndarray  # (B, D, N)


@njit(forceinline=True)
def _load_states(values, c0, scale, rows):
    """values (D, N) -> rows (N, 16) of the block that starts at channel c0, times scale."""
    for n in range(rows.shape[0]):
        for lane in range(SIMD_WIDTH):
            rows[n, lane] = values[c0 + lane, n] * scale


@njit(forceinline=True)
def _store_states(rows, values, c0):
    """rows (N, 16) -> values (D, N)."""
    for n in range(rows.shape[0]):
        for lane in range(SIMD_WIDTH):
            values[c0 + lane, n] = rows[n, lane]


@njit(forceinline=True)
def _blocks_of_job(job, blocks_per_job, dim):
    """Batch element, first block and end block of a job."""
    blocks = (dim + SIMD_WIDTH - 1) // SIMD_WIDTH
    groups = (blocks + blocks_per_job - 1) // blocks_per_job
    first = job % groups * blocks_per_job
    return job // groups, first, min(first + blocks_per_job, blocks)


@njit(forceinline=True)
def _input_gradients(
    u, D, gated, first, end, steps, slopes, outs, douts, dgates, dsteps, ddrives, sums, du, ddelta, dz
):
    """What the adjoint recurrence leaves, turned into the gradients of u, delta and z.

        du = D douts + Δ ddrives,   ddelta = (dsteps + u ddrives) slopes,   dz = dgates outs

    sums (blocks, 2, 16) collects the gradients of D and delta_bias.
    """
    for t in range(u.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, u.shape[1])
            x, dout, ddrive = load(u, (t, c0)), load(douts, (i, t, 0)), load(ddrives, (i, t, 0))
            dstep = (load(dsteps, (i, t, 0)) + ddrive * x) * load(slopes, (i, t, 0))
            store(du, (t, c0), dout * load(D, (c0,)) + ddrive * load(steps, (i, t, 0)))
            store(ddelta, (t, c0), dstep)
            if gated:
                store(dz, (t, c0), load(dgates, (i, t, 0)) * load(outs, (i, t, 0)))
            store(sums, (i, 0, 0), load(sums, (i, 0, 0)) + dout * x)
            store(sums, (i, 1, 0), load(sums, (i, 1, 0)) + dstep)


def _scan_forward(
    first, last, blocks_per_job, inputs, use_softplus, gated, initial_state, y, last_state, checkpoints
):
    """Jobs first..last-1 of the forward scan.

    inputs: u, delta (B, L, D), A (D, N), B, C (B, L, N), D (D,), z (B, L, D), delta_bias (D,), of any strides.
    y (B, L, D); initial_state, last_state (B, D, N); checkpoints (B, tiles, blocks, N, 16), none if it has no tiles.
    """
    u, delta, A, B, C, D, z, delta_bias = inputs
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    h, A2 = scratch_vectors(blocks_per_job, state), scratch_vectors(blocks_per_job, state)
    scratch = scratch_vectors(4 * blocks_per_job, TILE).reshape((4, blocks_per_job, TILE, SIMD_WIDTH))
    steps, slopes, drives, outs = scratch
    for job in range(first, last):
        b, first_block, end_block = _blocks_of_job(job, blocks_per_job, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _load_states(A, c0, LOG2_E, A2[i])  # e^(Δ A) = 2^(Δ A log2 e)
            _load_states(initial_state[b], c0, ONE, h[i])
        for t0 in range(0, length, TILE):
            t1 = min(t0 + TILE, length)
            x, raw, Bs, Cs = u[b, t0:t1], delta[b, t0:t1], B[b, t0:t1], C[b, t0:t1]
            discretise(
                x, raw, D, delta_bias, use_softplus, first_block, end_block, steps, slopes, drives, outs
            )
            for i in range(end_block - first_block):
                if checkpoints.shape[1] > 0:
                    checkpoints[b, t0 // TILE, first_block + i] = h[i]
                for n in range(0, state, PANEL_STATES):
                    a2, before = load_panel(A2, (i, n, 0)), load_panel(h, (i, n, 0))
                    store(h, (i, n, 0), recurrence(Bs, Cs, n, a2, before, steps[i], drives[i], outs[i]))
            gate(z[b, t0:t1], gated, first_block, end_block, outs, y[b, t0:t1])
        for block in range(first_block, end_block):
            _store_states(h[block - first_block], last_state[b], first_channel(block, dim))


def _scan_backward(
    first, last, blocks_per_job, inputs, use_softplus, gated, checkpoints, dy, dlast_state, gradients
):
    """Jobs first..last-1 of the backward scan: dX is the gradient with respect to X.

    inputs and checkpoints as in :func:`_scan_forward`; dy (B, L, D), dlast_state (B, D, N); the gradients are written.
    """
    u, delta, A, B, C, D, z, delta_bias = inputs
    du, ddelta, dA, dB, dC, dD, dz, dbias, dinitial_state = gradients
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    A1, A2 = scratch_vectors(blocks_per_job, state), scratch_vectors(blocks_per_job, state)
    dh, dA_rows = scratch_vectors(blocks_per_job, state), scratch_vectors(blocks_per_job, state)
    kept, dBC = scratch_vectors(TILE, 2 * PANEL_STATES), scratch_vectors(TILE, 2 * state)
    scratch = scratch_vectors(8 * blocks_per_job, TILE).reshape((8, blocks_per_job, TILE, SIMD_WIDTH))
    steps, drives, outs, slopes, douts, dgates, dsteps, ddrives = scratch
    masks, sums = scratch_vectors(blocks_per_job, 1), scratch_vectors(blocks_per_job, 2)
    for job in range(first, last):
        b, first_block, end_block = _blocks_of_job(job, blocks_per_job, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            own_channels(block, dim, masks[i, 0])
            _load_states(A, c0, ONE, A1[i])
            _load_states(A, c0, LOG2_E, A2[i])
            _load_states(dlast_state[b], c0, ONE, dh[i])
        dA_rows[:], sums[:] = ZERO, ZERO
        for t0 in range((length - 1) // TILE * TILE, -1, -TILE):
            t1 = min(t0 + TILE, length)
            x, raw, gates, dys = u[b, t0:t1], delta[b, t0:t1], z[b, t0:t1], dy[b, t0:t1]
            Bs, Cs = B[b, t0:t1], C[b, t0:t1]
            discretise(
                x, raw, D, delta_bias, use_softplus, first_block, end_block, steps, slopes, drives, outs
            )
            gate_backward(gates, dys, gated, first_block, end_block, douts, dgates)
            clear(dsteps), clear(ddrives), clear(dBC)
            for i in range(end_block - first_block):
                mask = load(masks, (i, 0, 0))
                for n in range(0, state, PANEL_STATES):
                    a1, a2 = load_panel(A1, (i, n, 0)), load_panel(A2, (i, n, 0))
                    h = load_panel(checkpoints, (b, t0 // TILE, first_block + i, n, 0))
                    h = recompute(Bs, Cs, n, a2, h, steps[i], drives[i], outs[i], kept)
                    dh_panel, dA_panel = load_panel(dh, (i, n, 0)), load_panel(dA_rows, (i, n, 0))
                    dh_panel, dA_panel = adjoint(
                        Bs,
                        Cs,
                        n,
                        a1,
                        h,
                        dh_panel,
                        dA_panel,
                        steps[i],
                        drives[i],
                        kept,
                        douts[i],
                        mask,
                        ddrives[i],
                        dsteps[i],
                        dBC,
                    )
                    store(dh, (i, n, 0), dh_panel)
                    store(dA_rows, (i, n, 0), dA_panel)
            _input_gradients(
                x,
                D,
                gated,
                first_block,
                end_block,
                steps,
                slopes,
                outs,
                douts,
                dgates,
                dsteps,
                ddrives,
                sums,
                du[b, t0:t1],
                ddelta[b, t0:t1],
                dz[b, t0:t1],
            )
            g = first_block // blocks_per_job
            sum_channels(dBC, dB[b, g, t0:t1], dC[b, g, t0:t1])
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            dD[b, c0 : c0 + SIMD_WIDTH] = sums[i, 0]
            dbias[b, c0 : c0 + SIMD_WIDTH] = sums[i, 1]
            _store_states(dA_rows[i], dA[b], c0)
            _store_states(dh[i], dinitial_state[b], c0)


# A plain tuple, since these arrays have any strides, which Numba does not convert inside a named one.
_INPUTS = Tuple([F3, F3, F2, F3, F3, F1, F3, F1])
_GRADIENTS = group(ScanGradients, C3, C3, C3, C4, C4, C2, C3, C2, C3)
_COMMON = int64, int64, int64, _INPUTS, boolean, boolean
scan_forward = Kernel(_scan_forward, *_COMMON, F3, C3, C3, C5)
scan_backward = Kernel(_scan_backward, *_COMMON, C5, F3, F3, _GRADIENTS)
