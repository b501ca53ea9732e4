"""A whole Mamba path on a CPU as one kernel: norm, projections, convolution, scan and gate.

A path is what a token goes through in a Mamba unit:

    u, z = W_in norm(x);   u = silu(conv(u));   B, C, Δ_raw = W_x u;   out = W_out (scan(u, W_Δ Δ_raw, B, C) silu(z))

Carried out operation by operation, each of these sequences is written to memory and read again, which takes longer
than to compute them. Here ``TILE`` tokens go through all of it before the next ones come: everything between x and
out stays in the cache. A tile always has room for all its tokens; where there are fewer, the rest is computed and
thrown away.

Letters: B batch, L length, T tokens of a tile, C model width, E inner channels (filled up with zeros) and N
states (likewise) to whole panels, R rank of the step size, W width of the convolution.
"""

import numpy as np
from numba import boolean, float32, int64, njit

from mambadfuse.ops.cpu.kernel import F1, F2, F3, F4, F5, ZERO, Kernel, first_channel, own, scratch
from mambadfuse.ops.cpu.selective_scan import _gate, _recur, _rows
from mambadfuse.ops.cpu.simd import LANES, STATES, load, load_panel, splat, store, total
from mambadfuse.ops.cpu.simd_math import ONE, sigmoid, softplus

BUILT_ON = "e9338fcbbdd5"  # digest of the files whose code is inlined here, see kernel.py
TILE = 48  # tokens; a multiple of six
PANEL = STATES * LANES


@njit(forceinline=True)
def _matrix(rows, columns):
    """Scratch memory (rows, columns)."""
    return scratch(rows * columns).reshape((rows, columns))


@njit(forceinline=True)
def project(x, weight, out):
    """out = x weight, six tokens by one panel of outputs at a time: their sums stay in registers.

    x (T, K or more), weight (K, M), out (T, M); T a multiple of six, M of a panel.
    """
    for m in range(0, weight.shape[1], PANEL):
        first = load_panel(weight, (0, m))
        for t in range(0, x.shape[0], 6):
            s0, s1, s2 = x[t, 0] * first, x[t + 1, 0] * first, x[t + 2, 0] * first
            s3, s4, s5 = x[t + 3, 0] * first, x[t + 4, 0] * first, x[t + 5, 0] * first
            for k in range(1, weight.shape[0]):
                row = load_panel(weight, (k, m))
                s0, s1, s2 = s0 + x[t, k] * row, s1 + x[t + 1, k] * row, s2 + x[t + 2, k] * row
                s3, s4, s5 = s3 + x[t + 3, k] * row, s4 + x[t + 4, k] * row, s5 + x[t + 5, k] * row
            store(out, (t, m), s0), store(out, (t + 1, m), s1), store(out, (t + 2, m), s2)
            store(out, (t + 3, m), s3), store(out, (t + 4, m), s4), store(out, (t + 5, m), s5)


@njit(forceinline=True)
def _read(x, residual, summed, masks, rows):
    """rows (TILE, C in whole vectors) = x (T, C); if summed residual += x and that sum instead."""
    for t in range(x.shape[0]):
        for i in range(masks.shape[0]):
            c0 = first_channel(i, x.shape[1])
            tokens = load(x, (t, c0))
            if summed:
                tokens = load(residual, (t, c0)) + load(masks, (i, 0)) * tokens
                store(residual, (t, c0), tokens)
            store(rows, (t, c0), tokens)


@njit(forceinline=True)
def _normalise(rows, norm, eps, dim):
    """The layer norm of each row over its dim channels, in place; norm (3, C): weight, bias, 1 where a channel is."""
    for t in range(rows.shape[0]):
        summed = splat(ZERO)
        for c in range(0, rows.shape[1], LANES):
            summed = summed + load(rows, (t, c))
        mean = total(summed) / np.float32(dim)
        squared = splat(ZERO)
        for c in range(0, rows.shape[1], LANES):
            deviation = (load(rows, (t, c)) - mean) * load(norm, (2, c))
            store(rows, (t, c), deviation)
            squared = squared + deviation * deviation
        scale = ONE / np.sqrt(total(squared) / np.float32(dim) + eps)
        for c in range(0, rows.shape[1], LANES):
            store(rows, (t, c), load(rows, (t, c)) * scale * load(norm, (0, c)) + load(norm, (1, c)))


@njit(forceinline=True)
def _convolve(stream, weight, bias, sums, u):
    """sums = bias + Σ_k weight[k] stream[t + k] and u = silu(sums); stream begins W - 1 tokens before the tile."""
    for t in range(u.shape[0]):
        for c in range(0, u.shape[1], LANES):
            out = load(bias, (c,))
            for k in range(weight.shape[0]):
                out = out + load(weight, (k, c)) * load(stream, (t + k, c))
            store(sums, (t, c), out)
            store(u, (t, c), out * sigmoid(out))


@njit(forceinline=True)
def _discretise(u, raw, weight, bias, D, steps, slopes, drives, outs):
    """steps = Δ = softplus(bias + raw weight), slopes its derivative, drives = Δ u, outs = D u; raw (T, R or more)."""
    for t in range(u.shape[0]):
        for i in range(steps.shape[0]):
            c = i * LANES
            step, x = load(bias, (c,)), load(u, (t, c))
            for r in range(weight.shape[0]):
                step = step + raw[t, r] * load(weight, (r, c))
            step, slope = softplus(step)
            store(steps, (i, t, 0), step)
            store(slopes, (i, t, 0), slope)
            store(drives, (i, t, 0), step * x)
            store(outs, (i, t, 0), load(D, (c,)) * x)


@njit(forceinline=True)
def _write(rows, masks, added, out):
    """out = rows, or out + rows if added; out (T, C)."""
    for t in range(out.shape[0]):
        for i in range(masks.shape[0]):
            c0 = first_channel(i, out.shape[1])
            tokens = load(rows, (t, c0))
            if added:
                tokens = load(out, (t, c0)) + load(masks, (i, 0)) * tokens
            store(out, (t, c0), tokens)


@njit(forceinline=True)
def _masks(dim):
    """For each block of channels: which of them it does not share with its neighbour, (blocks, 16)."""
    masks = _matrix((dim + LANES - 1) // LANES, LANES)
    for i in range(masks.shape[0]):
        own(i, dim, masks[i])
    return masks


def _path(
    first, last, start, stop, x, residual, summed, norm, passes, eps, w_in, conv, conv_bias, w_x, w_step, step_bias,
    A2, D, w_out, past, states, added, out, pasts_kept, states_kept,
):  # fmt: skip
    """Tokens start..stop-1 of batch elements first..last-1, each of which is a job.

    x, residual, out (B, L, C), out may be x; norm (3, C'), applied passes times; w_in (C, 2 E) for stream and gate;
    conv (W, E); w_x (E, 2 N + R) for B, C, Δ_raw; w_step (R, E); A2 = A log2 e (E / 16, N, 16); w_out (E, C').
    past (B, W - 1, E) and states (B, E / 16, N, 16) are those before the tokens, afterwards those behind them.
    With summed the path reads residual + x and keeps that as residual; added: out += instead of out =.
    pasts_kept and states_kept (B, L / TILE or 0, ...) receive, for the gradient, past and states before each tile.
    """
    dim, inner, state, before = x.shape[2], conv.shape[1], A2.shape[1], conv.shape[0] - 1
    blocks, masks = A2.shape[0], _masks(dim)
    rows, raised = _matrix(TILE, norm.shape[1]), _matrix(before + TILE, w_in.shape[1])
    u, parameters, lowered = _matrix(TILE, inner), _matrix(TILE, w_x.shape[1]), _matrix(TILE, w_out.shape[1])
    sums = _matrix(TILE, inner)
    steps, slopes, drives, outs = _rows(4 * blocks, TILE).reshape((4, blocks, TILE, LANES))
    rows[:], raised[:] = ZERO, ZERO
    for b in range(first, last):
        raised[:before, :inner] = past[b]
        for t0 in range(start, stop, TILE):
            count = min(TILE, stop - t0)
            if states_kept.shape[1] > 0:
                pasts_kept[b, t0 // TILE], states_kept[b, t0 // TILE] = raised[:before, :inner], states[b]
            tile = slice(t0, t0 + count)
            _read(x[b, tile], residual[b, tile], summed, masks, rows)
            for _ in range(passes):
                _normalise(rows, norm, eps, dim)
            project(rows, w_in, raised[before:])
            _convolve(raised, conv, conv_bias, sums, u)
            project(u, w_x, parameters)
            _discretise(u, parameters[:, 2 * state :], w_step, step_bias, D, steps, slopes, drives, outs)
            Bs, Cs = parameters[:count, :state], parameters[:count, state : 2 * state]
            for i in range(blocks):
                for n in range(0, state, STATES):
                    a2, h = load_panel(A2, (i, n, 0)), load_panel(states, (b, i, n, 0))
                    store(states, (b, i, n, 0), _recur(Bs, Cs, n, a2, h, steps[i], drives[i], outs[i]))
            _gate(raised[before:, inner:], True, 0, blocks, outs, u)
            project(u, w_out, lowered)
            _write(lowered, masks, added, out[b, tile])
            for t in range(before):
                raised[t] = raised[count + t]
        past[b] = raised[:before, :inner]


def _norm(start, stop, x, residual, norm, passes, eps):
    """residual += x and x = norm(residual) for tokens start..stop-1; shapes as in :func:`_path`."""
    dim = x.shape[2]
    masks, rows = _masks(dim), _matrix(TILE, norm.shape[1])
    rows[:] = ZERO
    for b in range(x.shape[0]):
        for t0 in range(start, stop, TILE):
            tile = slice(t0, min(t0 + TILE, stop))
            _read(x[b, tile], residual[b, tile], True, masks, rows)
            for _ in range(passes):
                _normalise(rows, norm, eps, dim)
            _write(rows, masks, False, x[b, tile])


path = Kernel(
    _path, int64, int64, int64, int64, F3, F3, boolean, F2, int64, float32, F2, F2, F1, F2, F2, F1, F3, F1, F2,
    F3, F4, boolean, F3, F4, F5,
)  # fmt: skip
norm = Kernel(_norm, int64, int64, F3, F3, F2, int64, float32)
