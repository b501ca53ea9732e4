"""A whole Mamba path with its gradient, and its weights as the kernels take them.

Letters: B batch, L length, C model width, E inner channels, N states, R rank of the step size, W convolution width.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops.cpu.mamba_inner_backward import path_backward
from mambadfuse.ops.cpu.mamba_inner_forward import PANEL, TILE, path
from mambadfuse.ops.cpu.simd import LANES, STATES
from mambadfuse.ops.cpu.simd_math import LOG2_E
from mambadfuse.ops.cpu.threads import share_out


@dataclass(frozen=True)
class Path:
    """One path, with the names and shapes that its weights have in :mod:`mambadfuse.models.mamba`.

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

    def __call__(self, x: Tensor) -> Tensor:
        """The path from tokens (B, L, C), C at least sixteen, to tokens (B, L, C), with gradients for x and weights."""
        return _Path.apply(x, *self.packed())

    def packed(self) -> list[Tensor]:
        """w_in, conv, conv_bias, w_x, w_step, step_bias, A, D and w_out of the kernels.

        Inner channels and states are filled up to whole panels, and what a product puts out stands side by side.
        """
        rank, state = self.dt_proj.shape[1], self.A.shape[1]
        stream, gate = (filled(x, PANEL, 1) for x in self.in_proj.chunk(2))
        raw, B, C = self.x_proj.split([rank, state, state])
        parameters = torch.cat([filled(B, STATES, PANEL), filled(C, STATES, PANEL), filled(raw, 1, PANEL)])
        return [
            torch.cat([stream, gate]).t().contiguous(),
            filled(self.conv.t(), 1, PANEL),
            filled(self.conv_bias, PANEL),
            filled(parameters.t(), 1, PANEL),
            filled(self.dt_proj.t(), 1, PANEL),
            filled(self.dt_bias, PANEL),
            filled(self.A, PANEL, STATES).unflatten(0, (-1, LANES)).mT.contiguous(),  # (E / 16, N, 16)
            filled(self.D, PANEL),
            filled(self.out_proj.t(), PANEL, PANEL),
        ]


def filled(x: Tensor, *multiples: int) -> Tensor:
    """x with zeros at the end of each axis, so that its length is a multiple of the number given for it."""
    missing = [n for size, multiple in zip(x.shape, multiples, strict=True) for n in (-size % multiple, 0)]
    return F.pad(x, missing[::-1]).contiguous()


def kernel_weights(packed: list[Tensor]) -> list[np.ndarray]:
    """The weights in the order in which the kernel :data:`mambadfuse.ops.cpu.mamba_inner_forward.path` takes them."""
    arrays = [x.detach().numpy() for x in packed]
    arrays[6] = arrays[6] * LOG2_E  # e^(Δ A) = 2^(Δ A log2 e)
    return arrays


def beginning(batch: int, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What a path remembers before the first token: no tokens (B, W - 1, E), no states (B, E / 16, N, 16)."""
    conv, A = weights[1], weights[6]
    return np.zeros((batch, len(conv) - 1, conv.shape[1]), np.float32), np.zeros(
        (batch, *A.shape), np.float32
    )


def no_norm(dim: int) -> tuple[np.ndarray, int, np.float32]:
    """A norm of dim channels that is applied zero times."""
    return np.zeros((3, -(-dim // LANES) * LANES), np.float32), 0, np.float32(0)


def nothing_kept() -> tuple[np.ndarray, np.ndarray]:
    """No room for what the gradient would need."""
    return np.zeros((0, 0, 0, 0), np.float32), np.zeros((0, 0, 0, 0, 0), np.float32)


class _Path(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, *packed):
        weights, (batch, length, dim) = kernel_weights(packed), x.shape
        past, states = beginning(batch, weights)
        tiles = -(-length // TILE) if any(ctx.needs_input_grad) else 0
        kept = torch.empty(batch, tiles, *past.shape[1:]), torch.empty(batch, tiles, *states.shape[1:])
        tokens, out = x.detach().contiguous().numpy(), torch.empty(x.shape)
        share_out(
            path, batch, 0, length, tokens, tokens, False, *no_norm(dim), *weights, past, states, False, out.numpy(),
            *(a.numpy() for a in kept),
        )  # fmt: skip
        ctx.save_for_backward(x, *kept, *packed)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dout):
        x, pasts, states, *packed = ctx.saved_tensors
        w_in, conv, conv_bias, w_x, w_step, step_bias, A, D, w_out = packed
        dim, first = x.shape[2], 2 * A.shape[1]
        w_step_t = w_x.new_zeros(len(w_x), w_x.shape[1])  # Δ_raw stands behind B and C
        w_step_t[:, first : first + len(w_step)] = w_step.t()
        dx, dpacked = torch.empty(x.shape), [weight.new_zeros(len(x), *weight.shape) for weight in packed]
        dpacked[0] = w_in.new_zeros(len(x), -(-dim // LANES) * LANES, w_in.shape[1])
        tensors = [
            x, dout, w_in, filled(w_in.t(), 1, PANEL), conv, conv_bias, w_x, w_x.t(), w_step, w_step_t, step_bias,
            A, A * float(LOG2_E), D, w_out.t()[:dim], pasts, states, dx, *dpacked,
        ]  # fmt: skip
        share_out(path_backward, len(x), *(tensor.detach().contiguous().numpy() for tensor in tensors))
        dpacked[0] = dpacked[0][:, :dim]
        return dx, *(gradient.sum(0) for gradient in dpacked)
