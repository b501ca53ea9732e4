"""Where the CUDA kernels of backend "cuda" come from: from libraries, or from Hugging Face's Hub if that is asked for.

=============  ==============================================================  =======================================
provider       what it is                                                      how it gets onto a machine
=============  ==============================================================  =======================================
``libraries``  mamba-ssm and causal-conv1d, by their authors                   compiled there, with nvcc
``hub``        the same kernels, compiled by Hugging Face for many versions    downloaded by the package ``kernels``
               of PyTorch and CUDA                                             when they are first called
=============  ==============================================================  =======================================

A download of code has to be asked for: the Hub is used where ``MAMBADFUSE_HUB_KERNELS=1`` is in the environment, and
nowhere else. The libraries can also come as wheels that third parties have compiled. Tested with stand-ins; we
have not run any of them on a GPU.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple, cast

import torch

HUB_VARIABLE = "MAMBADFUSE_HUB_KERNELS"
_SOURCES = {  # module of the library, repository and version on the Hub
    "selective_scan_fn": ("mamba_ssm.ops.selective_scan_interface", "kernels-community/mamba-ssm", 1),
    "causal_conv1d_fn": ("causal_conv1d", "kernels-community/causal-conv1d", 1),
}
COMPILE = (
    "pip install setuptools wheel packaging ninja; "
    "pip install --no-build-isolation --no-cache-dir causal-conv1d mamba-ssm "
    "(both compile against the installed PyTorch: nvcc of the same CUDA major version must be on the PATH)"
)
_WHEELS = (
    "pip install --only-binary causal-conv1d,mamba-ssm --extra-index-url INDEX causal-conv1d mamba-ssm "
    "(INDEX: the address of an index kept by third parties, not by the authors of the libraries, and never tried by us)"
)
_FROM_THE_HUB = (
    f'pip install -e ".[kernels]"; export {HUB_VARIABLE}=1 (downloads compiled code from Hugging Face\'s Hub)'
)


def provider() -> str:
    """The provider in use: "hub" where the environment asks for it, else "libraries"."""
    return "hub" if os.environ.get(HUB_VARIABLE) == "1" else "libraries"


def kernel(name: str) -> Callable[..., Any]:
    """One of the two functions, "selective_scan_fn" or "causal_conv1d_fn", from the provider in use.

    Raises:
        Exception: whatever an import or a download fails with.
    """
    module, repository, version = _SOURCES[name]
    source = _downloaded(repository, version) if provider() == "hub" else import_module(module)
    return cast(Callable[..., Any], getattr(source, name))


@cache
def _downloaded(repository: str, version: int) -> ModuleType:
    from kernels import get_kernel

    return cast(ModuleType, get_kernel(repository, version=version))


def no_gpu() -> tuple[str, str] | None:
    """Why no CUDA kernel can run on this machine and what to do about it; None if PyTorch finds one of NVIDIA's."""
    if torch.version.cuda is None:
        return (
            f"PyTorch {torch.__version__} is built without CUDA",
            "none without an NVIDIA GPU, where backend 'numba' is the right one; with one: "
            f"pip uninstall -y torch; pip install torch (a build with CUDA); {COMPILE}",
        )
    if not torch.cuda.is_available():
        return (
            "PyTorch finds no NVIDIA GPU",
            "none without an NVIDIA GPU and its driver, where backend 'numba' is the right one",
        )
    return None


def unusable() -> tuple[str, str] | None:
    """Why the provider in use has no kernels here and what to do about it; None if it has."""
    try:
        for name in _SOURCES:
            kernel(name)
    except (
        Exception
    ) as error:  # a foreign ABI or driver raises OSError, RuntimeError ...; a download anything
        return f"{type(error).__name__}: {error}", _FROM_THE_HUB if provider() == "hub" else COMPILE
    return None


class Found(NamedTuple):
    """What a machine has of one source of kernels, or can have."""

    ready: bool
    detail: str
    remedy: str = ""
    """The commands by which it becomes ready; empty if it is, or never can."""


def libraries_here() -> Found:
    """The libraries on this machine, compiled from their sources."""
    if found := _without_a_choice():
        return found
    cuda = torch.version.cuda
    if shutil.which("nvcc"):
        return Found(False, f"can be compiled here, for CUDA {cuda}", COMPILE)
    toolkit = f"install NVIDIA's CUDA toolkit {cuda}, which has nvcc"
    return Found(False, f"cannot be compiled here without nvcc, of CUDA {cuda}", f"{toolkit}; {COMPILE}")


def wheels_here() -> Found:
    """The libraries on this machine, from wheels of third parties; no index is asked to find out."""
    if found := _without_a_choice():
        return found
    python = ".".join(platform.python_version_tuple()[:2])
    wanted = f"Python {python}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}"
    system = f"{sys.platform} on {platform.machine()}"
    detail = f"can be installed here, where an index of third parties has them for {wanted} and {system}"
    return Found(False, detail, _WHEELS)


def _without_a_choice() -> Found | None:
    """What there is to say of the libraries where they are installed or no GPU could run them."""
    if problem := no_gpu():
        return Found(False, f"not for this machine: {problem[0]}")
    if all(find_spec(module.partition(".")[0]) for module, _, _ in _SOURCES.values()):
        return Found(True, "mamba-ssm and causal-conv1d are installed")
    return None


def hub_here() -> Found:
    """The kernels of the Hub on this machine; nothing is downloaded to find out."""
    if problem := no_gpu():
        return Found(False, f"not for this machine: {problem[0]}")
    if provider() != "hub":
        return Found(
            False, f"can be downloaded here, but only if {HUB_VARIABLE}=1 asks for it", _FROM_THE_HUB
        )
    if not find_spec("kernels"):
        return Found(
            False, f"{HUB_VARIABLE}=1 asks for them, but the package kernels is missing", _FROM_THE_HUB
        )
    return Found(True, "downloaded when they are first called")
