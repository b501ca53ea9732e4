"""Chains of Mamba units on a CPU without gradients: each unit is one fused kernel, and several run at a time.

A unit must see its tokens in order. But while it processes one tile of them, the next unit of the chain can process
the tile before: :func:`run_pipeline` runs a chain of stages in this way, with a thread for each tile.
Neither the tiles nor the threads change the result.

Letters: B batch, L length, C model width.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mambadfuse.ops.cpu.mamba_inner import (
    MambaInnerWeights,
    identity_norm,
    initial_state,
    no_checkpoints,
    packed_weights,
)
from mambadfuse.ops.cpu.mamba_inner_forward import Norm, add_norm, mamba_inner_forward
from mambadfuse.ops.cpu.mamba_inner_parts import mamba_inner_project, mamba_inner_scan, scan_inputs
from mambadfuse.ops.cpu.packing import padded, reuse_while_unchanged
from mambadfuse.ops.cpu.simd import SIMD_WIDTH
from mambadfuse.ops.cpu.threads import run_concurrently

TILE = 2048  # tokens; few enough that what one stage leaves for the next is still in the cache

Stage = Callable[[int, int], None]
"""``stage(first, stop)`` processes tokens first..stop-1."""


def norm_stage(x: Tensor, residual: Tensor, norm: nn.LayerNorm, order: Tensor | None = None) -> Stage:
    """residual += x, then x = norm(residual), in place; both (B, L, C) with C at least sixteen."""
    arguments = _places(x, order), x.numpy(), residual.numpy(), _kernel_norm(norm, 1)
    return lambda first, stop: add_norm.compiled(first, stop, *arguments)


def mamba_inner_stage(
    x: Tensor,
    out: Tensor,
    weights: MambaInnerWeights,
    norm: nn.LayerNorm | None = None,
    norm_passes: int = 1,
    residual: Tensor | None = None,
    accumulate: bool = False,
    order: Tensor | None = None,
) -> Stage:
    """out = mamba_inner(norm(x)), or out += with ``accumulate``; all (B, L, C) with C at least sixteen.

    The norm is applied ``norm_passes`` times in a row. With ``residual``, residual += x and the unit reads residual
    in place of x. ``out`` may be ``x``.

    The stage carries its state from one tile to the next: call it once for each token, in their order. With ``order``
    (L,), it reads the tokens in that order: ``stage(first, stop)`` processes the tokens order[first..stop-1].
    """
    packed = packed_weights(*vars(weights).values())
    arguments = (
        _places(x, order),
        x.numpy(),
        (x if residual is None else residual).numpy(),
        residual is not None,
        _kernel_norm(norm, norm_passes) if norm else identity_norm(x.shape[-1]),
        packed,
        initial_state(len(x), packed),
        accumulate,
        out.numpy(),
        no_checkpoints(),
    )
    unit = mamba_inner_forward.compiled
    return lambda first, stop: unit(0, len(x), first, stop, *arguments)


def mamba_inner_stages(
    x: Tensor,
    weights: MambaInnerWeights,
    norm: nn.LayerNorm,
    residual: Tensor,
    order: Tensor | None = None,
) -> list[Stage]:
    """``mamba_inner_stage(x, x, weights, norm, residual=residual, order=order)`` as stages of about equal length.

    Threads can share a single unit in this way: one projects, the others scan half of the channels each.
    """
    packed, places, tokens = packed_weights(*vars(weights).values()), _places(x, order), x.numpy()
    state, blocks, inputs = initial_state(len(x), packed), len(packed.A), {}
    arguments = tokens, residual.numpy(), True, _kernel_norm(norm, 1), packed, state
    project, scan = mamba_inner_project.compiled, mamba_inner_scan.compiled

    def before_scan(first: int, stop: int) -> None:
        inputs[first] = scan_inputs(len(x), stop - first, packed)
        project(first, stop, places, *arguments, inputs[first])

    def first_half(first: int, stop: int) -> None:
        scan(first, stop, places, 0, blocks // 2, packed, state, inputs[first], False, tokens)

    def second_half(first: int, stop: int) -> None:
        scan(first, stop, places, blocks // 2, blocks, packed, state, inputs.pop(first), blocks > 1, tokens)

    return [before_scan, first_half, second_half] if blocks > 1 else [before_scan, second_half]


def _places(x: Tensor, order: Tensor | None) -> np.ndarray:
    return (torch.arange(x.shape[1]) if order is None else order).numpy()


def _kernel_norm(norm: nn.LayerNorm, passes: int) -> Norm:
    return Norm(_packed_affine(norm.weight, norm.bias), passes, np.float32(norm.eps))


@reuse_while_unchanged
def _packed_affine(weight: Tensor, bias: Tensor) -> np.ndarray:
    """Weight, bias and a row of ones, (3, C), padded to whole vectors."""
    return padded(torch.stack([weight, bias, torch.ones_like(weight)]), 1, SIMD_WIDTH).numpy()


def run_pipeline(stages: Sequence[Stage], length: int) -> None:
    """Take all tokens through all stages, tile by tile.

    A thread takes a tile through the stages; each stage waits until it has finished the tile before.
    """
    tiles, progress = iter(range(0, length, TILE)), threading.Condition()
    finished = [0] * len(stages)  # tokens
    errors: list[BaseException] = []

    def process(first: int, stop: int) -> None:
        for k, stage in enumerate(stages):
            with progress:
                while finished[k] < first and not errors:
                    progress.wait()
            if errors:
                return
            stage(first, stop)
            with progress:
                finished[k] = stop
                progress.notify_all()

    def work() -> None:
        try:
            while not errors:
                with progress:
                    first = next(tiles, length)
                if first == length:
                    return
                process(first, min(first + TILE, length))
        except BaseException as error:  # or the other threads would wait forever for this tile
            with progress:
                errors.append(error)
                progress.notify_all()
            raise

    threads = min(torch.get_num_threads(), -(-length // TILE), len(stages))
    run_concurrently([work] * max(1, threads))
