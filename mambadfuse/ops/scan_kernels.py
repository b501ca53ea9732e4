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

from numba import boolean, int64, njit

from mambadfuse.ops.kernel import F1, F2, F3, F4, F5, ZERO, Kernel, first_channel, own, scratch
from mambadfuse.ops.lanes import (
    LANES,
    LOG2_E,
    ONE,
    SOFTPLUS_LINEAR,
    exp2,
    load,
    sigmoid,
    softplus,
    splat,
    store,
    total,
    where_greater,
)

BUILT_ON = "2648e858b59b"  # digest of kernel.py and lanes.py, see kernel.py
TILE = 16  # tokens between two checkpoints
# Scratch rows of sixteen channels, kept for each block and state: h (or dh), A log2 e, A, dA ...
H, A2, A1, DA = range(4)
# ... and for each token of a tile and state: e^(Δ A), and dB, dC before the sum over lanes.
DECAY, DB, DC = range(3)


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
def _group(job, group, dim):
    """Batch element, first block and end block of a job."""
    count = (dim + LANES - 1) // LANES
    groups = (count + group - 1) // group
    first = job % groups * group
    return job // groups, first, min(first + group, count)


# ---------------------------------------------------------------------------------------------------------
# Passes over one tile and block. Sequences are views of the tile's T tokens: u, delta, z, y (T, D), B, C (T, N);
# c0 is the block's first channel. What waits on long chains of dependent instructions (softplus, gate) is a pass
# of its own: there the tokens overlap, in front of or behind each token's recurrence they would be waited for.


@njit(forceinline=True)
def _discretise(u, delta, bias, use_softplus, c0, steps, drives):
    """steps[t] = Δ_t, drives[t] = Δ_t u_t."""
    for t in range(u.shape[0]):
        step = load(delta, (t, c0)) + load(bias, (c0,))
        if use_softplus:
            step = softplus(step)
        store(steps, (t, 0), step)
        store(drives, (t, 0), step * load(u, (t, c0)))


@njit(forceinline=True)
def _recur(u, B, C, D, c0, rows, steps, drives, y):
    """h = e^(Δ A) h + Δ u B and y = Σ_n C h + D u, token by token; rows (N, kinds, 16) hold h and A."""
    for t in range(u.shape[0]):
        step, drive = load(steps, (t, 0)), load(drives, (t, 0))
        out = load(D, (c0,)) * load(u, (t, c0))
        for n in range(rows.shape[0]):
            decay = exp2(step * load(rows, (n, A2, 0)))
            h = decay * load(rows, (n, H, 0)) + drive * B[t, n]
            store(rows, (n, H, 0), h)
            out = out + h * C[t, n]
        store(y, (t, c0), out)


@njit(forceinline=True)
def _gate(z, c0, y):
    """y = y silu(z)."""
    for t in range(z.shape[0]):
        gate = load(z, (t, c0))
        store(y, (t, c0), load(y, (t, c0)) * gate * sigmoid(gate))


@njit(forceinline=True)
def _recompute(u, B, C, D, c0, rows, steps, drives, states, work, ungated):
    """As :func:`_recur`, keeping every state, decay and ungated output of the tile; states[0] is given."""
    for t in range(u.shape[0]):
        step, drive = load(steps, (t, 0)), load(drives, (t, 0))
        out = load(D, (c0,)) * load(u, (t, c0))
        for n in range(rows.shape[0]):
            decay = exp2(step * load(rows, (n, A2, 0)))
            h = decay * load(states, (t, n, 0)) + drive * B[t, n]
            store(work, (t, n, DECAY, 0), decay)
            store(states, (t + 1, n, 0), h)
            out = out + h * C[t, n]
        store(ungated, (t, 0), out)


@njit(forceinline=True)
def _gate_backward(z, dy, c0, ungated, dz, douts):
    """dz, and douts[t]: the gradient of the output before the gate."""
    for t in range(z.shape[0]):
        gate, dout = load(z, (t, c0)), load(dy, (t, c0))
        s = sigmoid(gate)
        store(dz, (t, c0), dout * load(ungated, (t, 0)) * s * (gate * (ONE - s) + ONE))
        store(douts, (t, 0), dout * gate * s)


@njit(forceinline=True)
def _adjoint(u, B, C, D, c0, rows, steps, drives, states, work, douts, mask, du, dsteps, dD_row):
    """The recurrence backwards, from the last token of the tile to the first; rows hold dh, A and dA.

    dh_t = C_t dy_t + e^(Δ_{t+1} A) dh_{t+1}; every other gradient is a product of dh_t with what it met.
    """
    dD = load(dD_row, (0,))
    for t in range(u.shape[0] - 1, -1, -1):
        x, step, dout = load(u, (t, c0)), load(steps, (t, 0)), load(douts, (t, 0))
        dstep, ddrive = splat(ZERO), splat(ZERO)
        dout_own, drive_own = dout * mask, load(drives, (t, 0)) * mask
        for n in range(rows.shape[0]):
            dh = load(rows, (n, H, 0)) + dout * C[t, n]
            h = load(states, (t + 1, n, 0))
            store(work, (t, n, DC, 0), load(work, (t, n, DC, 0)) + dout_own * h)
            store(work, (t, n, DB, 0), load(work, (t, n, DB, 0)) + drive_own * dh)
            ddrive = ddrive + dh * B[t, n]
            carried = dh * load(work, (t, n, DECAY, 0))
            dexponent = carried * load(states, (t, n, 0))  # gradient of Δ A
            dstep = dstep + dexponent * load(rows, (n, A1, 0))
            store(rows, (n, DA, 0), load(rows, (n, DA, 0)) + dexponent * step)
            store(rows, (n, H, 0), carried)
        store(du, (t, c0), dout * load(D, (c0,)) + ddrive * step)
        store(dsteps, (t, 0), dstep + ddrive * x)
        dD = dD + dout * x
    store(dD_row, (0,), dD)


@njit(forceinline=True)
def _discretise_backward(delta, bias, use_softplus, c0, dsteps, ddelta, dbias_row):
    """ddelta = dΔ, through the softplus: its derivative is the sigmoid."""
    dbias = load(dbias_row, (0,))
    for t in range(delta.shape[0]):
        dstep = load(dsteps, (t, 0))
        if use_softplus:
            raw = load(delta, (t, c0)) + load(bias, (c0,))
            dstep = where_greater(raw, splat(SOFTPLUS_LINEAR), dstep, dstep * sigmoid(raw))
        store(ddelta, (t, c0), dstep)
        dbias = dbias + dstep
    store(dbias_row, (0,), dbias)


# ---------------------------------------------------------------------------------------------------------


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
            t1 = min(t0 + TILE, length)
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                if checkpoints.shape[1] > 0:
                    checkpoints[b, t0 // TILE, block] = rows[i, :, H]
                _discretise(u[b, t0:t1], delta[b, t0:t1], bias, use_softplus, c0, steps, drives)
                _recur(u[b, t0:t1], B[b, t0:t1], C[b, t0:t1], D, c0, rows[i], steps, drives, y[b, t0:t1])
                if gated:
                    _gate(z[b, t0:t1], c0, y[b, t0:t1])
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
    rows, work = _stack(group, state, 4), _stack(TILE, state, 3)
    states = _stack(TILE + 1, state, 1)[:, :, 0]  # h before each token of a tile, and after the last
    steps, drives, ungated, douts, dsteps = _stack(5, TILE, 1).reshape(5, TILE, LANES)
    dD_rows, dbias_rows, masks = _stack(3, group, 1).reshape(3, group, LANES)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            own(block, dim, masks[i])
            _fetch_rows(A, c0, ONE, rows[i, :, A1])
            _fetch_rows(A, c0, LOG2_E, rows[i, :, A2])
            _fetch_rows(dend[b], c0, ONE, rows[i, :, H])  # dh of the tokens after the last
        rows[:, :, DA], dD_rows[:], dbias_rows[:] = ZERO, ZERO, ZERO
        for t0 in range((length - 1) // TILE * TILE, -1, -TILE):
            t1 = min(t0 + TILE, length)
            x, Bs, Cs = u[b, t0:t1], B[b, t0:t1], C[b, t0:t1]
            work[:] = ZERO
            for block in range(first_block, end_block):
                c0, i = first_channel(block, dim), block - first_block
                states[0] = checkpoints[b, t0 // TILE, block]
                _discretise(x, delta[b, t0:t1], bias, use_softplus, c0, steps, drives)
                _recompute(x, Bs, Cs, D, c0, rows[i], steps, drives, states, work, ungated)
                if gated:
                    _gate_backward(z[b, t0:t1], dy[b, t0:t1], c0, ungated, dz[b, t0:t1], douts)
                else:
                    douts[: t1 - t0] = dy[b, t0:t1, c0 : c0 + LANES]
                mask = load(masks, (i, 0))
                _adjoint(
                    x, Bs, Cs, D, c0, rows[i], steps, drives, states, work, douts, mask,
                    du[b, t0:t1], dsteps, dD_rows[i],
                )  # fmt: skip
                _discretise_backward(
                    delta[b, t0:t1], bias, use_softplus, c0, dsteps, ddelta[b, t0:t1], dbias_rows[i]
                )
            for t in range(t1 - t0):
                for n in range(state):
                    dB[b, first_block // group, t0 + t, n] = total(load(work, (t, n, DB, 0)))
                    dC[b, first_block // group, t0 + t, n] = total(load(work, (t, n, DC, 0)))
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            dD[b, c0 : c0 + LANES] = dD_rows[i]
            dbias[b, c0 : c0 + LANES] = dbias_rows[i]
            _put_rows(rows[i, :, DA], dA[b], c0)
            _put_rows(rows[i, :, H], dstart[b], c0)


_INPUTS = (int64, int64, int64, F3, F3, F2, F3, F3, F1, F3, F1, boolean, boolean)
scan_forward = Kernel(_scan_forward, *_INPUTS, F3, F3, F3, F5)
scan_backward = Kernel(_scan_backward, *_INPUTS, F5, F3, F3, F3, F3, F3, F4, F4, F2, F3, F2, F3)
