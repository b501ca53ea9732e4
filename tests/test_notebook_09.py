"""Notebook 09: the parts of a training step that it builds by hand are those of the package."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training_cases import CONFIG, quiet, toy_pairs

from mambadfuse import load
from mambadfuse.training import TrainingConfig

BY_HAND = definitions("09")


@settings(max_examples=30)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5), st.floats(0.01, 1000))
def test_clipping_is_that_of_pytorch(numbers, c):
    g = [torch.tensor([x]) for x in numbers]
    W = [nn.Parameter(torch.zeros(1)) for _ in g]
    for w, part in zip(W, g, strict=True):
        w.grad = part.clone()
    torch.nn.utils.clip_grad_norm_(W, c)
    torch.testing.assert_close([w.grad for w in W], BY_HAND["clip"](g, c))


@pytest.mark.parametrize(("steps", "warmup"), [(10, 3), (100, 1), (50, 49), (7, 0)])
def test_the_rate_is_that_of_the_package(steps, warmup):
    config = TrainingConfig(steps=steps, warmup=warmup)
    by_hand = [BY_HAND["rate"](t, steps, warmup) for t in range(steps)]
    assert by_hand == pytest.approx([config.rate(t) for t in range(steps)])


@pytest.mark.parametrize("d", [0.0, 0.5, 0.999])
def test_the_average_is_that_of_pytorch(d):
    model = nn.Linear(3, 2)
    theirs, ours = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(d)), BY_HAND["Average"](d)
    for _ in range(5):
        with torch.no_grad():
            for w in model.parameters():
                w.copy_(torch.randn_like(w))
        theirs.update_parameters(model)
        ours.update(list(model.parameters()))
    torch.testing.assert_close(ours.E, [w.detach() for w in theirs.module.parameters()])


def test_the_loop_is_that_of_the_package(tmp_path):
    config = replace(CONFIG, steps=4, ema_decay=0.9)
    _, E = BY_HAND["hand_train"](config, toy_pairs())
    engine = load(quiet(tmp_path / "w.safetensors", steps=4, ema_decay=0.9))
    for mine, package in zip(E, engine.parameters(), strict=True):
        torch.testing.assert_close(mine, package.detach(), rtol=1e-4, atol=1e-5)


def test_a_noisy_descent_ends_nearer_with_an_average_that_fits():
    descent = BY_HAND["descent"]
    ends = {
        d: np.mean([(descent(eta=0.2, d=d, noise=1.0, seed=seed)[1][-1] - 1) ** 2 for seed in range(20)])
        for d in (0.0, 0.95, 0.999)
    }
    assert ends[0.95] < min(ends[0.0], ends[0.999])
    W, E = descent(eta=0.2, d=0.9, noise=0.0)
    assert math.isclose(W[-1], 1, rel_tol=1e-6)
    assert np.all(np.diff(E) >= 0)
