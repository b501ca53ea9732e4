"""The time and memory a run will take, measured on a few steps that are then discarded."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from accelerate import Accelerator

from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.fusion.memory import pass_memory, require_free
from mambadfuse.models.flops import total_flops
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.state import TrainingState
from mambadfuse.training.step import TrainingSteps, accelerator_for, crops_for

_SIDE = 256  # pixels, of the pair whose operations are counted


@dataclass(frozen=True)
class Estimate:
    """The expected cost of a run; ``str(estimate)`` is a short table."""

    pairs: int
    parameters: int
    """Number of trainable parameters."""
    device: str
    precision: str
    processes: int
    steps: int
    seconds_per_step: float
    flops: int | None
    """Operations for one pair of 256 x 256 pixels; None if a component of your own does not report them."""
    memory: int | None
    """Peak memory of one process in bytes, on the GPU if it trains there; None where it is not reported."""

    def __str__(self) -> str:
        memory = "unknown" if self.memory is None else f"{self.memory / 1e9:.1f} GB"
        operations = "unknown" if self.flops is None else f"{self.flops / 1e9:.2f} GFLOP"
        total = format_duration(self.steps * self.seconds_per_step)
        lines = [
            f"pairs        {self.pairs}",
            f"parameters   {self.parameters:,}",
            f"operations   {operations} for a pair of {_SIDE} x {_SIDE} pixels",
            f"device       {self.device}, {self.precision}, processes: {self.processes}",
            f"steps        {self.steps:,}",
            f"time         {self.seconds_per_step:.2f} s per step, {total} in total, without validation",
            f"memory       {memory} per process",
        ]
        return "\n".join(lines)


def estimate(
    config: TrainingConfig,
    sets: Sequence[Sequence[TrainingPair]],
    sampling_weights: Sequence[float] | None = None,
    measured: int = 3,
) -> Estimate:
    """Measure what a run will take on this machine; nothing is written.

    Args:
        config: of the run.
        sets: as for :func:`mambadfuse.training.train`.
        sampling_weights: as for :func:`mambadfuse.training.train`.
        measured: steps to time for each crop size, after one warm-up step.

    Raises:
        ValueError, MemoryError: as :func:`mambadfuse.training.train`.
    """
    seconds = []
    with accelerator_for(config) as accelerator:
        require_memory(config, accelerator)
        for size in config.crop_sizes:  # all equally likely in a run
            short = replace(config, steps=measured + 1, workers=0, crop_sizes=(size,))
            state = TrainingState(config, accelerator.device)
            crops = crops_for(short, sets, sampling_weights)
            steps = iter(TrainingSteps(short, state, crops, accelerator))
            next(steps)
            started = time.perf_counter()
            for _ in islice(steps, measured):
                pass
            seconds.append((time.perf_counter() - started) / measured)
        return Estimate(
            pairs=sum(map(len, sets)),
            parameters=sum(p.numel() for p in state.model.parameters()),
            flops=total_flops(config.model, _SIDE, _SIDE),
            device=str(accelerator.device),
            precision={"no": "float32"}.get(accelerator.mixed_precision, accelerator.mixed_precision),
            processes=accelerator.num_processes,
            steps=config.steps,
            seconds_per_step=sum(seconds) / len(seconds),
            memory=peak_memory(accelerator.device),
        )


def require_memory(config: TrainingConfig, accelerator: Accelerator) -> None:
    """Refuses a step that needs more memory than is free, by less than what it needs.

    On a CPU that is a pass of the crops through the network, to which training adds; else the crops themselves.

    Raises:
        MemoryError: it does; the message says what to choose smaller.
    """
    count = -(-config.batch // (config.accumulate * accelerator.num_processes))
    height, width = max(config.crop_sizes, key=math.prod)
    on_cpu = accelerator.device.type == "cpu"
    needed = pass_memory(config.model, height, width, count) if on_cpu else 8 * count * height * width
    require_free(
        needed,
        f"a step of {count} crops of {height} x {width}",
        "choose a smaller batch or model, smaller crop_sizes, or accumulate parts of a batch",
    )


def peak_memory(device: torch.device) -> int | None:
    """Peak memory of this process in bytes, on the GPU if that is the device; None where it is not reported."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def format_duration(seconds: float) -> str:
    """A duration in a suitable unit: 40 s, 12 min, 3.1 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
