"""The scan for ``torch.export``: the recurrence as one node of the graph, for sequences of any length.

Exported, a network needs neither this package nor one of its backends. PyTorch's ``scan`` operator
runs token by token.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._higher_order_ops import scan

from mambadfuse.ops.reference import causal_conv1d

__all__ = ["causal_conv1d", "selective_scan"]


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
    """The recurrence of :func:`mambadfuse.ops.reference.selective_scan`, its loop as one operator.

    Shapes as in :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)

    def step(h: Tensor, token: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        delta_t, input_t, B_t, C_t = token  # 2 x (B, D), 2 x (B, N)
        h = torch.exp(delta_t[:, :, None] * A) * h + input_t[:, :, None] * B_t[:, None, :]  # (B, D, N)
        return h, (h * C_t[:, None, :]).sum(-1)

    h = u.new_zeros(u.shape[0], *A.shape) if initial_state is None else initial_state
    tokens = tuple(x.transpose(0, 1) for x in (delta, delta * u, B, C))  # (L, B, D or N)
    h, y = scan(step, h, tokens)
    y = y.transpose(0, 1)  # (B, L, D)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y, h
