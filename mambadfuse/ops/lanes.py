"""Sixteen float32 numbers side by side: the vector type in which the Numba kernels are written.

Numba compiles scalar loops and leaves it to chance whether they become vector instructions. Here the vector
is a type of its own: ``a * b + c`` on it becomes the widest instructions the CPU has (one AVX-512, two AVX or
four NEON operations), so a kernel reads like the scalar equation and runs sixteen channels at a time.

Only what the kernels need exists: load, store, ``+ - * /`` (also with a scalar), ``where_greater``, ``total``
and the functions ``exp2``, ``sigmoid`` and ``softplus`` built from them.
"""

import operator
from typing import ClassVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_ALIGN = 4  # bytes: a row may start at any float


class Lanes(types.Type):
    """Numba's name for the vector type."""

    def __init__(self) -> None:
        super().__init__(name="float32x16")


lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type):
        super().__init__(manager, frontend_type, _FLOATS)


def _broadcast(builder, scalar):
    vector = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(_INTS, [0] * LANES))


def _pointer(context, builder, array_type, index_type, array, index):
    """Address of array[index], seen as the start of sixteen floats."""
    view = context.make_array(array_type)(context, builder, array)
    indices = [
        context.cast(builder, i, t, types.intp)
        for i, t in zip(cgutils.unpack_tuple(builder, index), index_type, strict=True)
    ]
    address = cgutils.get_item_pointer(context, builder, array_type, view, indices)
    return builder.bitcast(address, _FLOATS.as_pointer())


@intrinsic
def load(typing, array, index):
    """Sixteen neighbouring floats starting at array[index]; the last axis must be contiguous."""

    def generate(context, builder, sig, args):
        return builder.load(_pointer(context, builder, *sig.args, *args), align=_ALIGN)

    return lanes(array, index), generate


@intrinsic
def store(typing, array, index, value):
    """Write sixteen neighbouring floats starting at array[index]."""

    def generate(context, builder, sig, args):
        builder.store(args[2], _pointer(context, builder, *sig.args[:2], *args[:2]), align=_ALIGN)
        return context.get_dummy_value()

    return types.none(array, index, lanes), generate


@intrinsic
def splat(typing, scalar):
    """The same number in every lane."""

    def generate(context, builder, sig, args):
        return _broadcast(builder, args[0])

    return lanes(types.float32), generate


@intrinsic
def where_greater(typing, x, y, yes, no):
    """``yes`` in the lanes where x > y, else ``no`` (also where x or y is not a number)."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), generate


@intrinsic
def total(typing, x):
    """Sum over the sixteen lanes."""

    def generate(context, builder, sig, args):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _FLOATS])
        add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(add, [ir.FloatType()(0.0), args[0]], fastmath=("reassoc",))

    return types.float32(lanes), generate


@intrinsic
def _two_to_the(typing, shifted):
    """2^k from a float that holds k + 127 in its low mantissa bits: shift them into the exponent field."""

    def generate(context, builder, sig, args):
        bits = builder.shl(builder.bitcast(args[0], _INTS), ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(bits, _FLOATS)

    return lanes(lanes), generate


def _register(function, instruction):
    """Teach Numba an arithmetic operator; "contract" lets a * b + c become one fused instruction."""
    pairs = [(lanes, lanes), (lanes, types.float32), (types.float32, lanes)]

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases: ClassVar = [signature(lanes, *pair) for pair in pairs]

    def generate(context, builder, sig, args):
        x, y = (a if t is lanes else _broadcast(builder, a) for a, t in zip(args, sig.args, strict=True))
        return getattr(builder, instruction)(x, y, flags=("contract",))

    for pair in pairs:
        lower_builtin(function, *pair)(generate)


for _function, _instruction in [
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
]:
    _register(_function, _instruction)

# ---------------------------------------------------------------------------------------------------------
# Functions. Every constant is a float32: a plain Python number would be a float64 and slow the lanes down.

ONE, TWO = np.float32(1), np.float32(2)
LOG2_E = np.float32(np.log2(np.e))
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)  # exponent fields 0 (zero) and 255 (infinity)
# Adding it rounds x to an integer k; the low mantissa bits of the sum are k + 127.
_MAGIC = np.float32(1.5 * 2**23 + 127)
SOFTPLUS_LINEAR = np.float32(20)  # above it softplus(x) = x, the threshold of torch and mamba-ssm


def _exp2_coefficients(degree: int) -> list[np.float32]:
    """Best q in 2^f = 1 + f q(f) on |f| <= 1/2, from a fit at Chebyshev nodes (2^0 = 1 stays exact)."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    q = np.polynomial.chebyshev.Chebyshev.fit(nodes, np.expm1(nodes * np.log(2)) / nodes, degree - 1)
    return [np.float32(c) for c in q.convert(kind=np.polynomial.Polynomial).coef]


_Q0, _Q1, _Q2, _Q3, _Q4 = _exp2_coefficients(5)


@njit(forceinline=True)
def exp2(x):
    """2^x with a relative error below 3e-7: x = k + f, 2^k by its bits, 2^f by a polynomial."""
    x = where_greater(splat(_LOWEST), x, splat(_LOWEST), x)
    x = where_greater(x, splat(_HIGHEST), splat(_HIGHEST), x)
    shifted = x + _MAGIC
    f = x - (shifted - _MAGIC)
    q = (((_Q4 * f + _Q3) * f + _Q2) * f + _Q1) * f + _Q0
    return (f * q + ONE) * _two_to_the(shifted)


@njit(forceinline=True)
def sigmoid(x):
    """1 / (1 + e^-x)."""
    return ONE / (exp2(x * -LOG2_E) + ONE)


_ATANH = [np.float32(2 / (2 * k + 1)) for k in range(9)]
_T0, _T1, _T2, _T3, _T4, _T5, _T6, _T7, _T8 = _ATANH


@njit(forceinline=True)
def softplus(x):
    """log(1 + e^x), and x itself above 20.

    With e = e^-|x| in (0, 1]: log(1 + e) = 2 artanh(s), s = e / (2 + e) <= 1/3, whose odd series is accurate
    relative to the result even where e is tiny (there 1 + e would round it away).
    """
    zero = splat(np.float32(0))
    positive = where_greater(x, zero, x, zero)
    magnitude = where_greater(x, zero, x, zero - x)
    e = exp2(magnitude * -LOG2_E)
    s = e / (e + TWO)
    r = s * s
    series = (((((((_T8 * r + _T7) * r + _T6) * r + _T5) * r + _T4) * r + _T3) * r + _T2) * r + _T1) * r + _T0
    return where_greater(x, splat(SOFTPLUS_LINEAR), x, positive + s * series)
