"""What every CPU kernel needs: compilation for one signature, and the division of channels into blocks.

A *block* is sixteen channels, computed side by side. If sixteen does not divide the number of channels, the last
block is moved back to end at the last channel. It then repeats some channels of its neighbour: both write the
same values there, and where a sum over channels is taken, :func:`own` counts each channel once.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numba import float32, njit, void
from numba.core.types import Array

from mambadfuse.ops.cpu.simd import LANES

# Numba keeps compiled kernels beside the file they are written in and compiles them anew when that file changes. It
# does not see changes in the files whose code is inlined, such as this one: BUILT_ON in each kernel file names their
# content (a test compares).

F1, F2, F3, F4, F5 = (Array(float32, axes, "A") for axes in range(1, 6))  # channels side by side
ZERO = np.float32(0)
CACHE_LINE = 64  # bytes


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
    """Number of channel blocks."""
    return -(-dim // LANES)


@njit(forceinline=True)
def first_channel(block, dim):
    """The channel at which a block starts."""
    return min(block * LANES, dim - LANES)


@njit(forceinline=True)
def own(block, dim, mask):
    """Fill mask (16,): 1 where the channel belongs to this block, 0 where it repeats its neighbour's."""
    for lane in range(LANES):
        mask[lane] = np.float32(first_channel(block, dim) + lane >= block * LANES)


@njit(forceinline=True)
def scratch(count):
    """At least ``count`` floats starting at a cache line: a vector that spans two lines takes twice as long."""
    floats = np.empty(count + LANES, np.float32)
    skip = (-floats.ctypes.data % CACHE_LINE) // 4
    return floats[skip : skip + count]
