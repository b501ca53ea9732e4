"""The scatter of a table against layouts by hand, and what it does to false alarms and coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mambadfuse.ablation.scatter import scatter
from mambadfuse.ablation.statistics import LEVEL
from mambadfuse.ablation.verdicts import effects

SCORES = np.array([[3.0, 5.0, 4.0, 8.0], [2.0, 6.0, 3.0, 9.0], [1.0, 4.0, 4.0, 3.0]])  # (rows, seeds)


def by_seed(scores):
    return [dict(enumerate(map(float, row))) for row in scores]


def as_images(scores):
    return {seed: np.full(2, x) for seed, x in enumerate(scores)}


def compared(scores, **options):
    """The effects of all rows but the first, which is the baseline."""
    baseline, *rows = map(as_images, scores)
    return effects(rows, baseline, "VIF", **options)


def test_a_full_table_by_hand():
    """Residuals are what is left of a score less the means of its row and of its seed, plus that of all."""
    left = SCORES - SCORES.mean(1, keepdims=True) - SCORES.mean(0, keepdims=True) + SCORES.mean()
    pooled, own = (left**2).sum() / (2 * 3), (left**2).sum(1) / (3 * 2 / 3)
    found = scatter(by_seed(SCORES))
    assert found.freedom == 6
    assert found.variances == pytest.approx(np.maximum(pooled, own))
    assert max(own) > pooled > min(own)


def test_a_table_with_missing_seeds_is_fitted_by_least_squares():
    rows = by_seed(SCORES)
    del rows[2][3], rows[1][0]
    runs = [(r, seed, x) for r, scores in enumerate(rows) for seed, x in scores.items()]
    design = np.array(
        [[r == i for i in range(3)] + [seed == k for k in (1, 2, 3)] for r, seed, _ in runs], float
    )
    x = np.array([score for *_, score in runs])
    left = x - design @ np.linalg.lstsq(design, x)[0]
    found = scatter(rows)
    assert found.freedom == 10 - 6
    assert min(found.variances) == pytest.approx((left**2).sum() / 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8))
def test_with_one_row_it_is_the_paired_t_test(pairs):
    row, baseline = np.transpose(pairs)
    if np.std(row - baseline) < 1e-3:
        return
    [pooled], [alone] = compared([baseline, row]), compared([baseline, row], pool=False)
    assert pooled.seeds.p == pytest.approx(stats.ttest_rel(row, baseline).pvalue, abs=1e-9)
    assert (pooled.seeds.low, pooled.seeds.high) == pytest.approx((alone.seeds.low, alone.seeds.high))


def test_seeds_that_only_one_row_has_tell_nothing():
    rows = by_seed(SCORES)
    rows[0] |= {7: 50.0, 8: -50.0}
    assert scatter(rows).variances == pytest.approx(scatter(by_seed(SCORES)).variances)


def test_what_all_rows_share_is_no_scatter():
    shifted = SCORES + np.array([[10.0], [0.0], [-5.0]]) + np.array([100.0, -3.0, 0.0, 7.0])
    assert scatter(by_seed(shifted)).variances == pytest.approx(scatter(by_seed(SCORES)).variances)


def test_a_row_that_scatters_more_keeps_its_own_interval_and_one_that_scatters_less_has_that_of_the_table():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(12, 5)) * np.array([1, 8, 0.01, *[1] * 9])[:, None]
    wide, narrow, *rest = (one.seeds for one in compared(scores))
    typical = np.median([one.spread for one in rest])
    assert wide.spread > 1.5 * typical
    assert narrow.spread == pytest.approx(min(one.spread for one in rest))
    assert {one.freedom for one in (wide, narrow, *rest)} == {44}


def test_one_seed_each_tells_nothing():
    found = scatter([{0: 1.0}, {0: 2.0}])
    assert (found.freedom, math.isnan(found.variances[0])) == (0, True)
    assert math.isnan(compared([[1.0], [2.0]])[0].seeds.low)


def test_two_seeds_have_an_interval_but_no_verdict():
    rng = np.random.default_rng(1)
    baseline, *rows = map(as_images, rng.normal(size=(6, 4)))
    few = {seed: 50 + rows[0][seed] for seed in (0, 1)}
    found = effects([few, *rows[1:]], baseline, "VIF")[0]
    assert (found.seeds.n, found.seeds.freedom) == (2, 13)
    assert found.seeds.low > 0
    assert (found.verdict, math.isnan(found.p)) == ("open", True)


EQUAL = [1.0] * 18
FROM_ROADSCENE = [
    72,
    69,
    52,
    45,
    35,
    73,
    45,
    31,
    123,
    60,
    9,
    3,
    17,
    56,
    74,
    23,
    43,
    10,
]  # standard deviations of Qabf


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spreads", "seeds"),
    [(EQUAL, 3), (EQUAL, 5), ([1.5, *EQUAL[1:]], 5), ([1.0, 2.0, *EQUAL[2:]], 5), (FROM_ROADSCENE, 5)],
    ids=["alike-3", "alike-5", "baseline-more", "one-row-more", "as-first-measured"],
)
def test_of_a_hundred_tables_without_a_difference_at_most_five_have_a_mark(spreads, seeds):
    """Seventeen placebo rows a table; the allowance is two standard errors of 400 tables."""
    rng = np.random.default_rng(0)
    tables, level = 400, np.array(spreads)[:, None]
    found = [compared(level * rng.normal(size=(18, seeds)) + rng.normal(size=seeds)) for _ in range(tables)]
    alarms = sum(any(one.mark for one in table) for table in found) / tables
    assert alarms <= LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / tables)
    covered = [one.seeds.low <= 0 <= one.seeds.high for table in found for one in table]
    assert np.mean(covered) >= 0.93  # lowest where the baseline scatters more than the rest


@pytest.mark.slow
def test_rows_that_differ_by_the_margin_are_rarely_called_equal():
    rng = np.random.default_rng(0)
    margin, wrong = 3.0, 0
    for _ in range(400):
        scores = rng.normal(size=(18, 5))
        scores[1:] += margin
        wrong += any(one.verdict == "equal" for one in compared(scores, margin=margin))
    assert wrong / 400 <= 0.07


@pytest.mark.slow
def test_five_seeds_of_a_table_see_a_difference_that_those_of_a_row_do_not():
    """A difference of three standard deviations, one row of seventeen."""
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(18, 5)) + np.array([0, 3, *[0] * 16])[:, None] for _ in range(100)]
    seen = {
        pool: sum(compared(scores, pool=pool)[0].verdict == "better" for scores in tables)
        for pool in (True, False)
    }
    assert seen[True] >= 75
    assert seen[False] <= 50
