"""The fused CPU kernels: selective scan and causal convolution, forward and backward.

One *job* is one batch element times one block of sixteen channels; every job walks along the whole sequence
with its state (N x 16 numbers) in the first-level cache. Jobs share nothing they both write (but see below),
so the result is the same for any number of threads.

* The forward scan fuses bias, softplus, recurrence, skip and gate: it reads u, delta, z, B, C once and writes y.
  For the backward it also writes the state at the start of every tile of ``TILE`` tokens.
* The backward scan goes through the tiles from last to first: it recomputes the states of one tile from its
  checkpoint, then runs the adjoint recurrence over it. Memory is O(L / TILE * N) per channel, not O(L * N).

If sixteen does not divide the number of channels, the last block is moved back to end at the last channel. It
then repeats some channels of its neighbour: both write the same values there, and where a sum over channels is
taken (the gradients of B and C) the ``own`` mask counts each channel once.

Letters: B batch, L length, D channels (at least sixteen), N state size, W width of the convolution.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numba import boolean, float32, int64, njit, void
from numba.core.types import Array

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

TILE = 16
ZERO = np.float32(0)
SOFTPLUS_LINEAR = np.float32(20)


class Kernel:
    """A function that is compiled for one signature when it is first needed, then kept on disk.

    One signature for arrays of any strides: no caller's memory layout ever sets off another compilation.
    """

    def __init__(self, function: Callable[..., None], *signature: object) -> None:
        self.function, self.signature = function, void(*signature)

    @cached_property
    def compiled(self) -> Callable[..., None]:
        """The machine code, callable without Python's global lock."""
        return njit(self.signature, nogil=True, cache=True)(self.function)


def blocks(dim: int) -> int:
    """Number of channel blocks, hence of jobs for each batch element."""
    return -(-dim // LANES)


@njit
def _first_channel(block, dim):
    return min(block * LANES, dim - LANES)


@njit
def _own(block, dim):
    """1 in the lanes whose channel belongs to this block, 0 where it repeats its neighbour's."""
    mask = np.ones(LANES, np.float32)
    mask[: block * LANES - _first_channel(block, dim)] = ZERO
    return load(mask, (0,))


@njit
def _channel_rows(A, c0, scale):
    """A (D, N) -> rows (N, 16) of the block that starts at channel c0, times scale."""
    rows = np.empty((A.shape[1], LANES), np.float32)
    for n in range(A.shape[1]):
        for lane in range(LANES):
            rows[n, lane] = A[c0 + lane, n] * scale
    return rows


@njit
def _step_size(delta, bias, index, c0, use_softplus):
    raw = load(delta, index) + load(bias, (c0,))
    return softplus(raw) if use_softplus else raw


def _scan_forward(
    first, last, u, delta, A, B, C, D, z, bias, use_softplus, gated, start, y, end, checkpoints
):
    """Jobs first..last-1 of the forward scan.

    u, delta, z, y (B, L, D); A (D, N); B, C (B, L, N); D, bias (D,); start, end (B, D, N);
    checkpoints (B, L / TILE or 0, blocks, N, 16): nothing is kept if its second axis is empty.
    """
    length, dim = u.shape[1], u.shape[2]
    state = A.shape[1]
    per_batch = (dim + LANES - 1) // LANES
    for job in range(first, last):
        b, block = job // per_batch, job % per_batch
        c0 = _first_channel(block, dim)
        A2 = _channel_rows(A, c0, LOG2_E)  # e^(Δ A) = 2^(Δ A log2 e)
        h = _channel_rows(start[b], c0, ONE)
        skip = load(D, (c0,))
        for t in range(length):
            if t % TILE == 0 and checkpoints.shape[1] > 0:
                checkpoints[b, t // TILE, block] = h
            index = (b, t, c0)
            x = load(u, index)
            step = _step_size(delta, bias, index, c0, use_softplus)
            drive = step * x
            out = skip * x
            for n in range(state):
                hn = exp2(step * load(A2, (n, 0))) * load(h, (n, 0)) + drive * B[b, t, n]
                store(h, (n, 0), hn)
                out = out + hn * C[b, t, n]
            if gated:
                gate = load(z, index)
                out = out * gate * sigmoid(gate)
            store(y, index, out)
        for n in range(state):
            for lane in range(LANES):
                end[b, c0 + lane, n] = h[n, lane]


def _scan_backward(
    first, last, u, delta, A, B, C, D, z, bias, use_softplus, gated, checkpoints, dy, dend,
    du, ddelta, dA, dB, dC, dD, dz, dbias, dstart,
):  # fmt: skip
    """Jobs first..last-1 of the backward scan; dX is the gradient with respect to X.

    dy like y; dend, dstart like the states; dA (B, D, N), dD, dbias (B, D) are per batch element and
    dB, dC (B, blocks, L, N) per block: the caller sums them.
    """
    length, dim = u.shape[1], u.shape[2]
    state = A.shape[1]
    per_batch = (dim + LANES - 1) // LANES
    states = np.empty(
        (TILE + 1, state, LANES), np.float32
    )  # h before each token of the tile, and after the last
    decays = np.empty((TILE, state, LANES), np.float32)
    ungated = np.empty((TILE, LANES), np.float32)  # y before the gate
    for job in range(first, last):
        b, block = job // per_batch, job % per_batch
        c0 = _first_channel(block, dim)
        own = _own(block, dim)
        A1, A2 = _channel_rows(A, c0, ONE), _channel_rows(A, c0, LOG2_E)
        dh = _channel_rows(dend[b], c0, ONE)  # gradient reaching the state from later tokens
        dA_rows = np.zeros((state, LANES), np.float32)
        skip = load(D, (c0,))
        dskip, dbias_row = splat(ZERO), splat(ZERO)
        for tile in range((length - 1) // TILE, -1, -1):
            t0, tokens = tile * TILE, min(TILE, length - tile * TILE)
            states[0] = checkpoints[b, tile, block]
            for t in range(tokens):
                index = (b, t0 + t, c0)
                x = load(u, index)
                step = _step_size(delta, bias, index, c0, use_softplus)
                drive = step * x
                out = skip * x
                for n in range(state):
                    decay = exp2(step * load(A2, (n, 0)))
                    hn = decay * load(states, (t, n, 0)) + drive * B[b, t0 + t, n]
                    store(decays, (t, n, 0), decay)
                    store(states, (t + 1, n, 0), hn)
                    out = out + hn * C[b, t0 + t, n]
                store(ungated, (t, 0), out)
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
                dx = dout * skip
                dstep, ddrive = splat(ZERO), splat(ZERO)
                dout_own, drive_own = dout * own, step * x * own
                for n in range(state):
                    dhn = load(dh, (n, 0)) + dout * C[b, t0 + t, n]
                    dC[b, block, t0 + t, n] = total(dout_own * load(states, (t + 1, n, 0)))
                    dB[b, block, t0 + t, n] = total(drive_own * dhn)
                    ddrive = ddrive + dhn * B[b, t0 + t, n]
                    carried = dhn * load(decays, (t, n, 0))
                    dexponent = carried * load(states, (t, n, 0))  # gradient with respect to Δ A
                    dstep = dstep + dexponent * load(A1, (n, 0))
                    store(dA_rows, (n, 0), load(dA_rows, (n, 0)) + dexponent * step)
                    store(dh, (n, 0), carried)
                store(du, index, dx + ddrive * step)
                dstep = dstep + ddrive * x
                if use_softplus:
                    raw = load(delta, index) + load(bias, (c0,))
                    dstep = where_greater(raw, splat(SOFTPLUS_LINEAR), dstep, dstep * sigmoid(raw))
                store(ddelta, index, dstep)
                dbias_row = dbias_row + dstep
        store(dD, (b, c0), dskip)
        store(dbias, (b, c0), dbias_row)
        for n in range(state):
            for lane in range(LANES):
                dA[b, c0 + lane, n] = dA_rows[n, lane]
                dstart[b, c0 + lane, n] = dh[n, lane]


@njit
def _convolve(x, weight, bias, b, t, c0):
    """bias + Σ_k weight[k] x[t - (W - 1) + k], tokens before the first count as zero; weight (W, D)."""
    width = weight.shape[0]
    out = load(bias, (c0,))
    for k in range(max(0, width - 1 - t), width):
        out = out + load(weight, (k, c0)) * load(x, (b, t - (width - 1) + k, c0))
    return out


def _conv_forward(first, last, x, weight, bias, activate, y):
    """Jobs first..last-1 of the causal convolution. x, y (B, L, D); weight (W, D); bias (D,)."""
    length, dim = x.shape[1], x.shape[2]
    per_batch = (dim + LANES - 1) // LANES
    for job in range(first, last):
        b, c0 = job // per_batch, _first_channel(job % per_batch, dim)
        for t in range(length):
            out = _convolve(x, weight, bias, b, t, c0)
            if activate:
                out = out * sigmoid(out)
            store(y, (b, t, c0), out)


def _conv_backward(first, last, x, weight, bias, activate, dy, dx, dweight, dbias):
    """Jobs first..last-1 of its gradient; dweight (B, W, D) and dbias (B, D) are per batch element.

    The token that leaves the window of W tokens has received all its gradient and is written.
    """
    length, dim, width = x.shape[1], x.shape[2], weight.shape[0]
    per_batch = (dim + LANES - 1) // LANES
    window = np.zeros((width + 1, LANES), np.float32)  # row k: gradient so far of token t - (W - 1) + k
    dweight_rows = np.empty((width, LANES), np.float32)
    for job in range(first, last):
        b, c0 = job // per_batch, _first_channel(job % per_batch, dim)
        window[:] = ZERO
        dweight_rows[:] = ZERO
        dbias_row = splat(ZERO)
        for t in range(length + width - 1):
            dout = splat(ZERO)
            if t < length:
                dout = load(dy, (b, t, c0))
                if activate:
                    out = _convolve(x, weight, bias, b, t, c0)
                    s = sigmoid(out)
                    dout = dout * s * (out * (ONE - s) + ONE)
                dbias_row = dbias_row + dout
            for k in range(width):
                token = t - (width - 1) + k
                store(window, (k, 0), load(window, (k + 1, 0)) + dout * load(weight, (k, c0)))
                if 0 <= token < length:
                    store(dweight_rows, (k, 0), load(dweight_rows, (k, 0)) + dout * load(x, (b, token, c0)))
            if t >= width - 1:
                store(dx, (b, t - (width - 1), c0), load(window, (0, 0)))
        for k in range(width):
            store(dweight, (b, k, c0), load(dweight_rows, (k, 0)))
        store(dbias, (b, c0), dbias_row)


_F1, _F2, _F3, _F4, _F5 = (Array(float32, axes, "A") for axes in range(1, 6))
_SCAN_INPUTS = (int64, int64, _F3, _F3, _F2, _F3, _F3, _F1, _F3, _F1, boolean, boolean)
_CONV_INPUTS = (int64, int64, _F3, _F2, _F1, boolean)

scan_forward = Kernel(_scan_forward, *_SCAN_INPUTS, _F3, _F3, _F3, _F5)
scan_backward = Kernel(
    _scan_backward, *_SCAN_INPUTS, _F5, _F3, _F3, *[_F3] * 3, *[_F4] * 2, _F2, _F3, _F2, _F3
)
conv_forward = Kernel(_conv_forward, *_CONV_INPUTS, _F3)
conv_backward = Kernel(_conv_backward, *_CONV_INPUTS, _F3, _F3, _F3, _F2)
