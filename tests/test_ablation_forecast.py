"""How long rows will train: in proportion to their operations, measured on this machine."""

import math
from dataclasses import replace

import torch
from ablation_cases import TABLE, experiment

from mambadfuse.ablation.forecast import seconds_of_all, seconds_per_operation, work
from mambadfuse.training import TrainingConfig

CONFIG = TrainingConfig.preset("ivf", "minutes")


def test_work_grows_with_steps_batch_and_network():
    assert work(replace(CONFIG, steps=2 * CONFIG.steps, batch=2 * CONFIG.batch)) == 4 * work(CONFIG)
    wider = replace(CONFIG, model=replace(CONFIG.model, dim=2 * CONFIG.model.dim))
    assert 2 * work(CONFIG) < work(wider) < 4 * work(CONFIG)


def test_runs_side_by_side_take_less_time():
    alone = seconds_of_all(1e-9, [CONFIG], 1)
    assert seconds_of_all(1e-9, [CONFIG] * 6, 2) == 3 * alone


def test_a_pace_is_measured_in_one_thread_and_leaves_the_threads_alone(tmp_path):
    torch.set_num_threads(1)
    pace = seconds_per_operation(experiment(tmp_path, budget="gpu"), TABLE["default"])
    assert 0 < pace < math.inf
    assert torch.get_num_threads() == 1
