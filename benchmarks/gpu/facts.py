"""What is measured: the GPUs, the versions of what computes on them, and the backends."""

from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks import machine
from mambadfuse import ops

PACKAGES = ("triton", "mamba-ssm", "causal-conv1d", "kernels", "accelerate")


def gpu(number: int) -> str:
    found = torch.cuda.get_device_properties(number)
    return (
        f"{found.name}, compute capability {found.major}.{found.minor}, "
        f"{found.multi_processor_count} multiprocessors, {found.total_memory / 1e9:.0f} GB"
    )


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def facts() -> dict[str, object]:
    return {
        **machine.facts(),
        "CUDA": torch.version.cuda or "none",
        **{name: installed(name) for name in PACKAGES},
        **{f"GPU {number}": gpu(number) for number in range(torch.cuda.device_count())},
        **{f"backend {name}": "usable" if b.usable else b.reason for name, b in ops.backends().items()},
    }
