"""Backend "triton": where its kernels can run, and what they take.

They take float32, float16 or bfloat16, each tensor its own, and compute in float32. Where ``TRITON_INTERPRET=1`` was
set before Triton was imported, its interpreter runs the kernels on a CPU: slowly, for tests and to step through them.

Tested in that interpreter and compiled for three kinds of GPU; we have not run it on a GPU.
"""

import os

import torch
from torch import Tensor


def interpreted() -> bool:
    """Whether Triton's interpreter takes the place of a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def unusable() -> tuple[str, str] | None:
    """Why this backend cannot be used here and what to do about it, or None if it can."""
    if not interpreted() and not torch.cuda.is_available():
        return (
            "PyTorch finds no GPU",
            "this backend needs a GPU; without one, backend 'numba' is the right one",
        )
    try:
        import triton  # noqa: F401 - only whether it can be imported
    except (
        Exception
    ) as error:  # not only ImportError: a foreign ABI or driver raises OSError, RuntimeError ...
        return f"{type(error).__name__}: {error}", "pip install triton (there is a build for Linux only)"
    return None


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
    """The scan by the Triton kernels; see :func:`mambadfuse.ops.selective_scan`. Returns ``(y, last_state)``.

    Raises:
        RuntimeError: the kernels cannot compute on this device, or take no such dtype.
    """
    from mambadfuse.ops.gpu.autograd import scan

    _check("u", u)
    return scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state)


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, initial_state: Tensor | None
) -> Tensor:
    """The convolution by the Triton kernels; see :func:`mambadfuse.ops.causal_conv1d`.

    Raises:
        RuntimeError: the kernels cannot compute on this device, or take no such dtype.
    """
    from mambadfuse.ops.gpu.autograd import conv

    _check("x", x)
    return conv(x, weight, bias, activation, initial_state)


def _check(name: str, x: Tensor) -> None:
    if not x.is_cuda and not interpreted():
        raise RuntimeError(f"backend 'triton' computes on a GPU, found {name} on {x.device}: use 'auto'")
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise RuntimeError(
            f"backend 'triton' computes in float32, found {name} in {x.dtype}: use 'torch' or 'reference'"
        )
