"""The causal convolution on a GPU: a program for each chunk of tokens and block of channels.

Letters: B batch, L length, D channels, W width. Before the first token come the W - 1 tokens of ``past``, numbered
-(W - 1) to -1. A tile is (CHUNK, CHANNELS); ``x_row`` is the distance in memory from one token of x to the next.
"""

import triton
import triton.language as tl

from mambadfuse.ops.gpu.arithmetic import silu, silu_slope


@triton.jit
def tokens_at(x, past, x_row, batch, t, d, length, dim, WIDTH: tl.constexpr):
    """The tokens numbered t, from ``past`` where t is negative; zero after the last."""
    channels = (d < dim)[None, :]
    now = tl.load(
        x + (batch * length + t)[:, None] * x_row + d[None, :],
        ((t >= 0) & (t < length))[:, None] & channels,
        0,
    )
    before = (t < 0) & (t > -WIDTH)
    then = tl.load(
        past + (batch * (WIDTH - 1) + t + WIDTH - 1)[:, None] * dim + d[None, :],
        before[:, None] & channels,
        0,
    )
    return now.to(tl.float32) + then.to(tl.float32)


@triton.jit
def weighted_sum(x, past, weight, bias, x_row, batch, t, d, length, dim, WIDTH: tl.constexpr):
    """bias + Σ_k weight[k] x_{t - (W-1) + k}"""
    y = tl.zeros((t.shape[0], d.shape[0]), tl.float32) + tl.load(bias + d, d < dim, 0).to(tl.float32)[None, :]
    for k in tl.static_range(WIDTH):
        weight_k = tl.load(weight + d * WIDTH + k, d < dim, 0).to(tl.float32)
        y += weight_k[None, :] * tokens_at(x, past, x_row, batch, t - (WIDTH - 1) + k, d, length, dim, WIDTH)
    return y


@triton.jit
def conv_forward(
    x, past, weight, bias, y, x_row, length, dim,
    WIDTH: tl.constexpr, ACTIVATE: tl.constexpr, CHUNK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """y (B, L, D) of one chunk."""
    batch = tl.program_id(2).to(tl.int64)
    t = tl.program_id(0) * CHUNK + tl.arange(0, CHUNK)
    d = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    y_t = weighted_sum(x, past, weight, bias, x_row, batch, t, d, length, dim, WIDTH)
    if ACTIVATE:
        y_t = silu(y_t)
    tl.store(
        y + (batch * length + t)[:, None] * dim + d[None, :], y_t, (t < length)[:, None] & (d < dim)[None, :]
    )


@triton.jit
def slope_times_gradient(
    x, past, weight, bias, dy, x_row, dy_row, batch, t, d, length, dim,
    WIDTH: tl.constexpr, ACTIVATE: tl.constexpr,
):  # fmt: skip
    """The gradient with respect to the weighted sums at the tokens t; zero where there is no output."""
    inside = ((t >= 0) & (t < length))[:, None] & (d < dim)[None, :]
    g = tl.load(dy + (batch * length + t)[:, None] * dy_row + d[None, :], inside, 0).to(tl.float32)
    if ACTIVATE:
        sums = weighted_sum(x, past, weight, bias, x_row, batch, t, d, length, dim, WIDTH)
        g = tl.where(inside, g * silu_slope(sums), 0)
    return g


@triton.jit
def conv_backward(
    x, past, weight, bias, dy, dx, dpast, dweight, dbias,
    x_row, dy_row, length, dim,
    WIDTH: tl.constexpr, ACTIVATE: tl.constexpr, CHUNK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """All gradients of one chunk of the W - 1 + L tokens in ``past`` and x.

        dx_s = Σ_k weight[k] g_{s + (W-1) - k}   with g_t = dy_t times the slope of the activation

    ``dweight`` (B, chunks, W, D) and ``dbias`` (B, chunks, D) are parts of sums over the chunks.
    """
    chunk, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    s = chunk * CHUNK + tl.arange(0, CHUNK) - (WIDTH - 1)
    d = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    channels, place = (d < dim)[None, :], batch * tl.num_programs(0) + chunk
    dx_s = tl.zeros((CHUNK, CHANNELS), tl.float32)
    for k in tl.static_range(WIDTH):
        t = s + (WIDTH - 1) - k
        g = slope_times_gradient(
            x, past, weight, bias, dy, x_row, dy_row, batch, t, d, length, dim, WIDTH, ACTIVATE
        )
        dx_s += tl.load(weight + d * WIDTH + k, d < dim, 0).to(tl.float32)[None, :] * g
        x_s = tokens_at(x, past, x_row, batch, s, d, length, dim, WIDTH)
        tl.store(dweight + (place * WIDTH + k) * dim + d, tl.sum(g * x_s, 0), d < dim)
        if k == WIDTH - 1:  # here t = s: each output once
            tl.store(dbias + place * dim + d, tl.sum(g, 0), d < dim)
    tl.store(
        dx + (batch * length + s)[:, None] * dim + d[None, :],
        dx_s,
        ((s >= 0) & (s < length))[:, None] & channels,
    )
    before = (batch * (WIDTH - 1) + s + WIDTH - 1)[:, None] * dim + d[None, :]
    tl.store(dpast + before, dx_s, (s < 0)[:, None] & channels)
