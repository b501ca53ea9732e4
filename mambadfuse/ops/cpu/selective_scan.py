"""The selective scan on a CPU, forward and backward, as fused kernels.

One *job* is one batch element times one *group* of channel blocks. A job walks along the sequence in tiles of
``TILE`` tokens and keeps its states (N x 16 numbers a block) in the cache; a group is all blocks where there are
batch elements enough to share out, so that memory is read in whole rows.

* The forward scan fuses bias, softplus, recurrence, skip and gate: it reads u, delta, z, B, C once and writes y.
  For the backward it also writes the states at the start of every tile.
* The backward scan goes through the tiles from last to first: it recomputes the states of one tile from its
  checkpoint, then runs the adjoint recurrence over it. Memory is O(L / TILE * N) per channel, not O(L * N).

The order of every sum is fixed by shapes and group: any number of threads gives the same result.

Letters: B batch, L length, D channels (at least sixteen), N state size.
"""

from numba import boolean, int64, njit

from mambadfuse.ops.cpu.kernel import F1, F2, F3, F4, F5, ZERO, Kernel, first_channel, own, scratch
from mambadfuse.ops.cpu.simd import LANES, STATES, fold, load, load_panel, splat, spread, store, totals
from mambadfuse.ops.cpu.simd_math import LOG2_E, ONE, exp2, sigmoid, softplus

BUILT_ON = "debcad097fc1"  # digest of the files whose code is inlined here, see kernel.py
TILE = 16  # tokens between two checkpoints


@njit(forceinline=True)
def _rows(first, second):
    """Scratch memory for vectors, (first, second, 16)."""
    return scratch(first * second * LANES).reshape((first, second, LANES))


@njit(forceinline=True)
def _clear(rows):
    """Zero everywhere in rows (first, second, 16)."""
    for first in range(rows.shape[0]):
        for second in range(rows.shape[1]):
            store(rows, (first, second, 0), splat(ZERO))


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
# Passes over one tile. Sequences are views of its T tokens: u, delta, z, y (T, D), B, C (T, N). Some passes go through
# whole rows, all blocks of the group from first to end - 1, because memory is fast only where it is read in order; they
# leave scratch rows (blocks, T, 16), with which the recurrence then stays in the cache. It is a pass for each block and
# panel of states: A, h and whatever else does not depend on the token are kept in registers.


@njit(forceinline=True)
def _discretise(u, delta, D, bias, use_softplus, first, end, steps, slopes, drives, outs):
    """steps = Δ and slopes its derivative, drives = Δ u, outs = D u."""
    for t in range(u.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, u.shape[1])
            step, slope, x = load(delta, (t, c0)) + load(bias, (c0,)), splat(ONE), load(u, (t, c0))
            if use_softplus:
                step, slope = softplus(step)
            store(steps, (i, t, 0), step)
            store(slopes, (i, t, 0), slope)
            store(drives, (i, t, 0), step * x)
            store(outs, (i, t, 0), load(D, (c0,)) * x)


@njit(forceinline=True)
def _recur(B, C, n, A2, h, steps, drives, outs):
    """h = e^(Δ A) h + Δ u B, and outs + C h, token by token for the panel of states n, n + 1, ...; the last h."""
    for t in range(B.shape[0]):
        decay = exp2(load(steps, (t, 0)) * A2)
        h = decay * h + load(drives, (t, 0)) * spread(B, (t, n))
        store(outs, (t, 0), fold(load(outs, (t, 0)), h * spread(C, (t, n))))
    return h


@njit(forceinline=True)
def _gate(z, gated, first, end, outs, y):
    """y = outs, times silu(z) if gated."""
    for t in range(y.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, y.shape[1])
            out = load(outs, (i, t, 0))
            if gated:
                gate = load(z, (t, c0))
                out = out * gate * sigmoid(gate)
            store(y, (t, c0), out)


@njit(forceinline=True)
def _ungate(z, dy, gated, first, end, douts, dgates):
    """douts: the gradient of the output before the gate; dgates times that output is the one of z."""
    for t in range(dy.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, dy.shape[1])
            dout = load(dy, (t, c0))
            if gated:
                gate = load(z, (t, c0))
                s = sigmoid(gate)
                store(dgates, (i, t, 0), dout * s * (gate * (ONE - s) + ONE))
                dout = dout * gate * s
            store(douts, (i, t, 0), dout)


@njit(forceinline=True)
def _recompute(B, C, n, A2, h, steps, drives, outs, kept):
    """As :func:`_recur`, keeping for each token the state before it and its decay, one panel behind the other."""
    for t in range(B.shape[0]):
        decay = exp2(load(steps, (t, 0)) * A2)
        store(kept, (t, 0, 0), h)
        store(kept, (t, STATES, 0), decay)
        h = decay * h + load(drives, (t, 0)) * spread(B, (t, n))
        store(outs, (t, 0), fold(load(outs, (t, 0)), h * spread(C, (t, n))))
    return h


@njit(forceinline=True)
def _adjoint(B, C, n, A1, h, dh, dA, steps, drives, kept, douts, mask, ddrives, dsteps, dBC):
    """The recurrence backwards, from the last token of the tile to the first; h is the last state.

    dh_t = C_t dy_t + e^(Δ_{t+1} A) dh_{t+1}; every other gradient is a product of dh_t with what it met.
    Returns dh before the first token and dA.
    """
    for t in range(B.shape[0] - 1, -1, -1):
        step, drive, dout = load(steps, (t, 0)), load(drives, (t, 0)), load(douts, (t, 0))
        dh = dh + dout * spread(C, (t, n))
        store(dBC, (t, 2 * n, 0), load_panel(dBC, (t, 2 * n, 0)) + drive * mask * dh)
        store(dBC, (t, 2 * n + STATES, 0), load_panel(dBC, (t, 2 * n + STATES, 0)) + dout * mask * h)
        store(ddrives, (t, 0), fold(load(ddrives, (t, 0)), dh * spread(B, (t, n))))
        dh = dh * load_panel(kept, (t, STATES, 0))
        h = load_panel(kept, (t, 0, 0))
        dexponent = dh * h  # gradient of Δ A
        store(dsteps, (t, 0), fold(load(dsteps, (t, 0)), dexponent * A1))
        dA = dA + dexponent * step
    return dh, dA


@njit(forceinline=True)
def _finish(
    u, D, gated, first, end, steps, slopes, outs, douts, dgates, dsteps, ddrives, sums, du, ddelta, dz
):
    """The gradients of u, delta and z; sums (blocks, 2, 16) collects those of D and bias."""
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


@njit(forceinline=True)
def _add_lanes(dBC, dB, dC):
    """dB and dC (T, N) from dBC (T, 2 N, 16)."""
    for t in range(dB.shape[0]):
        for n in range(0, dB.shape[1], STATES):
            store(dB, (t, n), totals(load_panel(dBC, (t, 2 * n, 0))))
            store(dC, (t, n), totals(load_panel(dBC, (t, 2 * n + STATES, 0))))


# ---------------------------------------------------------------------------------------------------------


def _scan_forward(
    first, last, group, u, delta, A, B, C, D, z, bias, use_softplus, gated, start, y, end, checkpoints
):
    """Jobs first..last-1 of the forward scan.

    u, delta, z, y (B, L, D); A (D, N); B, C (B, L, N); D, bias (D,); start, end (B, D, N);
    checkpoints (B, L / TILE or 0, blocks, N, 16): nothing is kept if its second axis is empty.
    """
    length, dim, state = u.shape[1], u.shape[2], A.shape[1]
    h, A2 = _rows(group, state), _rows(group, state)
    steps, slopes, drives, outs = _rows(4 * group, TILE).reshape((4, group, TILE, LANES))
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            _fetch_rows(A, c0, LOG2_E, A2[i])  # e^(Δ A) = 2^(Δ A log2 e)
            _fetch_rows(start[b], c0, ONE, h[i])
        for t0 in range(0, length, TILE):
            t1 = min(t0 + TILE, length)
            x, raw, Bs, Cs = u[b, t0:t1], delta[b, t0:t1], B[b, t0:t1], C[b, t0:t1]
            _discretise(x, raw, D, bias, use_softplus, first_block, end_block, steps, slopes, drives, outs)
            for i in range(end_block - first_block):
                if checkpoints.shape[1] > 0:
                    checkpoints[b, t0 // TILE, first_block + i] = h[i]
                for n in range(0, state, STATES):
                    a2, before = load_panel(A2, (i, n, 0)), load_panel(h, (i, n, 0))
                    store(h, (i, n, 0), _recur(Bs, Cs, n, a2, before, steps[i], drives[i], outs[i]))
            _gate(z[b, t0:t1], gated, first_block, end_block, outs, y[b, t0:t1])
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
    A1, A2, dh, dA_rows = _rows(group, state), _rows(group, state), _rows(group, state), _rows(group, state)
    kept, dBC = _rows(TILE, 2 * STATES), _rows(TILE, 2 * state)
    scratches = _rows(8 * group, TILE).reshape((8, group, TILE, LANES))
    steps, drives, outs, slopes, douts, dgates, dsteps, ddrives = scratches
    masks, sums = _rows(group, 1), _rows(group, 2)
    for job in range(first, last):
        b, first_block, end_block = _group(job, group, dim)
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            own(block, dim, masks[i, 0])
            _fetch_rows(A, c0, ONE, A1[i])
            _fetch_rows(A, c0, LOG2_E, A2[i])
            _fetch_rows(dend[b], c0, ONE, dh[i])  # of the tokens after the last
        dA_rows[:], sums[:] = ZERO, ZERO
        for t0 in range((length - 1) // TILE * TILE, -1, -TILE):
            t1 = min(t0 + TILE, length)
            x, raw, gates, dys = u[b, t0:t1], delta[b, t0:t1], z[b, t0:t1], dy[b, t0:t1]
            Bs, Cs = B[b, t0:t1], C[b, t0:t1]
            _discretise(x, raw, D, bias, use_softplus, first_block, end_block, steps, slopes, drives, outs)
            _ungate(gates, dys, gated, first_block, end_block, douts, dgates)
            _clear(dsteps), _clear(ddrives), _clear(dBC)
            for i in range(end_block - first_block):
                mask = load(masks, (i, 0, 0))
                for n in range(0, state, STATES):
                    a2 = load_panel(A2, (i, n, 0))
                    h = load_panel(checkpoints, (b, t0 // TILE, first_block + i, n, 0))
                    h = _recompute(Bs, Cs, n, a2, h, steps[i], drives[i], outs[i], kept)
                    dh_panel, dA_panel = _adjoint(
                        Bs, Cs, n, load_panel(A1, (i, n, 0)), h, load_panel(dh, (i, n, 0)),
                        load_panel(dA_rows, (i, n, 0)), steps[i], drives[i], kept, douts[i], mask,
                        ddrives[i], dsteps[i], dBC,
                    )  # fmt: skip
                    store(dh, (i, n, 0), dh_panel)
                    store(dA_rows, (i, n, 0), dA_panel)
            _finish(
                x, D, gated, first_block, end_block, steps, slopes, outs, douts, dgates, dsteps, ddrives, sums,
                du[b, t0:t1], ddelta[b, t0:t1], dz[b, t0:t1],
            )  # fmt: skip
            g = first_block // group
            _add_lanes(dBC, dB[b, g, t0:t1], dC[b, g, t0:t1])
        for block in range(first_block, end_block):
            c0, i = first_channel(block, dim), block - first_block
            dD[b, c0 : c0 + LANES] = sums[i, 0]
            dbias[b, c0 : c0 + LANES] = sums[i, 1]
            _put_rows(dA_rows[i], dA[b], c0)
            _put_rows(dh[i], dstart[b], c0)


_INPUTS = (int64, int64, int64, F3, F3, F2, F3, F3, F1, F3, F1, boolean, boolean)
scan_forward = Kernel(_scan_forward, *_INPUTS, F3, F3, F3, F5)
scan_backward = Kernel(_scan_backward, *_INPUTS, F5, F3, F3, F3, F3, F3, F4, F4, F2, F3, F2, F3)
