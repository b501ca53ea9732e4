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

from mambadfuse.ops.kernel import F1, F2, F3, F4, F5, ZERO, Kernel, first_channel, own, scratch
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

BUILT_ON = "0909e9dda35b"  # digest of kernel.py and lanes.py, see kernel.py
TILE = 16  # tokens between two checkpoints
SOFTPLUS_LINEAR = np.float32(20)
H, A2, A1, DA = range(4)  # rows kept for each channel block and state: h (or dh), A log2 e, A, dA
DECAY, DB, DC = range(
    3
)  # and for each token of a tile and state: e^(Δ A), and dB, dC not yet summed over lanes


@njit(forceinline=True)
def _stack(count, state, kinds):
    """Scratch memory for vectors, (count, N, kinds, 16); what is used together lies together."""
    return scratch(count * state * kinds * LANES).reshape((count, state, kinds, LANES))


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
def _discretise(u, delta, bias, use_softplus, b, t0, tokens, c0, steps, drives):
    """steps[t] = Δ_t and drives[t] = Δ_t u_t of one tile and block.

    A pass of its own, because softplus is a long chain of dependent instructions: here those of all tokens
    overlap, in front of each token's recurrence they would be waited for.
    """
    for t in range(tokens):
        step = load(delta, (b, t0 + t, c0)) + load(bias, (c0,))
        if use_softplus:
            step = softplus(step)
        store(steps, (t, 0), step)
        store(drives, (t, 0), step * load(u, (b, t0 + t, c0)))


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
    rows = _stack(group, state, 2)
    steps, drives = _stack(2, TILE, 1).reshape(2, TILE, LANES)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _fetch_rows(A, c0, LOG2_E, rows[i, :, A2])  # e^(Δ A) = 2^(Δ A log2 e)
            _fetch_rows(start[b], c0, ONE, rows[i, :, H])
        for t0 in range(0, length, TILE):
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                skip = load(D, (c0,))
                if checkpoints.shape[1] > 0:
                    checkpoints[b, t0 // TILE, block] = rows[i, :, H]
                tokens = min(TILE, length - t0)
                _discretise(u, delta, bias, use_softplus, b, t0, tokens, c0, steps, drives)
                for t in range(tokens):
                    step, drive = load(steps, (t, 0)), load(drives, (t, 0))
                    out = skip * load(u, (b, t0 + t, c0))
                    for n in range(state):
                        hn = (
                            exp2(step * load(rows, (i, n, A2, 0))) * load(rows, (i, n, H, 0))
                            + drive * B[b, t0 + t, n]
                        )
                        store(rows, (i, n, H, 0), hn)
                        out = out + hn * C[b, t0 + t, n]
                    store(y, (b, t0 + t, c0), out)
                if gated:
                    for t in range(tokens):
                        index = (b, t0 + t, c0)
                        gate = load(z, index)
                        store(y, index, load(y, index) * gate * sigmoid(gate))
        for block in range(first_block, end_block):
            _put_rows(rows[block - first_block, :, H], end[b], first_channel(block, dim))


def _scan_backward(
    first, last, group, u, delta, A, B, C, D, z, bias, use_softplus, gated, checkpoints, dy, dend,
    du, ddelta, dA, dB, dC, dD, dz, dbias, dstart,
):  # fmt: skip
    """Jobs first..last-1 of the backward scan; dX is the gradient with respect to X.

    dy like y; dend, dstart like the states; dA (B, D, N), dD, dbias (B, D) are per batch element and
    dB, dC (B, groups, L, N) per group: the caller sums them.
    """
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    rows = _stack(group, state, 4)
    dD_rows, dbias_rows, masks = _stack(3, group, 1).reshape(3, group, LANES)
    steps, drives, ungated, douts, dsteps = _stack(5, TILE, 1).reshape(
        5, TILE, LANES
    )  # ungated: y before the gate
    states = _stack(TILE + 1, state, 1).reshape(
        TILE + 1, state, LANES
    )  # h before each token of a tile, and after the last
    work = _stack(TILE, state, 3)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _fetch_rows(A, c0, ONE, rows[i, :, A1])
            _fetch_rows(A, c0, LOG2_E, rows[i, :, A2])
            own(block, dim, masks[i])
            _fetch_rows(dend[b], c0, ONE, rows[i, :, H])  # gradient reaching the state from later tokens
        rows[:, :, DA] = ZERO
        dD_rows[:] = ZERO
        dbias_rows[:] = ZERO
        for tile in range((length - 1) // TILE, -1, -1):
            t0, tokens = tile * TILE, min(TILE, length - tile * TILE)
            work[:] = ZERO
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                skip, mask = load(D, (c0,)), load(masks, (i, 0))
                states[0] = checkpoints[b, tile, block]
                _discretise(u, delta, bias, use_softplus, b, t0, tokens, c0, steps, drives)
                for t in range(tokens):
                    step, drive = load(steps, (t, 0)), load(drives, (t, 0))
                    out = skip * load(u, (b, t0 + t, c0))
                    for n in range(state):
                        decay = exp2(step * load(rows, (i, n, A2, 0)))
                        hn = decay * load(states, (t, n, 0)) + drive * B[b, t0 + t, n]
                        store(work, (t, n, DECAY, 0), decay)
                        store(states, (t + 1, n, 0), hn)
                        out = out + hn * C[b, t0 + t, n]
                    store(ungated, (t, 0), out)
                for t in range(tokens):
                    dout = load(dy, (b, t0 + t, c0))
                    if gated:
                        gate = load(z, (b, t0 + t, c0))
                        s = sigmoid(gate)
                        dgate = dout * load(ungated, (t, 0)) * s * (gate * (ONE - s) + ONE)
                        store(dz, (b, t0 + t, c0), dgate)
                        dout = dout * gate * s
                    store(douts, (t, 0), dout)
                dskip = load(dD_rows, (i, 0))
                for t in range(tokens - 1, -1, -1):
                    x, step, dout = load(u, (b, t0 + t, c0)), load(steps, (t, 0)), load(douts, (t, 0))
                    dstep, ddrive = splat(ZERO), splat(ZERO)
                    dout_own, drive_own = dout * mask, load(drives, (t, 0)) * mask
                    for n in range(state):
                        dhn = load(rows, (i, n, H, 0)) + dout * C[b, t0 + t, n]
                        hn = load(states, (t + 1, n, 0))
                        store(work, (t, n, DC, 0), load(work, (t, n, DC, 0)) + dout_own * hn)
                        store(work, (t, n, DB, 0), load(work, (t, n, DB, 0)) + drive_own * dhn)
                        ddrive = ddrive + dhn * B[b, t0 + t, n]
                        carried = dhn * load(work, (t, n, DECAY, 0))
                        dexponent = carried * load(states, (t, n, 0))  # gradient with respect to Δ A
                        dstep = dstep + dexponent * load(rows, (i, n, A1, 0))
                        store(rows, (i, n, DA, 0), load(rows, (i, n, DA, 0)) + dexponent * step)
                        store(rows, (i, n, H, 0), carried)
                    store(du, (b, t0 + t, c0), dout * skip + ddrive * step)
                    store(dsteps, (t, 0), dstep + ddrive * x)
                    dskip = dskip + dout * x
                store(dD_rows, (i, 0), dskip)
                dbias_row = load(dbias_rows, (i, 0))
                for t in range(tokens):
                    dstep = load(dsteps, (t, 0))
                    if use_softplus:
                        raw = load(delta, (b, t0 + t, c0)) + load(bias, (c0,))
                        dstep = where_greater(raw, splat(SOFTPLUS_LINEAR), dstep, dstep * sigmoid(raw))
                    store(ddelta, (b, t0 + t, c0), dstep)
                    dbias_row = dbias_row + dstep
                store(dbias_rows, (i, 0), dbias_row)
            for t in range(tokens):
                for n in range(state):
                    dB[b, first_block // group, t0 + t, n] = total(load(work, (t, n, DB, 0)))
                    dC[b, first_block // group, t0 + t, n] = total(load(work, (t, n, DC, 0)))
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            store(dD, (b, c0), load(dD_rows, (i, 0)))
            store(dbias, (b, c0), load(dbias_rows, (i, 0)))
            _put_rows(rows[i, :, DA], dA[b], c0)
            _put_rows(rows[i, :, H], dstart[b], c0)


_INPUTS = (int64, int64, int64, F3, F3, F2, F3, F3, F1, F3, F1, boolean, boolean)
scan_forward = Kernel(_scan_forward, *_INPUTS, F3, F3, F3, F5)
scan_backward = Kernel(_scan_backward, *_INPUTS, F5, F3, F3, F3, F3, F3, F4, F4, F2, F3, F2, F3)
