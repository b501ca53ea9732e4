"""What a run will take: time and memory, from a few steps that are measured and thrown away."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch

from mambadfuse.data.crops import PairedCrops
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.state import TrainingState
from mambadfuse.training.step import Stepper, accelerator_for


@dataclass(frozen=True)
class Estimate:
    """The outlook for a run."""

    pairs: int
    parameters: int
    """Weights that are trained."""
    device: str
    precision: str
    processes: int
    steps: int
    seconds_per_step: float
    memory: int | None
    """Most bytes that one process takes, on the GPU if it trains there; None where the system does not say."""

    def __str__(self) -> str:
        memory = "unknown" if self.memory is None else f"{self.memory / 1e9:.1f} GB"
        return "\n".join([
            f"pairs        {self.pairs}",
            f"parameters   {self.parameters:,}",
            f"device       {self.device}, {self.precision}, processes: {self.processes}",
            f"steps        {self.steps:,}",
            f"time         {self.seconds_per_step:.2f} s a step, {spoken(self.steps * self.seconds_per_step)} in all, "
            "validation not counted",
            f"memory       {memory} in each process",
        ])  # fmt: skip


def estimate(
    config: TrainingConfig,
    sets: Sequence[Sequence[TrainingPair]],
    shares: Sequence[float] | None = None,
    measured: int = 3,
) -> Estimate:
    """The outlook for a run on this machine; nothing is kept.

    Args:
        config: of the run.
        sets: as for :func:`mambadfuse.training.train`.
        shares: likewise.
        measured: steps to be timed for each window, after a first one that is not.

    Raises:
        ValueError: as :func:`mambadfuse.training.train`.
    """
    short = replace(config, steps=measured + 1, workers=0)
    seconds = []
    with accelerator_for(config) as accelerator:
        for window in config.windows:  # one is drawn for each step, each as often
            crops = PairedCrops(sets, shares, crop_sizes=(window,), batch=config.batch, seed=config.seed)
            state = TrainingState(config, accelerator.device)
            steps = Stepper(short, state, crops, accelerator).steps()
            next(steps)
            begun = time.perf_counter()
            for _ in islice(steps, measured):
                pass
            seconds.append((time.perf_counter() - begun) / measured)
        return Estimate(
            pairs=sum(map(len, sets)),
            parameters=sum(p.numel() for p in state.model.parameters()),
            device=str(accelerator.device),
            precision={"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
            processes=accelerator.num_processes,
            steps=config.steps,
            seconds_per_step=sum(seconds) / len(seconds),
            memory=peak_memory(accelerator.device),
        )


def peak_memory(device: torch.device) -> int | None:
    """Most bytes that this process took so far, on the GPU if that is the device; None where the system is silent."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def spoken(seconds: float) -> str:
    """A duration in the unit that fits: 40 s, 12 min, 3.1 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
