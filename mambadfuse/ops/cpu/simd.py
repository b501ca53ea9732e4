"""Sixteen float32 numbers side by side: the vector type in which the Numba kernels are written.

Numba compiles scalar loops and leaves it to chance whether they become vector instructions. Here the vector
is a type of its own: ``a * b + c`` on it becomes the widest instructions the CPU has (one AVX-512, two AVX or
four NEON operations), so a kernel reads like the scalar equation and runs sixteen channels at a time.

A *panel* is several such vectors in a row, one for each of ``STATES`` states: their chains of dependent instructions
overlap. In arithmetic a number counts for every lane and a vector for every vector of a panel.

Only what the kernels need exists: load, store, ``+ - * /``, ``where_greater``, ``total``, for panels ``spread``,
``fold`` and ``totals``; ``functions.py`` builds the exponential and its relatives from them.
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
LANES = 16  # channels in a vector
STATES = 4 if AVX512 else 1  # states that the scan computes at once, a vector each, all of them in registers
_INT, _FLOAT = ir.IntType(32), ir.FloatType()
_ALIGN = 4  # bytes: a row may start at any float


class Lanes(types.Type):
    """Numba's name for a vector type."""

    def __init__(self, count: int) -> None:
        super().__init__(name=f"float32x{count}")
        self.count = count
        self.floats, self.ints = ir.VectorType(_FLOAT, count), ir.VectorType(_INT, count)


lanes = Lanes(LANES)
panel = Lanes(STATES * LANES)
numbers = Lanes(STATES)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type):
        super().__init__(manager, frontend_type, frontend_type.floats)


def _pick(builder, vector, places, following=None):
    """The vector of the floats that stand at these places, counted on through a second vector that may follow."""
    mask = ir.Constant(ir.VectorType(_INT, len(places)), list(places))
    return builder.shuffle_vector(vector, vector if following is None else following, mask)


def _vectors(builder, x):
    """The vectors of sixteen in x."""
    return [_pick(builder, x, range(k, k + LANES)) for k in range(0, x.type.count, LANES)]


def _widen(builder, value, kind, wanted):
    """A number or vector, repeated until it is as wide as wanted."""
    if kind is wanted:
        return value
    if kind is lanes:
        return _pick(builder, value, [*range(LANES)] * STATES)
    vector = builder.insert_element(ir.Constant(lanes.floats, ir.Undefined), value, _INT(0))
    return _pick(builder, vector, [0] * wanted.count)


def _pointer(context, builder, array_type, index_type, array, index):
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
            address = _pointer(context, builder, *sig.args, *args)
            return builder.load(builder.bitcast(address, kind.floats.as_pointer()), align=_ALIGN)

        return kind(array, index), generate

    return typer


load = intrinsic(_load(lanes))
load_panel = intrinsic(_load(panel))


@intrinsic
def store(typing, array, index, value):
    """Write sixteen neighbouring floats starting at array[index]."""

    def generate(context, builder, sig, args):
        address = _pointer(context, builder, *sig.args[:2], *args[:2])
        builder.store(args[2], builder.bitcast(address, value.floats.as_pointer()), align=_ALIGN)
        return context.get_dummy_value()

    return types.none(array, index, value), generate


@intrinsic
def spread(typing, array, index):
    """STATES neighbouring numbers starting at array[index], each in all lanes of its vector."""

    def generate(context, builder, sig, args):
        address = _pointer(context, builder, *sig.args, *args)
        four = builder.load(builder.bitcast(address, numbers.floats.as_pointer()), align=_ALIGN)
        return _pick(builder, four, [k for k in range(STATES) for _ in range(LANES)])

    return panel(array, index), generate


@intrinsic
def fold(typing, start, x):
    """start plus the sum of the vectors of a panel."""

    def generate(context, builder, sig, args):
        result, x = args
        for vector in _vectors(builder, x):
            result = builder.fadd(result, vector, flags=("contract",))
        return result

    return lanes(lanes, panel), generate


@intrinsic
def splat(typing, scalar):
    """The same number in every lane."""

    def generate(context, builder, sig, args):
        return _widen(builder, args[0], types.float32, lanes)

    return lanes(types.float32), generate


@intrinsic
def where_greater(typing, x, y, yes, no):
    """``yes`` in the lanes where x > y, else ``no`` (also where x or y is not a number); x or y is a vector."""
    kind = x if isinstance(x, Lanes) else y

    def generate(context, builder, sig, args):
        x, y, yes, no = (_widen(builder, a, t, kind) for a, t in zip(args, sig.args, strict=True))
        return builder.select(builder.fcmp_ordered(">", x, y), yes, no)

    return kind(x, y, yes, no), generate


@intrinsic
def totals(typing, x):
    """The sum over the lanes of each vector of a panel: STATES numbers."""

    def generate(context, builder, sig, args):
        x, width = args[0], LANES
        while width > 1:  # the lower half of each vector plus its upper half
            half = width // 2
            lower = [k * width + lane for k in range(STATES) for lane in range(half)]
            x = builder.fadd(_pick(builder, x, lower), _pick(builder, x, [place + half for place in lower]))
            width = half
        return x

    return numbers(panel), generate


@intrinsic
def total(typing, x):
    """The sum over the lanes of a vector, one number."""

    def generate(context, builder, sig, args):
        x = args[0]
        while x.type.count > 1:
            half = x.type.count // 2
            x = builder.fadd(_pick(builder, x, range(half)), _pick(builder, x, range(half, 2 * half)))
        return builder.extract_element(x, _INT(0))

    return types.float32(lanes), generate


@intrinsic
def two_to_the(typing, shifted):
    """2^k from a float that holds k + 127 in its low mantissa bits: shift them into the exponent field."""

    def generate(context, builder, sig, args):
        bits = builder.shl(
            builder.bitcast(args[0], shifted.ints), ir.Constant(shifted.ints, [23] * shifted.count)
        )
        return builder.bitcast(bits, shifted.floats)

    return shifted(shifted), generate


def _avx512(name, *options):
    """An AVX-512 instruction, applied to each vector of sixteen; no lane is masked out, rounding as usual."""

    def generate(context, builder, sig, args):
        rest = [*options, ir.Constant(lanes.floats, ir.Undefined), ir.IntType(16)(-1), _INT(4)]
        kind = ir.FunctionType(lanes.floats, [lanes.floats] * len(args) + [x.type for x in rest])
        call = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx512.mask.{name}.ps.512")
        vectors = zip(*(_vectors(builder, x) for x in args), strict=True)
        parts = [builder.call(call, [*these, *rest]) for these in vectors]
        while len(parts) > 1:
            width = 2 * parts[0].type.count
            parts = [_pick(builder, x, range(width), y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    return generate


@intrinsic
def fraction(typing, x):
    """x minus the nearest whole number, as AVX-512 has it."""
    return x(x), _avx512("reduce", _INT(8))


@intrinsic
def scaled(typing, x, k):
    """x 2^k for a whole number k of any size, as AVX-512 has it."""
    return x(x, k), _avx512("scalef")


def _register(function, instruction):
    """Teach Numba an arithmetic operator; "contract" lets a * b + c become one fused instruction."""
    cases_ = [
        signature(wide, *pair)
        for wide, narrow in [(lanes, (types.float32,)), (panel, (types.float32, lanes))]
        for pair in [(wide, wide), *((wide, n) for n in narrow), *((n, wide) for n in narrow)]
    ]

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases: ClassVar = cases_

    def generate(context, builder, sig, args):
        x, y = (_widen(builder, a, t, sig.return_type) for a, t in zip(args, sig.args, strict=True))
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
