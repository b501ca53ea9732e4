"""SIMD vectors of sixteen float32 numbers: the types and instructions from which the Numba kernels are written.

Numba compiles scalar loops and leaves it to LLVM whether they become vector instructions. Here the vector is a type of
its own: ``a * b + c`` on it becomes the widest instructions the CPU has (one AVX-512, two AVX or four NEON fused
multiply-adds), so a kernel reads like the scalar equation and computes sixteen channels at a time.

A *lane* is one of the sixteen elements of a vector. A *panel* is ``PANEL_STATES`` vectors, one for each of as many
states: their chains of dependent instructions overlap. In arithmetic a scalar is broadcast to all lanes, and a vector
to all vectors of a panel.

Only what the kernels need exists: ``load``, ``store``, ``broadcast``, ``+ - * /``, ``where_greater``,
``horizontal_sum``; for panels ``load_panel``, ``load_broadcast``, ``sum_vectors`` and ``horizontal_sums``. The
exponential and its relatives are in ``simd_math.py``.
"""

import operator
from typing import ClassVar

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

AVX512 = "+avx512dq" in cpu_target.target_context.codegen().magic_tuple()[2]  # what Numba compiles for
SIMD_WIDTH = 16  # lanes of a vector
# Vectors of a panel: as many as stay in registers, together with what they are combined with.
PANEL_STATES = 4 if AVX512 else 1
PANEL_WIDTH = PANEL_STATES * SIMD_WIDTH  # floats of a panel
_INT, _FLOAT = ir.IntType(32), ir.FloatType()
_ALIGN = 4  # bytes: a row may start at any float


class VectorType(types.Type):
    """Numba's type for ``count`` float32 numbers in vector registers."""

    def __init__(self, count: int) -> None:
        super().__init__(name=f"float32x{count}")
        self.count = count
        self.floats, self.ints = ir.VectorType(_FLOAT, count), ir.VectorType(_INT, count)


VECTOR = VectorType(SIMD_WIDTH)
PANEL = VectorType(PANEL_WIDTH)
STATES = VectorType(PANEL_STATES)  # a number for each vector of a panel


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type):
        super().__init__(manager, frontend_type, frontend_type.floats)


def _shuffle(builder, x, places, following=None):
    """The elements of x at these places; counting continues in a second vector if one follows."""
    mask = ir.Constant(ir.VectorType(_INT, len(places)), list(places))
    return builder.shuffle_vector(x, x if following is None else following, mask)


def _split(builder, x):
    """The vectors of sixteen in x."""
    return [_shuffle(builder, x, range(k, k + SIMD_WIDTH)) for k in range(0, x.type.count, SIMD_WIDTH)]


def _broadcast(builder, value, kind, wanted):
    """A scalar or vector, repeated up to the width of the wanted type."""
    if kind is wanted:
        return value
    if kind is VECTOR:
        return _shuffle(builder, value, [*range(SIMD_WIDTH)] * PANEL_STATES)
    first = builder.insert_element(ir.Constant(VECTOR.floats, ir.Undefined), value, _INT(0))
    return _shuffle(builder, first, [0] * wanted.count)


def _element_pointer(context, builder, array_type, index_type, array, index):
    """Address of array[index]."""
    view = context.make_array(array_type)(context, builder, array)
    indices = [
        context.cast(builder, i, t, types.intp)
        for i, t in zip(cgutils.unpack_tuple(builder, index), index_type, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, array_type, view, indices)


def _load(kind):
    def typer(typing, array, index):
        def generate(context, builder, sig, args):
            address = _element_pointer(context, builder, *sig.args, *args)
            return builder.load(builder.bitcast(address, kind.floats.as_pointer()), align=_ALIGN)

        return kind(array, index), generate

    return typer


load = intrinsic(_load(VECTOR))
load_panel = intrinsic(_load(PANEL))


@intrinsic
def store(typing, array, index, value):
    """Write a vector or panel to the contiguous floats that start at array[index]."""

    def generate(context, builder, sig, args):
        address = _element_pointer(context, builder, *sig.args[:2], *args[:2])
        builder.store(args[2], builder.bitcast(address, value.floats.as_pointer()), align=_ALIGN)
        return context.get_dummy_value()

    return types.none(array, index, value), generate


@intrinsic
def broadcast(typing, scalar):
    """A vector with the same number in every lane."""

    def generate(context, builder, sig, args):
        return _broadcast(builder, args[0], types.float32, VECTOR)

    return VECTOR(types.float32), generate


@intrinsic
def load_broadcast(typing, array, index):
    """A panel from PANEL_STATES contiguous floats that start at array[index], each in all lanes of its vector."""

    def generate(context, builder, sig, args):
        address = _element_pointer(context, builder, *sig.args, *args)
        loaded = builder.load(builder.bitcast(address, STATES.floats.as_pointer()), align=_ALIGN)
        return _shuffle(builder, loaded, [k for k in range(PANEL_STATES) for _ in range(SIMD_WIDTH)])

    return PANEL(array, index), generate


@intrinsic
def sum_vectors(typing, start, panel):
    """The vector ``start`` plus all vectors of a panel, in their order."""

    def generate(context, builder, sig, args):
        result, x = args
        for part in _split(builder, x):
            result = builder.fadd(result, part, flags=("contract",))
        return result

    return VECTOR(VECTOR, PANEL), generate


@intrinsic
def where_greater(typing, x, y, yes, no):
    """``yes`` in the lanes where x > y, else ``no`` (also where x or y is NaN); x or y is a vector or panel."""
    kind = x if isinstance(x, VectorType) else y

    def generate(context, builder, sig, args):
        x, y, yes, no = (_broadcast(builder, a, t, kind) for a, t in zip(args, sig.args, strict=True))
        return builder.select(builder.fcmp_ordered(">", x, y), yes, no)

    return kind(x, y, yes, no), generate


@intrinsic
def horizontal_sums(typing, panel):
    """The sum over the lanes of each vector of a panel: PANEL_STATES numbers."""

    def generate(context, builder, sig, args):
        x, width = args[0], SIMD_WIDTH
        while width > 1:  # the lower half of each vector plus its upper half
            half = width // 2
            lower = [k * width + lane for k in range(PANEL_STATES) for lane in range(half)]
            upper = [place + half for place in lower]
            x = builder.fadd(_shuffle(builder, x, lower), _shuffle(builder, x, upper))
            width = half
        return x

    return STATES(PANEL), generate


@intrinsic
def horizontal_sum(typing, vector):
    """The sum over the lanes of a vector, a scalar."""

    def generate(context, builder, sig, args):
        x = args[0]
        while x.type.count > 1:
            half = x.type.count // 2
            x = builder.fadd(_shuffle(builder, x, range(half)), _shuffle(builder, x, range(half, 2 * half)))
        return builder.extract_element(x, _INT(0))

    return types.float32(VECTOR), generate


@intrinsic
def power_of_two(typing, biased):
    """2^k from a float whose low mantissa bits hold k + 127: shift them into the exponent field."""

    def generate(context, builder, sig, args):
        bits = builder.shl(
            builder.bitcast(args[0], biased.ints), ir.Constant(biased.ints, [23] * biased.count)
        )
        return builder.bitcast(bits, biased.floats)

    return biased(biased), generate


def _avx512(name, *options):
    """An AVX-512 instruction on each vector of sixteen, with no lane masked out and the current rounding mode."""

    def generate(context, builder, sig, args):
        rest = [*options, ir.Constant(VECTOR.floats, ir.Undefined), ir.IntType(16)(-1), _INT(4)]
        kind = ir.FunctionType(VECTOR.floats, [VECTOR.floats] * len(args) + [x.type for x in rest])
        call = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx512.mask.{name}.ps.512")
        operands = zip(*(_split(builder, x) for x in args), strict=True)
        parts = [builder.call(call, [*these, *rest]) for these in operands]
        while len(parts) > 1:
            places = range(2 * parts[0].type.count)
            parts = [_shuffle(builder, x, places, y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    return generate


@intrinsic
def reduce(typing, x):
    """x minus the nearest whole number, by AVX-512's VREDUCEPS."""
    return x(x), _avx512("reduce", _INT(8))


@intrinsic
def scalef(typing, x, k):
    """x 2^k for a whole number k of any size, by AVX-512's VSCALEFPS."""
    return x(x, k), _avx512("scalef")


def _register(function, instruction):
    """Teach Numba an arithmetic operator; the flag "contract" lets a * b + c become a fused multiply-add."""
    cases_ = [
        signature(wide, *pair)
        for wide, narrow in [(VECTOR, (types.float32,)), (PANEL, (types.float32, VECTOR))]
        for pair in [(wide, wide), *((wide, n) for n in narrow), *((n, wide) for n in narrow)]
    ]

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases: ClassVar = cases_

    def generate(context, builder, sig, args):
        x, y = (_broadcast(builder, a, t, sig.return_type) for a, t in zip(args, sig.args, strict=True))
        return getattr(builder, instruction)(x, y, flags=("contract",))

    for case in cases_:
        lower_builtin(function, *case.args)(generate)


for _function, _instruction in [
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
]:
    _register(_function, _instruction)
