"""What the kernels compute for one element: softplus, silu, and two steps of a recurrence joined into one."""

import triton
import triton.language as tl


@triton.jit
def softplus(x):
    """log(1 + exp(x)), accurate for large and for very negative x."""
    e = tl.exp(-tl.abs(x))
    w = 1 + e
    log1p = tl.where(w == 1, e, tl.log(w) * (e / tl.where(w == 1, 1, w - 1)))  # undoes the rounding of 1 + e
    return tl.where(x > 0, x, 0) + log1p


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x))"""
    return 1 / (1 + tl.exp(-x))


@triton.jit
def silu(x):
    """x sigmoid(x)"""
    return x * sigmoid(x)


@triton.jit
def silu_slope(x):
    """The derivative of silu."""
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


@triton.jit
def join(a0, x0, a1, x1):
    """The steps h -> a0 h + x0 and then h -> a1 h + x1 as one: h -> (a1 a0) h + (a1 x0 + x1)."""
    return a1 * a0, a1 * x0 + x1
