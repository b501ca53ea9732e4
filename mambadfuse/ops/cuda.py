"""The CUDA kernels of mamba-ssm and causal-conv1d, unmodified: backend "cuda".

They are optional and imported on first use (:mod:`mambadfuse.ops.providers`). They take tokens in the last dimension,
(B, D, L), while everything else here has (B, L, D): this file is the only one that transposes.

Their requirements, met here: u, delta, B, C, z share one dtype (float32, float16 or bfloat16), while A, D and
delta_bias are float32; at most 256 states; filters of 2 to 4 tokens. Internally both compute in float32.

Limitation: no gradient flows through ``last_state``, for which the kernel has none; the one through y is complete.

Tested with stand-ins that check these requirements; we have not run it on a GPU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mambadfuse.ops import providers

MAX_STATE = 256
WIDTHS = (2, 3, 4)

_TINY = 2.0**-40  # a step so short that exp(Δ A) is 1 in float32; a power of two, so that scaling is exact


def unusable() -> tuple[str, str] | None:
    """Why this backend cannot be used here and what to do about it, or None if it can."""
    return providers.no_gpu() or providers.unusable()


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
    """The scan by mamba-ssm's ``selective_scan_fn``; see :func:`mambadfuse.ops.selective_scan`.

    Returns ``(y, last_state)``; no gradient flows through last_state. With an initial state half-precision
    inputs are widened to float32.

    Raises:
        RuntimeError: the kernel takes no such dtype or number of states.
    """
    _require_kernel_dtype("u", u)
    if A.shape[1] > MAX_STATE:
        raise RuntimeError(
            f"the CUDA scan takes at most {MAX_STATE} states, found A with {A.shape[1]}: use backend='torch'"
        )
    dtype, past = u.dtype, 0
    if initial_state is not None:
        past = A.shape[1]
        delta = _step_size(delta, delta_bias, delta_softplus)
        delta_bias, delta_softplus = None, False
        u, delta, B, C, z = _prepend_state(initial_state.float(), u, delta, B, C, z)
    y, last_state = providers.kernel("selective_scan_fn")(
        _tokens_last(u),
        _tokens_last(delta.to(u.dtype)),
        A.float(),
        _tokens_last(B.to(u.dtype)),
        _tokens_last(C.to(u.dtype)),
        D=None if D is None else D.float(),
        z=None if z is None else _tokens_last(z.to(u.dtype)),
        delta_bias=None if delta_bias is None else delta_bias.float(),
        delta_softplus=delta_softplus,
        return_last_state=True,
    )
    return y.transpose(1, 2)[:, past:].to(dtype), last_state.detach()


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """The convolution by causal-conv1d's ``causal_conv1d_fn``; see :func:`mambadfuse.ops.causal_conv1d`.

    Raises:
        RuntimeError: the kernel takes no such dtype or filter width.
    """
    _require_kernel_dtype("x", x)
    if weight.shape[1] not in WIDTHS:
        raise RuntimeError(
            f"the CUDA convolution takes filters of {WIDTHS} tokens, found {weight.shape[1]}: "
            "use backend='torch'"
        )
    past = 0
    if initial_state is not None:
        past = initial_state.shape[1]
        x = torch.cat([initial_state.to(x.dtype), x], dim=1)  # (B, W - 1 + L, D)
    bias = None if bias is None else bias.float()
    y = providers.kernel("causal_conv1d_fn")(
        _tokens_last(x), weight.float().contiguous(), bias, activation=activation
    )
    return y.transpose(1, 2)[:, past:]


def _require_kernel_dtype(name: str, x: Tensor) -> None:
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise RuntimeError(
            f"the CUDA kernels take float32, float16 or bfloat16, found {name} in {x.dtype}: "
            "use backend='torch'"
        )


def _tokens_last(x: Tensor) -> Tensor:
    """(B, L, D) -> (B, D, L), contiguous in memory.

    A clone rather than ``contiguous()``, which leaves the stride of a single token as it is: the kernel would
    mistake that for another layout.
    """
    return x.transpose(1, 2).clone(memory_format=torch.contiguous_format)


def _step_size(delta: Tensor, bias: Tensor | None, softplus: bool) -> Tensor:
    delta = delta.float() if bias is None else delta.float() + bias.float()
    return F.softplus(delta) if softplus else delta


def _prepend_state(
    h: Tensor, u: Tensor, delta: Tensor, B: Tensor, C: Tensor, z: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Prepend N tokens that write the state h (B, D, N) into a scan that starts from zero.

    The n-th of them has B = the n-th unit vector and Δ u = h_n with a Δ so small that nothing decays: after
    all N of them the state is exactly h. The caller drops their outputs.
    """
    rows = h.transpose(1, 2)  # (B, N, D)
    units = torch.eye(rows.shape[1], device=h.device).expand(len(h), -1, -1)  # (B, N, N)
    return (
        torch.cat([rows / _TINY, u.float()], dim=1),
        torch.cat([torch.full_like(rows, _TINY), delta], dim=1),
        torch.cat([units, B.float()], dim=1),
        torch.cat([torch.zeros_like(units), C.float()], dim=1),
        None if z is None else torch.cat([torch.zeros_like(rows), z.float()], dim=1),
    )
