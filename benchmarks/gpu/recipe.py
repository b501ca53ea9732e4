"""The published recipe for some minutes: steps, losses, scores on validation pairs, memory, and the weights."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import mean

import torch

from benchmarks.gpu.check import Case, Check, Row
from benchmarks.gpu.settings import Settings
from benchmarks.roofline import gpu_named, training_seconds
from mambadfuse.ablation.default_pairs import bundled_pairs
from mambadfuse.data.training_pairs import TrainingPair, find_training_pairs
from mambadfuse.training import TrainingConfig, configure, estimate, read_log, run_folder, train

Pairs = Sequence[TrainingPair]


def cases(settings: Settings) -> Iterable[Case]:
    return [{"data": "your pairs" if settings.pairs else "samples and made-up pairs"}]


def training_and_validation(settings: Settings) -> tuple[list[Pairs], Pairs]:
    """Every tenth of your own pairs is for validation."""
    if settings.pairs is None:
        return bundled_pairs(settings.image)
    found = find_training_pairs(*settings.pairs)
    return [[pair for i, pair in enumerate(found) if i % 10]], found[::10]


def expected(config: TrainingConfig) -> float | None:
    """Seconds of a step on paper, in float32 by the Triton kernels; None for a device that is not listed there."""
    gpu = gpu_named(torch.cuda.get_device_name()) if config.device == "auto" else None
    tokens = config.batch * config.crop_sizes[0][0] * config.crop_sizes[0][1]
    return None if gpu is None else training_seconds(config.model, gpu, tokens)


def measure(settings: Settings, data: str) -> Row:
    """Trains for as many steps as fit into the minutes, judging by a few of them."""
    sets, validation = training_and_validation(settings)
    device = "cpu" if settings.device == "cpu" else "auto"
    config = configure("ivf", settings.budget, overrides=[*settings.changes, f"device={device}"])
    found = estimate(config, sets)
    steps = max(2, int(60 * settings.minutes / found.seconds_per_step))
    out = train(
        replace(config, steps=steps), sets, settings.out / "trained.safetensors", validation=validation
    )
    log, scores = (read_log(run_folder(out) / f"{name}.jsonl") for name in ("steps", "validation"))
    losses = [record["total"] for record in log]
    tenth = -(-len(losses) // 10)
    return {
        "precision": found.precision,
        "steps": steps,
        "seconds a step": log[-1]["seconds"] / steps,
        "seconds on paper": expected(config),
        "loss, first tenth": mean(losses[:tenth]),
        "loss, last tenth": mean(losses[-tenth:]),
        "peak MB": None if found.memory is None else found.memory / 1e6,
        "weights": out.name,
        **{f"validation: {name}": value for name, value in scores[-1].items() if name != "step"},
    }


CHECK = Check("The published recipe", False, cases, measure, trains=True)
