"""Notebook 11: the tests of chance that it builds by hand are those of the library and of the package."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_code import definitions
from scipy import stats
from test_ablation_report import made

from mambadfuse.ablation import SHIPPED_RESULTS, Store
from mambadfuse.ablation.statistics import holm

BY_HAND = definitions("11")


@pytest.mark.parametrize("n", [3, 5, 9])
def test_signed_ranks_are_those_of_the_library(n):
    rng = np.random.default_rng(n)
    for d in rng.normal(0.5, 1, size=(5, n)):
        assert BY_HAND["signed_rank_p"](d) == pytest.approx(stats.wilcoxon(d).pvalue)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_t_is_that_of_the_library(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(1, 1, size=n)
    assert BY_HAND["t_test_p"](x, y) == pytest.approx(stats.ttest_rel(x, y).pvalue)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_that_of_the_package(p):
    assert BY_HAND["holm_by_hand"](p) == holm(p)


@pytest.mark.slow
def test_false_alarms_of_seeds_that_differ_on_every_picture():
    """Images agree on whatever a seed's luck is, so their test always alarms; the seeds' own test does not."""
    results = [
        made("default", seed, shift=luck) for seed, luck in enumerate((-0.02, -0.01, 0.0, 0.013, 0.021, 0.04))
    ]
    alarms = BY_HAND["false_alarms"](results)
    assert np.mean(alarms["pictures"]) == pytest.approx(
        0.5
    )  # all of the one score with luck, none of the other
    assert np.mean(alarms["seeds"]) < 0.25  # not 0: halves of so few seeds can differ evenly, pair by pair


@pytest.mark.parametrize(("seeds", "divisions"), [(1, 0), (2, 1), (3, 3), (4, 3), (5, 15)])
def test_every_division_of_the_seeds_of_every_row_counts_once(seeds, divisions):
    """A group of one seed has no scatter, so that the test over seeds needs four of a row."""
    rng = np.random.default_rng(seeds)
    results = [
        replace(
            plain, scores={p: {m: x + rng.normal() for m, x in of.items()} for p, of in plain.scores.items()}
        )
        for plain in (made(row, seed) for row in ("default", "mine") for seed in range(seeds))
    ]
    alarms = BY_HAND["false_alarms"](results)
    assert len(alarms["pictures"]) == 2 * 2 * divisions  # rows and scores
    assert len(alarms["seeds"]) == (2 * 2 * divisions if seeds > 3 else 0)


def test_the_quiz_is_right_about_the_shipped_results():
    alarms = BY_HAND["false_alarms"](Store(SHIPPED_RESULTS).results())
    assert np.mean(alarms["pictures"]) > 1 / 3
