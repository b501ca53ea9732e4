"""Backend "triton": where its kernels can run, and what they take.

They take float32, float16 or bfloat16, each tensor its own, and compute in float32. Where ``TRITON_INTERPRET=1`` was
set before Triton was imported, its interpreter runs the kernels on a CPU: slowly, for tests and to step through them.

Tested in that interpreter and compiled for five kinds of GPU; we have not run it on a GPU.
"""

import os

import torch
from torch import Tensor

OLDEST = (
    7,
    0,
)  # compute capability of NVIDIA's GPUs: the kernels compile for it, and torch.compile asks for the same
_INSTALL = "pip install triton (there is a build for Linux only)"
_REPAIR = (
    "use backend 'torch'; Triton needs a C compiler, gcc or clang or the one named in CC, and Python's headers "
    "(apt-get install gcc python3-dev on Debian and Ubuntu); if they are there, install PyTorch and the Triton that "
    "it brings along again"
)


def interpreted() -> bool:
    """Whether Triton's interpreter takes the place of a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def unusable() -> tuple[str, str] | None:
    """Why this backend cannot be used here and what to do about it, or None if it can.

    It has to be usable on every GPU of the machine, and a first small convolution has to come out right.
    """
    if not interpreted() and not torch.cuda.is_available():
        return (
            "PyTorch finds no GPU",
            "none without a GPU, where backend 'numba' is the right one",
        )
    try:
        import triton  # noqa: F401 - only whether it can be imported
    except ModuleNotFoundError:
        return "Triton is not installed", _INSTALL
    except Exception as error:  # a foreign ABI or driver raises OSError, RuntimeError ...
        return f"Triton cannot be imported: {type(error).__name__}: {error}", _INSTALL
    return None if interpreted() else _too_old() or _fails_on_trial()


def _too_old() -> tuple[str, str] | None:
    """The first GPU of NVIDIA's for which the kernels do not compile; AMD counts its GPUs in another way."""
    for number in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(number)
        if torch.version.cuda is not None and capability < OLDEST:
            found, oldest = (".".join(map(str, pair)) for pair in (capability, OLDEST))
            return (
                f"GPU {number}, {torch.cuda.get_device_name(number)}, has compute capability {found}, "
                f"the kernels need {oldest} or more",
                "none for this GPU, use backend 'torch'; where there is a newer one beside it, name that "
                "in CUDA_VISIBLE_DEVICES",
            )
    return None


def _fails_on_trial() -> tuple[str, str] | None:
    """What goes wrong when a kernel is compiled and launched: no C compiler, a foreign driver ..."""
    try:
        y = causal_conv1d(
            torch.ones(1, 2, 1, device="cuda"), torch.ones(1, 2, device="cuda"), None, None, None
        )
        found = y.flatten().tolist()
    except Exception as error:
        return f"a first kernel fails: {type(error).__name__}: {error}", _REPAIR
    if found != [1, 2]:
        return f"a first kernel computes {found}, expected [1.0, 2.0]", _REPAIR
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


def selective_ssm(
    x: Tensor,
    z: Tensor | None,
    conv: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    conv_state: Tensor | None,
    ssm_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Convolution, projections, scan and gate by the Triton kernels; see :func:`mambadfuse.ops.selective_ssm`.

    Raises:
        RuntimeError: the kernels cannot compute on this device, or take no such dtype.
    """
    from mambadfuse.ops.gpu.autograd import ssm

    _check("x", x)
    return ssm(x, z, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, conv_state, ssm_state)


def _check(name: str, x: Tensor) -> None:
    if not x.is_cuda and not interpreted():
        raise RuntimeError(f"backend 'triton' computes on a GPU, found {name} on {x.device}: use 'auto'")
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise RuntimeError(
            f"backend 'triton' computes in float32, found {name} in {x.dtype}: use 'torch' or 'reference'"
        )
