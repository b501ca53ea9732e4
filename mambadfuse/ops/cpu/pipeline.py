"""Mamba paths on a CPU where no gradient is wanted: each one fused kernel, and several of them at work at once.

A path must see its tokens in order. But while it works on one tile of them, the path behind it can work on the tile
before: :func:`pipeline` runs a chain of paths like that, a thread for each tile. Neither the tiles nor the threads
change the result.

Letters: B batch, L length, C model width.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mambadfuse.ops.cpu import mamba_inner_forward
from mambadfuse.ops.cpu.mamba_inner import Path, beginning, filled, kernel_weights, no_norm, nothing_kept
from mambadfuse.ops.cpu.simd import LANES
from mambadfuse.ops.cpu.threads import side_by_side

TILE = 1024  # tokens: what one path leaves for the next is still in the cache

Stage = Callable[[int, int], None]
"""Does its work for the tokens from the first number up to, not including, the second."""


def _packed_norm(norm: nn.LayerNorm, passes: int) -> tuple[np.ndarray, int, np.float32]:
    """As the kernels take it."""
    rows = torch.stack([norm.weight, norm.bias, torch.ones_like(norm.weight)])
    return filled(rows.detach(), 1, LANES).numpy(), passes, np.float32(norm.eps)


def norm_stage(x: Tensor, residual: Tensor, norm: nn.LayerNorm) -> Stage:
    """residual += x, then x = norm(residual), in place; both (B, L, C) with C at least sixteen."""
    arrays = x.numpy(), residual.numpy(), *_packed_norm(norm, 1)
    return lambda first, stop: mamba_inner_forward.norm.compiled(first, stop, *arrays)


def path_stage(
    x: Tensor, out: Tensor, path: Path, norm: nn.LayerNorm | None = None, passes: int = 1,
    residual: Tensor | None = None, added: bool = False,
) -> Stage:  # fmt: skip
    """out = path(norm(x)), or out += that if ``added``; all (B, L, C) with C at least sixteen.

    The norm is applied ``passes`` times in a row. With ``residual`` the path reads residual + x instead, and residual
    is changed to that. ``out`` may be ``x``.

    The stage remembers the end of one tile for the next: call it once for each token, in their order.
    """
    sums = x if residual is None else residual
    norm_arrays = _packed_norm(norm, passes) if norm else no_norm(x.shape[-1])
    weights = kernel_weights(path.packed())
    before = (
        x.numpy(),
        sums.numpy(),
        residual is not None,
        *norm_arrays,
        *weights,
        *beginning(len(x), weights),
    )
    arrays = *before, added, out.numpy(), *nothing_kept()
    return lambda first, stop: mamba_inner_forward.path.compiled(0, len(x), first, stop, *arrays)


def pipeline(stages: Sequence[Stage], length: int) -> None:
    """Take all tokens through the stages, one behind the other, tile by tile.

    A thread takes a tile through all stages; a stage waits until it has finished the tile before.
    """
    tiles, moved = iter(range(0, length, TILE)), threading.Condition()
    finished = [0] * len(stages)  # tokens
    errors: list[BaseException] = []

    def take(first: int, stop: int) -> None:
        for k, stage in enumerate(stages):
            with moved:
                while finished[k] < first and not errors:
                    moved.wait()
            if errors:
                return
            stage(first, stop)
            with moved:
                finished[k] = stop
                moved.notify_all()

    def work() -> None:
        try:
            while not errors:
                with moved:
                    first = next(tiles, length)
                if first == length:
                    return
                take(first, min(first + TILE, length))
        except BaseException as error:  # or the other threads would wait for this tile for ever
            with moved:
                errors.append(error)
                moved.notify_all()
            raise

    threads = min(torch.get_num_threads(), -(-length // TILE), len(stages))
    side_by_side([work] * max(1, threads))
