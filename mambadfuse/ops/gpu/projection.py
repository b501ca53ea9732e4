"""The convolution before the scan and the projection to its parameters, for a GPU: one pass over the tokens.

    u = silu(bias + Σ_k weight[k] x_{t - (W-1) + k})
    Δ_raw, B, C = x_proj u

B, C and the step sizes are sums over all channels of u. So a program takes all channels of its tokens, a block at a
time, and only the sums are written: R + 2N numbers for each token, where u has D.

Letters: B batch, L length, D channels, W width, R rank of the step size, N states, P = R + 2N.
"""

import triton
import triton.language as tl

from mambadfuse.ops.gpu.arithmetic import silu
from mambadfuse.ops.gpu.causal_conv1d import weighted_sum


@triton.jit
def convolve_and_project(
    x, past, conv, conv_bias, x_proj, projected, x_row, length, dim, outputs,
    WIDTH: tl.constexpr, CHUNK: tl.constexpr, CHANNELS: tl.constexpr, BLOCKS: tl.constexpr, OUTPUTS: tl.constexpr,
):  # fmt: skip
    """``projected`` (B, L, P) of one chunk, the P sums in BLOCKS tiles (CHUNK, OUTPUTS)."""
    batch = tl.program_id(1).to(tl.int64)
    t, p = tl.program_id(0) * CHUNK + tl.arange(0, CHUNK), tl.arange(0, OUTPUTS)
    sums = ()
    for _ in tl.static_range(BLOCKS):
        sums = sums + (tl.zeros((CHUNK, OUTPUTS), tl.float32),)  # noqa: RUF005 - Triton knows no star
    for first in range(0, dim, CHANNELS):
        d = first + tl.arange(0, CHANNELS)
        u = silu(weighted_sum(x, past, conv, conv_bias, x_row, batch, t, d, length, dim, WIDTH))
        added = ()
        for k in tl.static_range(BLOCKS):
            q = k * OUTPUTS + p
            inside = (d < dim)[:, None] & (q < outputs)[None, :]
            weights = tl.load(x_proj + q[None, :] * dim + d[:, None], inside, 0).to(tl.float32)
            added = added + (tl.dot(u, weights, sums[k], input_precision="ieee"),)  # noqa: RUF005
        sums = added
    for k in tl.static_range(BLOCKS):
        q = k * OUTPUTS + p
        at = (batch * length + t)[:, None] * outputs + q[None, :]
        tl.store(projected + at, sums[k], (t < length)[:, None] & (q < outputs)[None, :])
