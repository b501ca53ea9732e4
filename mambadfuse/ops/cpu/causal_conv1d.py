"""The causal convolution with its silu on a CPU, forward and backward, as fused kernels.

One *job* is one batch element times ``CHUNK`` tokens. Jobs and the order of every sum are fixed by the shapes
alone: any number of threads gives the same result.

Letters: B batch, L length, D channels (at least sixteen), W width of the convolution.
"""

import numpy as np
from numba import boolean, int64, njit

from mambadfuse.ops.cpu.kernel import F1, F2, F3, Kernel
from mambadfuse.ops.cpu.layout import ZERO, first_channel
from mambadfuse.ops.cpu.simd import SIMD_WIDTH, broadcast, load, store
from mambadfuse.ops.cpu.simd_math import ONE, sigmoid

CHUNK = 256  # tokens of one job


@njit(forceinline=True)
def _convolve(x, past, weight, start, b, t, c0):
    """start + Σ_k weight[k] x[t - (W - 1) + k]; weight (W, D); past (B, W - 1, D) holds the tokens before the first."""
    width = weight.shape[0]
    early = max(0, width - 1 - t)  # taps on tokens before the first
    for k in range(early):
        start = start + load(weight, (k, c0)) * load(past, (b, t + k, c0))
    for k in range(early, width):
        start = start + load(weight, (k, c0)) * load(x, (b, t - (width - 1) + k, c0))
    return start


def _conv_forward(first, last, x, past, weight, bias, activate, y):
    """Jobs first..last-1 of the causal convolution. x, y (B, L, D); past (B, W - 1, D); weight (W, D)."""
    length, dim = x.shape[1], x.shape[2]
    chunks = (length + CHUNK - 1) // CHUNK
    for job in range(first, last):
        b, begin = job // chunks, job % chunks * CHUNK
        for t in range(begin, min(begin + CHUNK, length)):
            for block in range((dim + SIMD_WIDTH - 1) // SIMD_WIDTH):
                c0 = first_channel(block, dim)
                out = _convolve(x, past, weight, load(bias, (c0,)), b, t, c0)
                if activate:
                    out = out * sigmoid(out)
                store(y, (b, t, c0), out)


def _conv_backward(first, last, x, past, weight, bias, activate, dy, dx, dpast, dweight, dbias):
    """Jobs first..last-1 of its gradient; dweight (jobs, W, D) and dbias (jobs, D) are per job.

    The gradient of a token is complete when the token leaves the window of W tokens, and is written only then.
    Therefore a job reads W - 1 tokens beyond its own.
    """
    length, dim, width = x.shape[1], x.shape[2], weight.shape[0]
    blocks = (dim + SIMD_WIDTH - 1) // SIMD_WIDTH
    chunks = (length + CHUNK - 1) // CHUNK
    window = np.empty(
        (blocks, width + 1, SIMD_WIDTH), np.float32
    )  # row k: gradient so far of token t - (W - 1) + k
    dweight_rows = np.empty((blocks, width, SIMD_WIDTH), np.float32)
    dbias_rows = np.empty((blocks, SIMD_WIDTH), np.float32)
    for job in range(first, last):
        b, begin = job // chunks, job % chunks * CHUNK
        stop = min(begin + CHUNK, length)
        window[:] = ZERO
        dweight_rows[:] = ZERO
        dbias_rows[:] = ZERO
        for t in range(begin, stop + width - 1):
            oldest = t - (width - 1)
            for block in range(blocks):
                c0 = first_channel(block, dim)
                dout = broadcast(ZERO)
                if t < length:
                    dout = load(dy, (b, t, c0))
                    if activate:
                        out = _convolve(x, past, weight, load(bias, (c0,)), b, t, c0)
                        s = sigmoid(out)
                        dout = dout * s * (out * (ONE - s) + ONE)
                for k in range(width):
                    store(
                        window, (block, k, 0), load(window, (block, k + 1, 0)) + dout * load(weight, (k, c0))
                    )
                if t < stop:
                    store(dbias_rows, (block, 0), load(dbias_rows, (block, 0)) + dout)
                    for k in range(width):
                        token = (
                            load(x, (b, oldest + k, c0)) if oldest + k >= 0 else load(past, (b, t + k, c0))
                        )
                        store(dweight_rows, (block, k, 0), load(dweight_rows, (block, k, 0)) + dout * token)
                if oldest >= begin:
                    store(dx, (b, oldest, c0), load(window, (block, 0, 0)))
                elif begin == 0:
                    store(dpast, (b, t, c0), load(window, (block, 0, 0)))
        for block in range(blocks):
            c0 = first_channel(block, dim)
            for k in range(width):
                store(dweight, (job, k, c0), load(dweight_rows, (block, k, 0)))
            store(dbias, (job, c0), load(dbias_rows, (block, 0)))


_INPUTS = (int64, int64, F3, F3, F2, F1, boolean)
conv_forward = Kernel(_conv_forward, *_INPUTS, F3)
conv_backward = Kernel(_conv_backward, *_INPUTS, F3, F3, F3, F3, F2)
