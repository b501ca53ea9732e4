"""The selective scan on a CPU, forward and backward, as fused kernels.

One *job* is one batch element times one *group* of channel blocks. A job walks along the sequence in tiles of
``TILE`` tokens and keeps its states (N x 16 numbers a block) in the first-level cache; the blocks of its group
follow each other within a tile, so that memory is read in whole rows.

* The forward scan fuses bias, softplus, recurrence, skip and gate: it reads u, delta, z, B, C once and writes y.
  For the backward it also writes the states at the start of every tile.
* The backward scan goes through the tiles from last to first: it recomputes the states of one tile from its
  checkpoint, then runs the adjoint recurrence over it. Memory is O(L / TILE * N) per channel, not O(L * N).

The order of every sum is fixed by shapes and group: any number of threads gives the same result.

Letters: B batch, L length, D channels (at least sixteen), N state size.
"""

import numpy as np
from numba import boolean, int64, njit

from mambadfuse.ops.kernel import F1, F2, F3, F4, F5, ZERO, Kernel, first_channel, own
from mambadfuse.ops.lanes import (
    LANES,
    LOG2_E,
    ONE,
    exp2,
    load,
    sigmoid,
    softplus,
    splat,
    store,
    total,
    where_greater,
)

BUILT_ON = "3c4618cfb3ae"  # digest of kernel.py and lanes.py, see kernel.py
TILE = 16  # tokens between two checkpoints
SOFTPLUS_LINEAR = np.float32(20)


@njit(forceinline=True)
def _fetch_rows(values, c0, scale, rows):
    """values (D, N) -> rows (N, 16) of the block that starts at channel c0, times scale."""
    for n in range(rows.shape[0]):
        for lane in range(LANES):
            rows[n, lane] = values[c0 + lane, n] * scale


@njit(forceinline=True)
def _put_rows(rows, values, c0):
    """rows (N, 16) -> values (D, N)."""
    for n in range(rows.shape[0]):
        for lane in range(LANES):
            values[c0 + lane, n] = rows[n, lane]


@njit(forceinline=True)
def _step_size(delta, bias, index, c0, use_softplus):
    raw = load(delta, index) + load(bias, (c0,))
    return softplus(raw) if use_softplus else raw


@njit(forceinline=True)
def _group(job, group, dim):
    """Batch element, first block and end block of a job of the scan."""
    count = (dim + LANES - 1) // LANES
    groups = (count + group - 1) // group
    first = job % groups * group
    return job // groups, first, min(first + group, count)


def _scan_forward(
    first, last, group, u, delta, A, B, C, D, z, bias, use_softplus, gated, start, y, end, checkpoints
):
    """Jobs first..last-1 of the forward scan.

    u, delta, z, y (B, L, D); A (D, N); B, C (B, L, N); D, bias (D,); start, end (B, D, N);
    checkpoints (B, L / TILE or 0, blocks, N, 16): nothing is kept if its second axis is empty.
    """
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    h = np.empty((group, state, LANES), np.float32)
    A2 = np.empty((group, state, LANES), np.float32)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _fetch_rows(A, c0, LOG2_E, A2[i])  # e^(Δ A) = 2^(Δ A log2 e)
            _fetch_rows(start[b], c0, ONE, h[i])
        for t0 in range(0, length, TILE):
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                skip = load(D, (c0,))
                if checkpoints.shape[1] > 0:
                    checkpoints[b, t0 // TILE, block] = h[i]
                for t in range(t0, min(t0 + TILE, length)):
                    index = (b, t, c0)
                    x = load(u, index)
                    step = _step_size(delta, bias, index, c0, use_softplus)
                    drive = step * x
                    out = skip * x
                    for n in range(state):
                        hn = exp2(step * load(A2, (i, n, 0))) * load(h, (i, n, 0)) + drive * B[b, t, n]
                        store(h, (i, n, 0), hn)
                        out = out + hn * C[b, t, n]
                    if gated:
                        gate = load(z, index)
                        out = out * gate * sigmoid(gate)
                    store(y, index, out)
        for block in range(first_block, end_block):
            _put_rows(h[block - first_block], end[b], first_channel(block, dim))


def _scan_backward(
    first, last, group, u, delta, A, B, C, D, z, bias, use_softplus, gated, checkpoints, dy, dend,
    du, ddelta, dA, dB, dC, dD, dz, dbias, dstart,
):  # fmt: skip
    """Jobs first..last-1 of the backward scan; dX is the gradient with respect to X.

    dy like y; dend, dstart like the states; dA (B, D, N), dD, dbias (B, D) are per batch element and
    dB, dC (B, groups, L, N) per group: the caller sums them.
    """
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    rows = (group, state, LANES)
    A1, A2 = np.empty(rows, np.float32), np.empty(rows, np.float32)
    dh, dA_rows = np.empty(rows, np.float32), np.empty(rows, np.float32)
    dD_rows, dbias_rows = np.empty((group, LANES), np.float32), np.empty((group, LANES), np.float32)
    masks = np.empty((group, LANES), np.float32)
    states = np.empty(
        (TILE + 1, state, LANES), np.float32
    )  # h before each token of a tile, and after the last
    decays = np.empty((TILE, state, LANES), np.float32)
    ungated = np.empty((TILE, LANES), np.float32)  # y before the gate
    dB_lanes = np.empty((TILE, state, LANES), np.float32)  # not yet summed over the lanes
    dC_lanes = np.empty((TILE, state, LANES), np.float32)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _fetch_rows(A, c0, ONE, A1[i])
            _fetch_rows(A, c0, LOG2_E, A2[i])
            own(block, dim, masks[i])
            _fetch_rows(dend[b], c0, ONE, dh[i])  # gradient reaching the state from later tokens
        dA_rows[:] = ZERO
        dD_rows[:] = ZERO
        dbias_rows[:] = ZERO
        for tile in range((length - 1) // TILE, -1, -1):
            t0, tokens = tile * TILE, min(TILE, length - tile * TILE)
            dB_lanes[:] = ZERO
            dC_lanes[:] = ZERO
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                skip, mask = load(D, (c0,)), load(masks, (i, 0))
                states[0] = checkpoints[b, tile, block]
                for t in range(tokens):
                    index = (b, t0 + t, c0)
                    x = load(u, index)
                    step = _step_size(delta, bias, index, c0, use_softplus)
                    drive = step * x
                    out = skip * x
                    for n in range(state):
                        decay = exp2(step * load(A2, (i, n, 0)))
                        hn = decay * load(states, (t, n, 0)) + drive * B[b, t0 + t, n]
                        store(decays, (t, n, 0), decay)
                        store(states, (t + 1, n, 0), hn)
                        out = out + hn * C[b, t0 + t, n]
                    store(ungated, (t, 0), out)
                dskip, dbias_row = load(dD_rows, (i, 0)), load(dbias_rows, (i, 0))
                for t in range(tokens - 1, -1, -1):
                    index = (b, t0 + t, c0)
                    x = load(u, index)
                    step = _step_size(delta, bias, index, c0, use_softplus)
                    dout = load(dy, index)
                    if gated:
                        gate = load(z, index)
                        s = sigmoid(gate)
                        store(dz, index, dout * load(ungated, (t, 0)) * s * (gate * (ONE - s) + ONE))
                        dout = dout * gate * s
                    dskip = dskip + dout * x
                    dstep, ddrive = splat(ZERO), splat(ZERO)
                    dout_own, drive_own = dout * mask, step * x * mask
                    for n in range(state):
                        dhn = load(dh, (i, n, 0)) + dout * C[b, t0 + t, n]
                        store(
                            dC_lanes,
                            (t, n, 0),
                            load(dC_lanes, (t, n, 0)) + dout_own * load(states, (t + 1, n, 0)),
                        )
                        store(dB_lanes, (t, n, 0), load(dB_lanes, (t, n, 0)) + drive_own * dhn)
                        ddrive = ddrive + dhn * B[b, t0 + t, n]
                        carried = dhn * load(decays, (t, n, 0))
                        dexponent = carried * load(states, (t, n, 0))  # gradient with respect to Δ A
                        dstep = dstep + dexponent * load(A1, (i, n, 0))
                        store(dA_rows, (i, n, 0), load(dA_rows, (i, n, 0)) + dexponent * step)
                        store(dh, (i, n, 0), carried)
                    store(du, index, dout * skip + ddrive * step)
                    dstep = dstep + ddrive * x
                    if use_softplus:
                        raw = load(delta, index) + load(bias, (c0,))
                        dstep = where_greater(raw, splat(SOFTPLUS_LINEAR), dstep, dstep * sigmoid(raw))
                    store(ddelta, index, dstep)
                    dbias_row = dbias_row + dstep
                store(dD_rows, (i, 0), dskip)
                store(dbias_rows, (i, 0), dbias_row)
            for t in range(tokens):
                for n in range(state):
                    dB[b, first_block // group, t0 + t, n] = total(load(dB_lanes, (t, n, 0)))
                    dC[b, first_block // group, t0 + t, n] = total(load(dC_lanes, (t, n, 0)))
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            store(dD, (b, c0), load(dD_rows, (i, 0)))
            store(dbias, (b, c0), load(dbias_rows, (i, 0)))
            _put_rows(dA_rows[i], dA[b], c0)
            _put_rows(dh[i], dstart[b], c0)


_INPUTS = (int64, int64, int64, F3, F3, F2, F3, F3, F1, F3, F1, boolean, boolean)
scan_forward = Kernel(_scan_forward, *_INPUTS, F3, F3, F3, F5)
scan_backward = Kernel(_scan_backward, *_INPUTS, F5, F3, F3, F3, F3, F3, F4, F4, F2, F3, F2, F3)
