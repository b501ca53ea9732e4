"""The selective scan and the causal convolution as their equations are written: one line per equation.

Slow on purpose. These two functions are what the notebooks read and what every other backend is tested
against; they run in any floating dtype (float64 for the tests) and on any device.

Letters: B batch, L length (tokens), D channels, N state size, W width of the convolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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
    """The recurrence of Mamba (Gu and Dao 2023, section 3), token by token.

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t        (per channel d and state n)
        y_t = Σ_n C_t h_t + D u_t,   then   y_t · silu(z_t)

    Shapes as in :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``.
    """
    if delta_bias is not None:
        delta = delta + delta_bias
    if delta_softplus:
        delta = F.softplus(delta)
    steps, inputs, Bs, Cs = (x.unbind(1) for x in (delta, u, B, C))  # L x (B, D) and L x (B, N)
    h = u.new_zeros(u.shape[0], *A.shape) if initial_state is None else initial_state  # (B, D, N)
    ys = []
    for delta_t, u_t, B_t, C_t in zip(steps, inputs, Bs, Cs, strict=True):
        decay = torch.exp(delta_t[:, :, None] * A)  # (B, D, N)
        drive = (delta_t * u_t)[:, :, None] * B_t[:, None, :]  # (B, D, N)
        h = decay * h + drive
        ys.append((h * C_t[:, None, :]).sum(-1))  # (B, D)
    y = torch.stack(ys, dim=1)  # (B, L, D)
    if D is not None:
        y = y + D * u
    if z is not None:
        y = y * F.silu(z)
    return y, h


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """Depthwise convolution in which a token sees itself and the W - 1 tokens before it.

        y_t = bias + Σ_k weight[k] x_{t - (W-1) + k},   then silu if asked

    Shapes as in :func:`mambadfuse.ops.causal_conv1d`.
    """
    length, width = x.shape[1], weight.shape[1]
    past = x.new_zeros(x.shape[0], width - 1, x.shape[2]) if initial_state is None else initial_state
    x = torch.cat([past, x], dim=1)  # (B, L, D) -> (B, W - 1 + L, D)
    y = torch.stack([weight[:, k] * x[:, k : k + length] for k in range(width)]).sum(0)  # (B, L, D)
    if bias is not None:
        y = y + bias
    return F.silu(y) if activation else y
