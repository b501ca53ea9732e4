"""Two processes that share a training run, each on its own GPU, against one: the losses of all steps are the same."""

import os
import socket
from collections.abc import Iterable
from dataclasses import replace

import torch

from benchmarks.gpu.check import Case, Check, NotPossible, Row
from benchmarks.gpu.isolation import Job
from benchmarks.gpu.settings import Settings
from mambadfuse.ablation.default_pairs import toy_pairs
from mambadfuse.data.crops import PairedCrops
from mambadfuse.training import TrainingConfig
from mambadfuse.training.state import TrainingState
from mambadfuse.training.step import TrainingSteps, accelerator_for

STEPS, BOUND = 5, 1e-3


def cases(settings: Settings) -> Iterable[Case]:
    return [{"processes": "2 against 1"}]


def losses(settings: Settings, rank: int, count: int, port: int) -> list[float]:
    """The losses of the first steps, computed by process ``rank`` of ``count``."""
    shared = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in shared.items()} | {"MASTER_ADDR": "127.0.0.1"}
    config = replace(
        TrainingConfig.preset("ivf", "minutes"),
        model=settings.network,
        steps=STEPS,
        warmup=0,
        crop_sizes=((settings.crop, settings.crop),),
        precision="float32",
        device="cpu" if settings.device == "cpu" else "auto",
    )
    pairs = toy_pairs(range(4), (settings.crop, settings.crop))
    crops = PairedCrops([pairs], crop_sizes=config.crop_sizes, batch=config.batch, seed=config.seed)
    with accelerator_for(config) as accelerator:
        if accelerator.num_processes != count:
            raise RuntimeError(
                f"{count} processes were started, but {accelerator.num_processes} found each other"
            )
        steps = TrainingSteps(config, TrainingState(config, accelerator.device), crops, accelerator)
        found = [record["total"] for record in steps]
        accelerator.wait_for_everyone()
        accelerator.end_training()
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def together(settings: Settings, count: int) -> list[float]:
    """The losses as the first of so many processes computes them."""
    port = free_port()
    jobs = [Job(losses, settings, rank, count, port) for rank in range(count)]
    try:
        first, *_ = [job.result(settings.limit) for job in jobs]
    finally:
        for job in jobs:
            job.end()
    return first


def measure(settings: Settings, processes: str) -> Row:
    if settings.device == "cuda" and torch.cuda.device_count() < 2:
        raise NotPossible(f"this needs two GPUs, found {torch.cuda.device_count()}")
    one, two = (together(settings, count) for count in (1, 2))
    largest = max(abs(x - y) / abs(x) for x, y in zip(one, two, strict=True))
    return {"right": largest <= BOUND, "largest difference of a loss, relative": largest, "bound": BOUND}


CHECK = Check("Two processes against one", True, cases, measure)
