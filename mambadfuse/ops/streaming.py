"""Mamba paths on a CPU where no gradient is wanted: each one fused kernel, and several of them at work at once.

A path must see its tokens in order. But while it works on one tile of them, the path behind it can work on the tile
before: :func:`pipeline` runs a chain of paths like that, a thread for each tile. Neither the tiles nor the threads
change the result.

Letters: B batch, L length, C model width, E inner channels, N states, R rank of the step size, W convolution width.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.ops import path_kernels
from mambadfuse.ops.functions import LOG2_E
from mambadfuse.ops.lanes import LANES, STATES
from mambadfuse.ops.path_kernels import PANEL
from mambadfuse.ops.threads import side_by_side

TILE = 1024  # tokens: what one path leaves for the next is still in the cache

Stage = Callable[[int, int], None]
"""Does its work for the tokens from the first number up to, not including, the second."""


@dataclass(frozen=True)
class Path:
    """The weights of one path, with the names and shapes that they have in :mod:`mambadfuse.mamba`.

    in_proj (2 E, C), conv (E, W), conv_bias (E,), x_proj (R + 2 N, E), dt_proj (E, R), dt_bias (E,), A (E, N), D (E,),
    out_proj (C, E).
    """

    in_proj: Tensor
    conv: Tensor
    conv_bias: Tensor
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A: Tensor
    D: Tensor
    out_proj: Tensor

    def packed(self) -> list[np.ndarray]:
        """As the kernel takes them: channels in whole vectors, states in whole panels, outputs side by side."""
        rank, state = self.dt_proj.shape[1], self.A.shape[1]
        raw, B, C = (_filled(x, m, LANES) for x, m in zip(
            self.x_proj.split([rank, state, state]), (1, STATES, STATES), strict=True))  # fmt: skip
        stream, gate = (_filled(x, LANES, 1) for x in self.in_proj.chunk(2))
        A2 = _filled(self.A * float(LOG2_E), LANES, STATES)
        return [
            _filled(torch.from_numpy(np.concatenate([stream, gate])).t(), 1, PANEL),
            _filled(self.conv.t(), 1, LANES),
            _filled(self.conv_bias, LANES),
            _filled(torch.from_numpy(np.concatenate([B, C, raw])).t(), 1, PANEL),
            _filled(self.dt_proj.t(), 1, LANES),
            _filled(self.dt_bias, LANES),
            np.ascontiguousarray(A2.reshape(-1, LANES, A2.shape[1]).transpose(0, 2, 1)),
            _filled(self.D, LANES),
            _filled(self.out_proj.t(), LANES, PANEL),
        ]


def _filled(x: Tensor, *multiples: int) -> np.ndarray:
    """A copy of x with zeros at the end of each axis, so that its length is a multiple of the number given for it."""
    missing = [n for size, multiple in zip(x.shape, multiples, strict=True) for n in (-size % multiple, 0)]
    return F.pad(x.detach().float(), missing[::-1]).contiguous().numpy()


def _packed_norm(norm: nn.LayerNorm, passes: int) -> tuple[np.ndarray, int, np.float32]:
    """As the kernels take it."""
    rows = torch.stack([norm.weight, norm.bias, torch.ones_like(norm.weight)])
    return _filled(rows, 1, LANES), passes, np.float32(norm.eps)


def norm_stage(x: Tensor, residual: Tensor, norm: nn.LayerNorm) -> Stage:
    """residual += x, then x = norm(residual), in place; both (B, L, C) with C at least sixteen."""
    arrays = x.numpy(), residual.numpy(), *_packed_norm(norm, 1)
    return lambda first, stop: path_kernels.norm.compiled(first, stop, *arrays)


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
    norm_arrays = _packed_norm(norm, passes) if norm else _packed_norm(nn.LayerNorm(x.shape[-1]), 0)
    weights = path.packed()
    conv, A2 = weights[1], weights[6]
    past = np.zeros((len(x), len(conv) - 1, conv.shape[1]), np.float32)
    states = np.zeros((len(x), *A2.shape), np.float32)
    before = x.numpy(), sums.numpy(), residual is not None, *norm_arrays, *weights, past, states
    arrays = *before, added, out.numpy()
    return lambda first, stop: path_kernels.path.compiled(first, stop, *arrays)


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
