"""How the CPU kernels lay out memory: channels in blocks of one SIMD vector, scratch arrays aligned to cache lines.

A *block* is sixteen neighbouring channels, one SIMD vector. If sixteen does not divide the number of channels, the
last block is moved back to end at the last channel. It then repeats some channels of the block before it: both write
the same values there, and where a sum over channels is taken, :func:`own_channels` counts each channel once.
"""

import numpy as np
from numba import njit

from mambadfuse.ops.cpu.simd import SIMD_WIDTH

ZERO = np.float32(0)
CACHE_LINE = 64  # bytes


def block_count(dim: int) -> int:
    """Number of blocks for ``dim`` channels."""
    return -(-dim // SIMD_WIDTH)


@njit(forceinline=True)
def first_channel(block, dim):
    """The channel at which a block starts."""
    return min(block * SIMD_WIDTH, dim - SIMD_WIDTH)


@njit(forceinline=True)
def own_channels(block, dim, mask):
    """Fill mask (16,): 1 where the channel belongs to this block, 0 where the block before it holds it too."""
    for lane in range(SIMD_WIDTH):
        mask[lane] = np.float32(first_channel(block, dim) + lane >= block * SIMD_WIDTH)


@njit(forceinline=True)
def channel_masks(dim):
    """The masks of :func:`own_channels` for all blocks, (blocks, 16)."""
    masks = scratch_matrix((dim + SIMD_WIDTH - 1) // SIMD_WIDTH, SIMD_WIDTH)
    for block in range(masks.shape[0]):
        own_channels(block, dim, masks[block])
    return masks


@njit(forceinline=True)
def _scratch(count):
    """``count`` floats or more from the start of a cache line: a vector that spans two lines takes twice as long."""
    floats = np.empty(count + SIMD_WIDTH, np.float32)
    skip = (-floats.ctypes.data % CACHE_LINE) // 4
    return floats[skip : skip + count]


@njit(forceinline=True)
def scratch_matrix(rows, columns):
    """Uninitialised scratch memory (rows, columns)."""
    return _scratch(rows * columns).reshape((rows, columns))


@njit(forceinline=True)
def scratch_vectors(rows, columns):
    """Uninitialised scratch memory for vectors, (rows, columns, 16)."""
    return _scratch(rows * columns * SIMD_WIDTH).reshape((rows, columns, SIMD_WIDTH))
