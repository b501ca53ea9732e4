"""The selective scan in plain PyTorch, fast enough to train with: any device, any dtype, bounded memory.

Three ideas turn the loop of ``reference.py`` into this file:

1. *Scan by pairs.* Two steps in a row, ``h -> a0 h + x0`` and then ``h -> a1 h + x1``, are one step
   ``h -> (a1 a0) h + (a1 x0 + x1)``. Joining neighbours halves the number of steps, again and again: log2(L)
   rounds on large tensors replace L rounds on small ones. Decays are only multiplied, never divided, so
   nothing overflows however fast the state forgets.
2. *Chunks.* All states together, (B, L, D, N), are N times as large as the input. Only ``CHUNK`` tokens are
   expanded at a time; the state is carried from chunk to chunk.
3. *Recomputation.* For the backward pass a chunk keeps nothing but its inputs and its first state, and
   computes the rest again: L / CHUNK states are stored instead of several times L.

The scan by pairs is Blelloch's (1990), which Mamba (Gu and Dao 2023, section 3.3.2) uses on the GPU.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops.first_derivative import first_derivative_only
from mambadfuse.ops.reference import causal_conv1d  # W operations on large tensors: nothing to speed up

__all__ = ["causal_conv1d", "selective_scan"]

CHUNK = 256  # tokens; a power of two. Measured: shorter costs calls, longer only costs memory


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The recurrence of :func:`mambadfuse.ops.reference.selective_scan`, chunk by chunk.

    Shapes as in :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    h = u.new_zeros(u.shape[0], *A.shape) if initial_state is None else initial_state  # (B, D, N)
    ys = []
    for tokens in zip(*(x.split(CHUNK, dim=1) for x in (u, delta, B, C)), strict=True):
        y, h = _Chunk.apply(h, A, *tokens)
        ys.append(y)
    y = torch.cat(ys, dim=1)  # (B, L, D)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y, h


class _Chunk(torch.autograd.Function):
    """:func:`_scan_chunk` without its intermediate tensors: the backward pass computes them again."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(*inputs)
        return _scan_chunk(*inputs)

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor, ...]:
        inputs = [x.detach().requires_grad_() for x in ctx.saved_tensors]
        with torch.enable_grad():
            outputs = _scan_chunk(*inputs)
        return torch.autograd.grad(outputs, inputs, (dy, dh))


def _scan_chunk(
    h: Tensor, A: Tensor, u: Tensor, delta: Tensor, B: Tensor, C: Tensor
) -> tuple[Tensor, Tensor]:
    """The outputs (B, T, D) of T tokens that start from the state h (B, D, N), and the state after them."""
    length = u.shape[1]
    spare = (1 << (length - 1).bit_length()) - length  # up to a power of two ...
    u, delta, B = (F.pad(x, (0, 0, 0, spare)) for x in (u, delta, B))  # ... with Δ = 0, which keeps the state
    decay = torch.exp(delta[..., None] * A)  # (B, T, D, N)
    drive = (delta * u)[..., None] * B[:, :, None, :]  # (B, T, D, N)
    first = drive[:, :1] + decay[:, :1] * h[:, None]
    states = _scan_pairs(decay, torch.cat([first, drive[:, 1:]], dim=1))
    y = (states[:, :length] * C[:, :, None, :]).sum(
        -1
    )  # no matrix product: autocast would lower its precision
    return y, states[:, -1].clone()  # a view would keep all states alive


def _scan_pairs(decay: Tensor, drive: Tensor) -> Tensor:
    """Every state of h_t = decay_t h_{t-1} + drive_t with h_{-1} = 0; the T tokens, a power of two, in dim 1."""
    if decay.shape[1] == 1:
        return drive
    a0, a1 = decay.unflatten(1, (-1, 2)).unbind(2)  # (B, T, D, N) -> 2 x (B, T/2, D, N)
    x0, x1 = drive.unflatten(1, (-1, 2)).unbind(2)
    second = _scan_pairs(a1 * a0, a1 * x0 + x1)  # the state after each pair
    before = F.pad(second[:, :-1], (0, 0, 0, 0, 1, 0))  # the state before each pair
    return torch.stack([a0 * before + x0, second], dim=2).flatten(1, 2)
