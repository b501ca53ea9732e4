"""How long the rows of an ablation will train, from a few measured steps of one of them and the operations of all."""

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

import torch

from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.table import Row
from mambadfuse.models.flops import total_flops
from mambadfuse.training.config import TrainingConfig
from mambadfuse.training.estimate import estimate

TOO_LONG = 12 * 3600.0  # seconds of one run, beyond which a device is too small for a budget


def work(config: TrainingConfig) -> float:
    """The operations of all forward passes of a run; NaN if a component of one's own does not tell its own.

    The backward passes are taken to be in proportion.
    """
    counts = [total_flops(config.model, *size) for size in config.crop_sizes]
    known = [count for count in counts if count is not None]
    return config.steps * config.batch * fmean(known) if len(known) == len(counts) else math.nan


def seconds_per_operation(experiment: Experiment, row: Row) -> float:
    """Measured on two steps of a row with the budget ``minutes``, in one thread, as rows are trained side by side."""
    config = replace(experiment, budget="minutes").config(row, 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = estimate(config, experiment.sets, measured=2)
    finally:
        torch.set_num_threads(threads)
    return measured.seconds_per_step * config.steps / work(config)


def seconds_of_all(pace: float, configs: Iterable[TrainingConfig], at_once: int) -> float:
    """The time that runs take, of which so many train side by side, each on a core of its own.

    Args:
        pace: seconds for one operation.
        configs: of the runs.
        at_once: how many train side by side, at most the number of cores.

    >>> config = TrainingConfig.preset("ivf", "minutes")
    >>> seconds_of_all(1e-9, [config] * 4, 2) == 2 * seconds_of_all(1e-9, [config], 1)
    True
    """
    return pace * sum(map(work, configs)) / at_once
