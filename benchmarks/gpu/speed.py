"""Fusing an image and a training step on every backend: seconds and peak memory, beside the time counted on paper.

``cuda`` is mamba-ssm, where it is installed. The time on paper, of :mod:`benchmarks.roofline`, is a lower bound in
float32.
"""

from collections.abc import Callable, Iterable

import torch

from benchmarks.gpu.check import Case, Check, Row, each_backend_and_precision, require
from benchmarks.gpu.settings import Settings
from benchmarks.machine import median_seconds
from benchmarks.roofline import BACKENDS, fusing_seconds, gpu_named, training_seconds
from mambadfuse import MambaDFuse, ops
from mambadfuse.losses import FusionLoss
from mambadfuse.training.estimate import peak_memory


def cases(settings: Settings) -> Iterable[Case]:
    return (
        {"work": work} | case
        for work in ("fusing", "training step")
        for case in each_backend_and_precision(settings)
    )


def fusing(settings: Settings, model: MambaDFuse) -> Callable[[], object]:
    model.eval()
    a, b = torch.rand(2, 1, 1, *settings.image, device=settings.device)

    def fuse() -> None:
        with torch.inference_mode():
            model(a, b)

    return fuse


def training(settings: Settings, model: MambaDFuse) -> Callable[[], object]:
    loss, optimiser = FusionLoss.vif().to(settings.device), torch.optim.Adam(model.parameters(), lr=2e-5)
    a, b = torch.rand(2, settings.batch, 1, settings.crop, settings.crop, device=settings.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        fused = model(a, b)
        with torch.autocast(settings.device, enabled=False):
            loss(fused.float(), a, b).total.backward()
        optimiser.step()

    return step


def expected(settings: Settings, work: str, backend: str) -> float | None:
    """Seconds on paper; None for a device or a backend that is not listed there."""
    gpu = gpu_named(torch.cuda.get_device_name()) if settings.device == "cuda" else None
    if gpu is None or backend not in BACKENDS:
        return None
    if work == "fusing":
        return fusing_seconds(settings.network, gpu, *settings.image, backend)
    return training_seconds(settings.network, gpu, settings.batch * settings.crop**2, backend)


def measure(settings: Settings, work: str, backend: str, precision: str) -> Row:
    require(backend)
    torch.manual_seed(0)
    model = MambaDFuse(settings.network).to(settings.device)
    call = (fusing if work == "fusing" else training)(settings, model)

    def timed() -> None:
        with (
            ops.use_backend(backend),
            torch.autocast(settings.device, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            call()
        if settings.device == "cuda":
            torch.cuda.synchronize()

    timed()  # compiles
    seconds, runs = median_seconds(timed, patience=settings.patience)
    memory = peak_memory(torch.device(settings.device))
    on_paper = expected(settings, work, backend)
    return {
        "seconds": seconds,
        "median of": runs,
        "seconds on paper": on_paper,
        "times paper": None if on_paper is None else seconds / on_paper,
        "peak MB": None if memory is None else memory / 1e6,
    }


CHECK = Check("Seconds and memory", False, cases, measure)
