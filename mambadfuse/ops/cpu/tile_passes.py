"""What the scan and the whole Mamba unit do to one tile of T tokens: the passes that their kernels share.

A pass reads its inputs once and is inlined into its kernel. Passes over sequences, such as tokens (T, C) or u, z, y
(T, E), go through whole rows, all blocks of channels of a token in turn, because memory is fast only where it is read
in order. They leave scratch arrays by block, (blocks, T, 16), on which the recurrence then runs in the cache: one pass
for each block and panel of states, with A, h and whatever else does not depend on the token in registers.

Letters: T tokens of a tile, C model width, E channels of the scan, N states, R rank of the step size, W width of the
convolution; n is the first state of a panel.
"""

from numba import njit

from mambadfuse.ops.cpu.layout import ZERO, first_channel
from mambadfuse.ops.cpu.simd import (
    PANEL_STATES,
    PANEL_WIDTH,
    SIMD_WIDTH,
    broadcast,
    horizontal_sums,
    load,
    load_broadcast,
    load_panel,
    store,
    sum_vectors,
)
from mambadfuse.ops.cpu.simd_math import ONE, exp2, sigmoid, softplus


@njit(forceinline=True)
def clear(vectors):
    """Set scratch vectors (rows, columns, 16) to zero."""
    for row in range(vectors.shape[0]):
        for column in range(vectors.shape[1]):
            store(vectors, (row, column, 0), broadcast(ZERO))


# ------------------------------------------------------------------------------------- tokens and projections


@njit(forceinline=True)
def read_tokens(x, residual, order, add_residual, masks, rows):
    """rows = x; with ``add_residual``, residual += x and rows = residual; row t is the token x[order[t]].

    x, residual (L, C); order (T,); rows (T or more, C rounded up to whole vectors). The masks (blocks, 16) keep
    channels that two blocks share from being added twice.
    """
    for t in range(order.shape[0]):
        for i in range(masks.shape[0]):
            c0 = first_channel(i, x.shape[1])
            tokens = load(x, (order[t], c0))
            if add_residual:
                tokens = load(residual, (order[t], c0)) + load(masks, (i, 0)) * tokens
                store(residual, (order[t], c0), tokens)
            store(rows, (t, c0), tokens)


@njit(forceinline=True)
def write_tokens(rows, masks, order, accumulate, out):
    """out = rows; with ``accumulate``, out += rows. out (L, C), all else as in :func:`read_tokens`."""
    for t in range(order.shape[0]):
        for i in range(masks.shape[0]):
            c0 = first_channel(i, out.shape[1])
            tokens = load(rows, (t, c0))
            if accumulate:
                tokens = load(out, (order[t], c0)) + load(masks, (i, 0)) * tokens
            store(out, (order[t], c0), tokens)


@njit(forceinline=True)
def project(x, weight, out):
    """out = x weight, a matrix product whose sums stay in registers: six tokens by one panel of outputs at a time.

    x (T, K or more), weight (K, M), out (T, M); T a multiple of six, M of a panel.
    """
    for m in range(0, weight.shape[1], PANEL_WIDTH):
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
def convolve(stream, weight, bias, sums, u):
    """sums_t = bias + Σ_k weight_k stream_{t+k} and u = silu(sums), the causal convolution.

    stream (W - 1 + T, E) starts W - 1 tokens before the tile; weight (W, E), bias (E,); sums, u (T, E).
    """
    for t in range(u.shape[0]):
        for c in range(0, u.shape[1], SIMD_WIDTH):
            out = load(bias, (c,))
            for k in range(weight.shape[0]):
                out = out + load(weight, (k, c)) * load(stream, (t + k, c))
            store(sums, (t, c), out)
            store(u, (t, c), out * sigmoid(out))


# --------------------------------------------------------------------------------------------------- the scan


@njit(forceinline=True)
def discretise(u, delta, D, bias, use_softplus, first, end, steps, slopes, drives, outs):
    """Δ = softplus(delta + bias), or without the softplus, for a delta of full width.

        steps = Δ,   slopes = dΔ/ddelta,   drives = Δ u,   outs = D u

    u, delta (T, E); D, bias (E,); the results are for blocks first..end-1, (end - first, T, 16).
    """
    for t in range(u.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, u.shape[1])
            step, slope, x = load(delta, (t, c0)) + load(bias, (c0,)), broadcast(ONE), load(u, (t, c0))
            if use_softplus:
                step, slope = softplus(step)
            store(steps, (i, t, 0), step)
            store(slopes, (i, t, 0), slope)
            store(drives, (i, t, 0), step * x)
            store(outs, (i, t, 0), load(D, (c0,)) * x)


@njit(forceinline=True)
def discretise_low_rank(u, delta, weight, bias, D, steps, slopes, drives, outs):
    """Δ = softplus(bias + delta weight), for a delta (T, R or more) that the weight (R, E) projects to full width.

    steps = Δ,   slopes = dΔ/d(bias + delta weight),   drives = Δ u,   outs = D u

    u (T, E), E in whole blocks; D, bias (E,); the results (blocks, T, 16).
    """
    for t in range(u.shape[0]):
        for i in range(steps.shape[0]):
            c = i * SIMD_WIDTH
            step, x = load(bias, (c,)), load(u, (t, c))
            for r in range(weight.shape[0]):
                step = step + delta[t, r] * load(weight, (r, c))
            step, slope = softplus(step)
            store(steps, (i, t, 0), step)
            store(slopes, (i, t, 0), slope)
            store(drives, (i, t, 0), step * x)
            store(outs, (i, t, 0), load(D, (c,)) * x)


@njit(forceinline=True)
def recurrence(B, C, n, A2, h, steps, drives, outs):
    """The scan of one block of channels and one panel of states over the tile.

        h_t = e^(Δ_t A) h_{t-1} + Δ_t u_t B_t,   outs_t += Σ_n C_t h_t

    B, C (T, N); A2 = A log2 e, since e^x = 2^(x log2 e); steps = Δ, drives = Δ u, outs (T, 16). Returns the last h.
    """
    for t in range(B.shape[0]):
        decay = exp2(load(steps, (t, 0)) * A2)
        h = decay * h + load(drives, (t, 0)) * load_broadcast(B, (t, n))
        store(outs, (t, 0), sum_vectors(load(outs, (t, 0)), h * load_broadcast(C, (t, n))))
    return h


@njit(forceinline=True)
def gate(z, gated, first, end, outs, y):
    """y = outs silu(z), or y = outs if not gated. z, y (T, E), outs by block, for blocks first..end-1."""
    for t in range(y.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, y.shape[1])
            out = load(outs, (i, t, 0))
            if gated:
                before = load(z, (t, c0))
                out = out * before * sigmoid(before)
            store(y, (t, c0), out)


# ----------------------------------------------------------------------------------------- backward, the scan


@njit(forceinline=True)
def gate_backward(z, dy, gated, first, end, douts, dgates):
    """The gradient of the gate y = outs silu(z), as far as it does not need ``outs``.

        douts = dy silu(z),   dgates = dy silu'(z),   and so   dz = dgates outs

    z, dy (T, E); douts, dgates by block, for blocks first..end-1. If not gated, douts = dy.
    """
    for t in range(dy.shape[0]):
        for i in range(end - first):
            c0 = first_channel(first + i, dy.shape[1])
            dout = load(dy, (t, c0))
            if gated:
                before = load(z, (t, c0))
                s = sigmoid(before)
                store(dgates, (i, t, 0), dout * s * (before * (ONE - s) + ONE))
                dout = dout * before * s
            store(douts, (i, t, 0), dout)


@njit(forceinline=True)
def recompute(B, C, n, A2, h, steps, drives, outs, kept):
    """:func:`recurrence` once more, storing for each token what :func:`adjoint` needs.

    kept (T, 2 N', 16), N' states of a panel: h_{t-1}, then the decay e^(Δ_t A). Returns the last h.
    """
    for t in range(B.shape[0]):
        decay = exp2(load(steps, (t, 0)) * A2)
        store(kept, (t, 0, 0), h)
        store(kept, (t, PANEL_STATES, 0), decay)
        h = decay * h + load(drives, (t, 0)) * load_broadcast(B, (t, n))
        store(outs, (t, 0), sum_vectors(load(outs, (t, 0)), h * load_broadcast(C, (t, n))))
    return h


@njit(forceinline=True)
def adjoint(B, C, n, A, h, dh, dA, steps, drives, kept, douts, mask, ddrives, dsteps, dBC):
    """The gradient of :func:`recurrence`: the adjoint recurrence, from the last token of the tile to the first.

        dh_t = C_t douts_t + e^(Δ_{t+1} A) dh_{t+1}
        dC_t += douts_t h_t,   dB_t += drives_t dh_t,   ddrives_t += Σ_n B_t dh_t
        dexponent_t = dh_t e^(Δ_t A) h_{t-1},   dsteps_t += Σ_n A dexponent_t,   dA += Δ_t dexponent_t

    h is the last state, dh the gradient that reaches it from later tokens, kept as :func:`recompute` leaves it; dBC
    (T, 2 N, 16) is per channel, each panel of dB followed by that of dC. The mask (16,) is zero for channels that
    another block counts. Returns dh before the first token, and dA.
    """
    for t in range(B.shape[0] - 1, -1, -1):
        step, drive, dout = load(steps, (t, 0)), load(drives, (t, 0)), load(douts, (t, 0))
        dh = dh + dout * load_broadcast(C, (t, n))
        store(dBC, (t, 2 * n, 0), load_panel(dBC, (t, 2 * n, 0)) + drive * mask * dh)
        dC = load_panel(dBC, (t, 2 * n + PANEL_STATES, 0)) + dout * mask * h
        store(dBC, (t, 2 * n + PANEL_STATES, 0), dC)
        store(ddrives, (t, 0), sum_vectors(load(ddrives, (t, 0)), dh * load_broadcast(B, (t, n))))
        dh = dh * load_panel(kept, (t, PANEL_STATES, 0))
        h = load_panel(kept, (t, 0, 0))
        dexponent = dh * h
        store(dsteps, (t, 0), sum_vectors(load(dsteps, (t, 0)), dexponent * A))
        dA = dA + dexponent * step
    return dh, dA


@njit(forceinline=True)
def sum_channels(dBC, dB, dC):
    """dB and dC (T, N): the sums over channels of what :func:`adjoint` left in dBC (T, 2 N, 16)."""
    for t in range(dB.shape[0]):
        for n in range(0, dB.shape[1], PANEL_STATES):
            store(dB, (t, n), horizontal_sums(load_panel(dBC, (t, 2 * n, 0))))
            store(dC, (t, n), horizontal_sums(load_panel(dBC, (t, 2 * n + PANEL_STATES, 0))))
