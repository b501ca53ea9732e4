"""The selective scan on a GPU, all chunks of the sequence at the same time.

A recurrence runs token by token, but a GPU wants thousands of programs at once. A chunk of tokens acts on the state as
a single step would: h -> exp(A ΣΔ) h + (the state that it reaches from zero). Hence three kernels:

1. :func:`summarise_chunks`: every chunk, starting from zero, to the state that it reaches and to its ΣΔ;
2. :func:`carry_states`: over the chunks, few as they are, to the state that each starts from;
3. :func:`scan_chunks`: every chunk again, now from that state, to its outputs.

The equations are those of ``ops/reference.py``, with ``step`` for Δ_t. The gradient runs the same way backwards.
Write dx for the gradient with respect to x, and dy_t for dout_t silu(z_t), that with respect to y_t before the gate:

    dh_t = C_t dy_t + exp(Δ_{t+1} A) dh_{t+1}
    du_t = Δ_t Σ_n B_t dh_t + D dy_t
    dΔ_t = Σ_n dh_t (A exp(Δ_t A) h_{t-1} + B_t u_t)
    dA   = Σ_t Δ_t dh_t exp(Δ_t A) h_{t-1}
    dB_t = Σ_d dh_t Δ_t u_t,   dC_t = Σ_d h_t dy_t

4. :func:`summarise_gradients`, and :func:`carry_states` in reverse: to the dh that each chunk ends with;
5. :func:`scan_gradients`: every chunk computes its states again from the one it starts from, and all gradients.

Between forward and backward the states at the starts of the chunks are kept, N / CHUNK numbers for each channel and
token, and each chunk's ΣΔ; the backward itself takes N / PIECE numbers for a time. Sums over channels or chunks are
written down in parts and added afterwards, never by atomic operations: the result is the same in every run.

As part of a whole SSM (:mod:`mambadfuse.ops.gpu.projection`) neither u nor Δ is in memory. Then ``u`` are the tokens
before the convolution, ``delta`` (B, L, R) is Δ_raw, and the kernels compute for themselves, wherever they need them,

    u_t = silu(bias + Σ_k weight[k] x_{t - (W-1) + k}),   Δ_t = softplus(dt_proj Δ_raw + bias)

and the gradients of Δ_raw and dt_proj in place of that of Δ:

    dΔ_raw = dt_projᵀ dΔ,   ddt_proj = Σ_t dΔ_t Δ_rawᵀ         (dΔ before the softplus)

WIDTH and RANKS say so; both are zero where u and Δ are given.

Letters: B batch, L length, D channels, N states, W width of the convolution, R rank of the step size. A program holds
some channels with all their states, a tile (STATES, CHANNELS). ``x_row`` is the distance in memory from one token of x
to the next, and ``token`` counts the tokens of the whole batch. All arithmetic is in float32, whatever the dtype of the
tensors.
"""

import triton
import triton.language as tl

from mambadfuse.ops.gpu.arithmetic import join, sigmoid, silu, silu_slope, softplus
from mambadfuse.ops.gpu.causal_conv1d import tokens_at


@triton.jit
def row(x, x_row, token, i, mask):
    """The numbers i of one token; zero where masked."""
    return tl.load(x + token * x_row + i, mask, 0).to(tl.float32)


@triton.jit
def transposed(A, n, d, state, dim):
    """A (D, N) transposed: a tile (STATES, CHANNELS), zero beyond the last state and channel."""
    inside = (n < state)[:, None] & (d < dim)[None, :]
    return tl.load(A + d[None, :] * state + n[:, None], inside, 0).to(tl.float32)


@triton.jit
def input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, mask, WIDTH: tl.constexpr):
    """u_t; where there are ``filters`` (TAPS, CHANNELS), silu of the convolution of u. Zero where masked."""
    if WIDTH:
        k = tl.arange(0, filters.shape[0])
        s = tl.where(k < WIDTH, t - (WIDTH - 1) + k, length)  # there is no token at length: zero
        tokens = tokens_at(u, past, u_row, batch, s, d, length, dim, WIDTH)
        u_t = tl.where(mask, silu(filter_bias + tl.sum(filters * tokens, 0)), 0)
    else:
        u_t = row(u, u_row, batch * length + t, d, mask)
    return u_t


@triton.jit
def raw_step(delta, delta_row, dt, bias, token, d, mask, rank, RANKS: tl.constexpr):
    """Δ of one token before the softplus: delta + bias, or, with ``dt`` (RANKS, CHANNELS), dt_proj(delta)."""
    if RANKS:
        r = tl.arange(0, RANKS)
        raw = tl.sum(dt * row(delta, delta_row, token, r, r < rank)[:, None], 0)
    else:
        raw = row(delta, delta_row, token, d, mask)
    return raw + bias


@triton.jit
def step_size(raw, mask, SOFTPLUS: tl.constexpr):
    """Δ of one token; zero where masked."""
    if SOFTPLUS:
        raw = softplus(raw)
    return tl.where(mask, raw, 0)


@triton.jit
def places(chunk, n, d, state, dim):
    """Where the states (STATES, CHANNELS) of one chunk stand in a tensor (B, chunks, N, D), and which exist."""
    inside = (n < state)[:, None] & (d < dim)[None, :]
    return (chunk * state + n)[:, None] * dim + d[None, :], inside


@triton.jit
def summarise_chunks(
    u, delta, A, B, delta_bias, past, conv, conv_bias, dt_proj, reached, steps,
    u_row, delta_row, B_row, length, chunks, dim, state, rank,
    SOFTPLUS: tl.constexpr, WIDTH: tl.constexpr, TAPS: tl.constexpr, RANKS: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """One chunk from the state zero: ``reached`` (B, chunks, N, D) and ``steps``, its ΣΔ, (B, chunks, D)."""
    chunk, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    d, n = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    At, bias = transposed(A, n, d, state, dim), row(delta_bias, 0, 0, d, d < dim)
    filters = transposed(conv, tl.arange(0, TAPS), d, WIDTH, dim) if WIDTH else None
    filter_bias = row(conv_bias, 0, 0, d, d < dim) if WIDTH else None
    projection = transposed(dt_proj, tl.arange(0, RANKS), d, rank, dim) if RANKS else None
    h, total = tl.zeros((STATES, CHANNELS), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    for t in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, length)):
        token = batch * length + t
        u_t = input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, d < dim, WIDTH)
        raw = raw_step(delta, delta_row, projection, bias, token, d, d < dim, rank, RANKS)
        step, B_t = step_size(raw, d < dim, SOFTPLUS), row(B, B_row, token, n, n < state)
        h = tl.exp(step[None, :] * At) * h + (step * u_t)[None, :] * B_t[:, None]
        total += step
    at, inside = places(batch * chunks + chunk, n, d, state, dim)
    tl.store(reached + at, h, inside)
    tl.store(steps + (batch * chunks + chunk) * dim + d, total, d < dim)


@triton.jit
def carry_states(
    reached, steps, A, first, starts, last, chunks, dim, state,
    REVERSE: tl.constexpr, CARRIED: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The recurrence h -> exp(A ΣΔ) h + reached over the chunks, for one state of each channel.

    From ``first`` (B, D, N), to the state before each chunk in ``starts`` (B, chunks, N, D) and to ``last`` (B, D, N).
    In reverse it begins with the last chunk. The tiles are (CARRIED, CHANNELS), with chunks in rows.
    """
    n, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    d, r = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, CARRIED)
    A_n = row(A + n, 0, 0, d * state, d < dim)
    h = row(first + n, 0, 0, (batch * dim + d) * state, d < dim)
    for done in range(0, chunks, CARRIED):
        k = done + r  # how many chunks come before
        chunk = batch * chunks + (chunks - 1 - k if REVERSE else k)
        inside = (k < chunks)[:, None] & (d < dim)[None, :]
        at = (chunk * state + n)[:, None] * dim + d[None, :]
        decay = tl.exp(A_n[None, :] * tl.load(steps + chunk[:, None] * dim + d[None, :], inside, 0))
        added = tl.load(reached + at, inside, 0)
        decay, added = tl.associative_scan((decay, added), 0, join)
        after = decay * h[None, :] + added  # the state after each of these chunks
        tl.store(starts + at, tl.broadcast_to(h[None, :], (CARRIED, CHANNELS)), inside & (r == 0)[:, None])
        next_at = at - state * dim if REVERSE else at + state * dim
        tl.store(starts + next_at, after, inside & ((k + 1 < chunks) & (r + 1 < CARRIED))[:, None])
        h = tl.sum(tl.where((r == CARRIED - 1)[:, None], after, 0), 0)  # spare rows left it as it was
    tl.store(last + (batch * dim + d) * state + n, h, d < dim)


@triton.jit
def scan_chunks(
    u, delta, A, B, C, D, z, delta_bias, past, conv, conv_bias, dt_proj, starts, y,
    u_row, delta_row, B_row, C_row, z_row, length, chunks, dim, state, rank,
    SOFTPLUS: tl.constexpr, GATED: tl.constexpr, WIDTH: tl.constexpr, TAPS: tl.constexpr, RANKS: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """One chunk from the state in ``starts``, to its rows of y (B, L, D)."""
    chunk, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    d, n = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    At, bias = transposed(A, n, d, state, dim), row(delta_bias, 0, 0, d, d < dim)
    filters = transposed(conv, tl.arange(0, TAPS), d, WIDTH, dim) if WIDTH else None
    filter_bias = row(conv_bias, 0, 0, d, d < dim) if WIDTH else None
    projection = transposed(dt_proj, tl.arange(0, RANKS), d, rank, dim) if RANKS else None
    skip = row(D, 0, 0, d, d < dim)
    at, inside = places(batch * chunks + chunk, n, d, state, dim)
    h = tl.load(starts + at, inside, 0)
    for t in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, length)):
        token = batch * length + t
        u_t = input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, d < dim, WIDTH)
        raw = raw_step(delta, delta_row, projection, bias, token, d, d < dim, rank, RANKS)
        step, B_t = step_size(raw, d < dim, SOFTPLUS), row(B, B_row, token, n, n < state)
        h = tl.exp(step[None, :] * At) * h + (step * u_t)[None, :] * B_t[:, None]
        C_t = row(C, C_row, token, n, n < state)
        y_t = tl.sum(C_t[:, None] * h, 0) + skip * u_t
        if GATED:
            y_t *= silu(row(z, z_row, token, d, d < dim))
        tl.store(y + token * dim + d, y_t, d < dim)


@triton.jit
def summarise_gradients(
    delta, A, C, z, delta_bias, dt_proj, dout, reached,
    delta_row, C_row, z_row, dout_row, length, chunks, dim, state, rank,
    SOFTPLUS: tl.constexpr, GATED: tl.constexpr, RANKS: tl.constexpr,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """The gradient of one chunk's outputs with respect to the state before it, ``reached`` (B, chunks, N, D)."""
    chunk, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    d, n = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    At, bias = transposed(A, n, d, state, dim), row(delta_bias, 0, 0, d, d < dim)
    projection = transposed(dt_proj, tl.arange(0, RANKS), d, rank, dim) if RANKS else None
    dh = tl.zeros((STATES, CHANNELS), tl.float32)
    first, stop = chunk * CHUNK, min(chunk * CHUNK + CHUNK, length)
    for back in range(1, stop - first + 1):
        token = batch * length + stop - back
        dy_t, C_t = row(dout, dout_row, token, d, d < dim), row(C, C_row, token, n, n < state)
        if GATED:
            dy_t *= silu(row(z, z_row, token, d, d < dim))
        raw = raw_step(delta, delta_row, projection, bias, token, d, d < dim, rank, RANKS)
        step = step_size(raw, d < dim, SOFTPLUS)
        dh = tl.exp(step[None, :] * At) * (dh + C_t[:, None] * dy_t[None, :])
    at, inside = places(batch * chunks + chunk, n, d, state, dim)
    tl.store(reached + at, dh, inside)


@triton.jit
def scan_gradients(
    u, delta, A, B, C, D, z, delta_bias, past, conv, conv_bias, dt_proj, dout, starts, ends,
    states, du, ddelta, dA, dB, dC, dD, dz, dbias, ddt_proj, convolved,
    u_row, delta_row, B_row, C_row, z_row, dout_row, part_row, length, chunks, dim, state, rank,
    SOFTPLUS: tl.constexpr, GATED: tl.constexpr, WIDTH: tl.constexpr, TAPS: tl.constexpr, RANKS: tl.constexpr,
    CHUNK: tl.constexpr, PIECE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """All gradients of one chunk, from the state before it and dh after it, ``starts`` and ``ends`` (B, chunks, N, D).

    Registers cannot hold the states of a whole chunk. So the kernel first notes the state before every PIECE tokens, in
    ``states`` (B, chunks, CHUNK / PIECE, N, D), and then, from the last piece to the first, computes those of one piece
    again.

    Written whole: du, ddelta, dz (B, L, D). In parts, one for each block of channels: dB, dC (blocks, B, L, N),
    ``part_row`` numbers from token to token. In parts, one for each chunk: dA (B, chunks, N, D) and dD, dbias
    (B, chunks, D). With RANKS ddelta is that of Δ_raw, in parts like dB, and there is ddt_proj (B, chunks, R, D), in
    parts like dA. With WIDTH it leaves u in ``convolved`` (B, L, D), for the gradient of what is projected from it.
    """
    chunk, block, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    d, n = block * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    At, bias = transposed(A, n, d, state, dim), row(delta_bias, 0, 0, d, d < dim)
    filters = transposed(conv, tl.arange(0, TAPS), d, WIDTH, dim) if WIDTH else None
    filter_bias = row(conv_bias, 0, 0, d, d < dim) if WIDTH else None
    projection = transposed(dt_proj, tl.arange(0, RANKS), d, rank, dim) if RANKS else None
    skip = row(D, 0, 0, d, d < dim)
    at, inside = places(batch * chunks + chunk, n, d, state, dim)
    h, dh = tl.load(starts + at, inside, 0), tl.load(ends + at, inside, 0)
    sum_A, sum_D = tl.zeros((STATES, CHANNELS), tl.float32), tl.zeros((CHANNELS,), tl.float32)
    sum_bias, sum_dt = tl.zeros((CHANNELS,), tl.float32), tl.zeros((max(1, RANKS), CHANNELS), tl.float32)
    PIECES: tl.constexpr = CHUNK // PIECE

    for t in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, length)):
        if t % PIECE == 0:
            piece = (batch * chunks + chunk) * PIECES + (t - chunk * CHUNK) // PIECE
            tl.store(states + places(piece, n, d, state, dim)[0], h, inside)
        token = batch * length + t
        u_t = input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, d < dim, WIDTH)
        raw = raw_step(delta, delta_row, projection, bias, token, d, d < dim, rank, RANKS)
        step, B_t = step_size(raw, d < dim, SOFTPLUS), row(B, B_row, token, n, n < state)
        h = tl.exp(step[None, :] * At) * h + (step * u_t)[None, :] * B_t[:, None]
    tl.debug_barrier()  # now every thread sees all the states noted

    pieces = tl.cdiv(min(CHUNK, length - chunk * CHUNK), PIECE)
    for back in range(1, pieces + 1):
        piece = pieces - back
        noted = places((batch * chunks + chunk) * PIECES + piece, n, d, state, dim)[0]
        h = tl.load(states + noted, inside, 0)
        before = ()  # the state before each token of the piece
        for k in tl.static_range(PIECE):
            before = before + (h,)  # noqa: RUF005 - Triton knows no star
            t = chunk * CHUNK + piece * PIECE + k
            live = t < length
            token, here, ranks = batch * length + t, d < tl.where(live, dim, 0), tl.where(live, rank, 0)
            projected = n < tl.where(live, state, 0)
            u_t = input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, here, WIDTH)
            raw = raw_step(delta, delta_row, projection, bias, token, d, here, ranks, RANKS)
            step, B_t = step_size(raw, here, SOFTPLUS), row(B, B_row, token, n, projected)
            h = tl.exp(step[None, :] * At) * h + (step * u_t)[None, :] * B_t[:, None]
        for k in tl.static_range(PIECE - 1, -1, -1):
            t = chunk * CHUNK + piece * PIECE + k
            live = t < length
            token, here, ranks = batch * length + t, d < tl.where(live, dim, 0), tl.where(live, rank, 0)
            projected = n < tl.where(live, state, 0)
            u_t = input_at(u, u_row, past, filters, filter_bias, batch, t, d, length, dim, here, WIDTH)
            raw = raw_step(delta, delta_row, projection, bias, token, d, here, ranks, RANKS)
            step, B_t = step_size(raw, here, SOFTPLUS), row(B, B_row, token, n, projected)
            C_t = row(C, C_row, token, n, projected)
            kept = tl.exp(step[None, :] * At) * before[k]
            h = kept + (step * u_t)[None, :] * B_t[:, None]
            dout_t = row(dout, dout_row, token, d, here)
            dy_t = dout_t
            if GATED:
                z_t = row(z, z_row, token, d, here)
                dy_t = dout_t * silu(z_t)
                y_t = tl.sum(C_t[:, None] * h, 0) + skip * u_t
                tl.store(dz + token * dim + d, dout_t * y_t * silu_slope(z_t), here)
            dh += C_t[:, None] * dy_t[None, :]
            dinput = tl.sum(dh * B_t[:, None], 0)  # with respect to Δ u
            dstep = tl.sum(dh * kept * At, 0) + dinput * u_t
            if SOFTPLUS:
                dstep *= sigmoid(raw)
            dstep = tl.where(here, dstep, 0)
            tl.store(du + token * dim + d, dinput * step + skip * dy_t, here)
            if WIDTH:
                tl.store(convolved + token * dim + d, u_t, here)
            part = (block * tl.num_programs(2) * length + token) * part_row
            tl.store(dB + part + n, tl.sum(dh * (step * u_t)[None, :], 1), projected)
            tl.store(dC + part + n, tl.sum(h * dy_t[None, :], 1), projected)
            if RANKS:
                r = tl.arange(0, RANKS)
                tl.store(ddelta + part + r, tl.sum(projection * dstep[None, :], 1), r < ranks)
                sum_dt += row(delta, delta_row, token, r, r < ranks)[:, None] * dstep[None, :]
            else:
                tl.store(ddelta + token * dim + d, dstep, here)
            sum_A += dh * kept * step[None, :]
            sum_D += dy_t * u_t
            sum_bias += dstep
            dh *= tl.exp(step[None, :] * At)

    tl.store(dA + at, sum_A, inside)
    if RANKS:
        r = tl.arange(0, RANKS)
        at, inside = places(batch * chunks + chunk, r, d, rank, dim)
        tl.store(ddt_proj + at, sum_dt, inside)
    tl.store(dD + (batch * chunks + chunk) * dim + d, sum_D, d < dim)
    tl.store(dbias + (batch * chunks + chunk) * dim + d, sum_bias, d < dim)
