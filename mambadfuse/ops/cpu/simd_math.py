"""Elementary functions of SIMD vectors: ``exp2``, ``sigmoid`` and ``softplus``, from arithmetic alone.

Every constant is a float32: Numba would take a plain Python number for a float64.
"""

import numpy as np
from numba import njit

from mambadfuse.ops.cpu.simd import AVX512, broadcast, power_of_two, reduce, scalef, where_greater

ONE, TWO = np.float32(1), np.float32(2)
LOG2_E = np.float32(np.log2(np.e))
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)  # exponent fields 0 (zero) and 255 (infinity)
# Adding it rounds x to a whole number k; the low mantissa bits of the sum are k + 127.
_MAGIC = np.float32(1.5 * 2**23 + 127)
SOFTPLUS_LINEAR = np.float32(20)  # above it softplus(x) = x, the threshold of torch and mamba-ssm


def _exp2_coefficients(degree: int) -> list[np.float32]:
    """Best q in 2^f = 1 + f q(f) on |f| <= 1/2, from a fit at Chebyshev nodes (2^0 = 1 stays exact)."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    q = np.polynomial.chebyshev.Chebyshev.fit(nodes, np.expm1(nodes * np.log(2)) / nodes, degree - 1)
    return [np.float32(c) for c in q.convert(kind=np.polynomial.Polynomial).coef]


_Q0, _Q1, _Q2, _Q3, _Q4 = _exp2_coefficients(5)


@njit(forceinline=True)
def _exp2_fraction(f):
    """2^f for |f| <= 1/2."""
    return ((((_Q4 * f + _Q3) * f + _Q2) * f + _Q1) * f + _Q0) * f + ONE


@njit(forceinline=True)
def _exp2_portable(x):
    """2^x with a relative error below 3e-7: x = k + f, 2^k by its bits, 2^f by a polynomial."""
    x = where_greater(_LOWEST, x, _LOWEST, x)
    x = where_greater(x, _HIGHEST, _HIGHEST, x)
    shifted = x + _MAGIC
    return _exp2_fraction(x - (shifted - _MAGIC)) * power_of_two(shifted)


@njit(forceinline=True)
def _exp2_avx512(x):
    """The same with the two instructions that AVX-512 has for it: 11 instructions instead of 14."""
    f = reduce(x)
    return scalef(_exp2_fraction(f), x - f)


exp2 = _exp2_avx512 if AVX512 else _exp2_portable


@njit(forceinline=True)
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return ONE / (exp2(x * -LOG2_E) + ONE)


_ATANH = [np.float32(2 / (2 * k + 1)) for k in range(9)]
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7, _T8 = _ATANH


@njit(forceinline=True)
def softplus(x):
    """log(1 + e^x) and its derivative, the sigmoid; x itself and 1 above 20.

    With e = e^-|x| in (0, 1]: log(1 + e) = 2 artanh(s), s = e / (2 + e) <= 1/3, whose odd series is accurate
    relative to the result even where e is tiny (there 1 + e would round it away). One division serves both.
    """
    zero = broadcast(np.float32(0))
    positive = where_greater(x, zero, x, zero)
    magnitude = where_greater(x, zero, x, zero - x)
    e = exp2(magnitude * -LOG2_E)
    inverse = ONE / ((e + ONE) * (e + TWO))
    s = e * (e + ONE) * inverse
    r = s * s
    series = (((((((_T8 * r + _T7) * r + _T6) * r + _T5) * r + _T4) * r + _T3) * r + _T2) * r + _T1) * r + _T0
    slope = where_greater(x, zero, ONE, e) * (e + TWO) * inverse
    linear = SOFTPLUS_LINEAR
    return where_greater(x, linear, x, positive + s * series), where_greater(x, linear, ONE, slope)
