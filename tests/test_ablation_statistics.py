"""Intervals, tests and corrections against formulas by hand, and how often they raise a false alarm."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_ablation_store import RESULT

from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, false_alarms, read_margins
from mambadfuse.ablation.conclusions import conclusions
from mambadfuse.ablation.convergence import convergence, has_learnt
from mambadfuse.ablation.interactions import designs, interactions
from mambadfuse.ablation.placebo import placebo_effects
from mambadfuse.ablation.statistics import LEVEL, equivalence_p, estimate, holm, holm_of_alternatives
from mambadfuse.ablation.verdicts import effects

ROOT = Path(__file__).parents[1]
FINITE = st.floats(-1e3, 1e3, allow_subnormal=False)


def row(*of_seeds, images=4):
    """The scores of one row: seeds 0, 1, ... with the same score on every image."""
    return {seed: np.full(images, score) for seed, score in enumerate(of_seeds)}


def test_an_interval_by_hand():
    """Three differences of mean 2 and standard deviation 1; t(0.975, 2) = 4.302653 from a printed table."""
    found = estimate([1, 2, 3])
    half = 4.302653 / math.sqrt(3)
    assert (found.n, found.mean, found.effect_size) == (3, 2, 2)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    t = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))  # two degrees of freedom


def test_equal_differences_and_too_few_of_them():
    assert (estimate([0, 0, 0]).p, estimate([0, 0, 0]).effect_size) == (1, 0)
    assert (estimate([-1, -1]).p, estimate([-1, -1]).effect_size) == (0, -math.inf)
    assert estimate([3]).mean == 3
    assert math.isnan(estimate([3]).low)
    assert math.isnan(estimate([3]).p)
    assert math.isnan(estimate([]).mean)
    assert math.isnan(equivalence_p(estimate([3]), 1))


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=2, max_size=8).filter(lambda d: np.std(d) > 1e-3))
def test_p_is_that_of_the_library_and_agrees_with_the_interval(differences):
    found = estimate(differences)
    assert found.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=1e-9)
    if abs(found.p - LEVEL) > 1e-6:
        assert (found.p < LEVEL) == (not found.low <= 0 <= found.high)


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=2, max_size=8).filter(lambda d: np.std(d) > 1e-3), st.floats(0.1, 1e3))
def test_equivalence_is_two_one_sided_tests(differences, margin):
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert equivalence_p(estimate(differences), margin) == pytest.approx(max(above, below), abs=1e-9)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([math.nan, 0.02])[1] == 0.02
    assert math.isnan(holm([math.nan, 0.02])[0])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("scores", "metric", "margin", "verdict"),
    [
        ((0.60, 0.61, 0.60), "VIF", math.nan, "better"),
        ((0.40, 0.41, 0.40), "VIF", math.nan, "worse"),
        ((0.60, 0.61, 0.60), "MSE", math.nan, "worse"),
        ((0.60, 0.61, 0.60), "halo", math.nan, "worse"),
        ((0.50, 0.51, 0.50), "VIF", math.nan, "open"),
        ((0.501, 0.501, 0.502), "VIF", 0.05, "equal"),
        ((0.60, 0.61, 0.60), "VIF", 0.5, "equal"),
        ((0.60, 0.61, 0.60), "VIF", 0.01, "better"),
        ((0.45, 0.61, 0.40), "VIF", 0.05, "open"),
        ((0.60, 0.60), "VIF", 0.5, "open"),
        ((), "VIF", 0.5, "open"),
    ],
)
def test_verdicts(scores, metric, margin, verdict):
    [effect] = effects([row(*scores)], row(0.5, 0.5, 0.5), metric, margin)
    assert effect.verdict == verdict
    assert effect.mark == {"better": "*", "worse": "*", "equal": "=", "open": ""}[verdict]


def test_only_seeds_that_both_have_are_compared():
    [effect] = effects(
        [{1: np.array([3.0]), 9: np.array([50.0])}], {1: np.array([2.0]), 2: np.array([7.0])}, "EN"
    )
    assert (effect.seeds.n, effect.difference) == (1, 1.0)


def test_p_is_corrected_for_the_rows():
    rows = [row(0.80, 0.81, 0.80), row(0.5, 0.4, 0.6), row(0.7, 0.2, 0.3)]
    found = effects(rows, row(0.5, 0.5, 0.5), "VIF")
    assert found[0].seeds.p < LEVEL
    assert found[0].p == pytest.approx(3 * found[0].seeds.p)


def test_the_spread_over_images_is_another_one():
    """Seeds agree and images do not: the first image gains, the second loses."""
    gain = np.array([0.1, -0.1])
    [effect] = effects([dict.fromkeys(range(3), 0.5 + gain)], dict.fromkeys(range(3), 0.5 + 0 * gain), "VIF")
    assert (effect.seeds.low, effect.seeds.high) == pytest.approx((0, 0))
    half = 12.7062 * 0.1  # t(0.975, 1) times a standard error of 0.1
    assert (effect.pictures.low, effect.pictures.high) == pytest.approx((-half, half), rel=1e-4)


def test_false_alarms_in_placebo_comparisons_are_rare():
    """Of 100 tables of ten rows that differ from the baseline by chance alone, in each one metric."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        runs = rng.normal(0.5, 0.02, size=(11, 3))
        base, *placebos = [row(*of_seeds) for of_seeds in runs]
        alarms += any(effect.verdict != "open" for effect in effects(placebos, base, "VIF"))
    assert alarms <= 5


def test_false_alarms_of_single_comparisons_are_as_many_as_promised():
    rng = np.random.default_rng(1)
    found = [
        effects([row(*rng.normal(0.5, 0.02, 3))], row(*rng.normal(0.5, 0.02, 3)), "VIF")[0].verdict
        for _ in range(2000)
    ]
    assert found.count("open") / len(found) == pytest.approx(0.95, abs=0.015)


def test_false_equivalence_is_rare():
    """The true difference is the margin itself: the worst case of equivalence."""
    rng = np.random.default_rng(2)
    found = [
        effects([row(*rng.normal(0.52, 0.01, 5))], row(*[0.5] * 5), "VIF", 0.02)[0].p_equal
        for _ in range(2000)
    ]
    assert np.mean(np.array(found) < LEVEL) == pytest.approx(0.05, abs=0.015)


def trained(name, *of_seeds):
    """Results of a row in one metric: seeds 0, 1, ... with these scores, the same on two images."""
    return [
        replace(RESULT, row=name, seed=seed, means={"VIF": x}, scores={p: {"VIF": x} for p in ("a", "b")})
        for seed, x in enumerate(of_seeds)
    ]


def test_a_placebo_is_paired_in_ascending_order():
    """The first of ten divisions of six seeds is 0, 1, 2 against 3, 4, 5; a seventh seed is left out."""
    found = [effect for _, effect in placebo_effects(trained("default", 1, 2, 3, 5, 7, 9, 0))]
    assert len(found) == 10
    assert found[0].seeds == estimate([1 - 5, 2 - 7, 3 - 9])


def test_every_division_of_ten_seeds_counts_once_whatever_the_other_rows_have():
    rng = np.random.default_rng(5)
    results = [*trained("default", *rng.normal(size=10)), *trained("norm-once", *rng.normal(size=5))]
    alarms, comparisons = false_alarms(results)
    assert comparisons == math.comb(10, 5) / 2
    assert alarms <= 0.2 * comparisons
    assert false_alarms(results, rows=10**6) == (0, comparisons)


@pytest.mark.slow
def test_a_placebo_of_ten_seeds_finds_five_per_cent_on_average():
    """Each share is rough, as its docstring says; their mean over many ablations is the level."""
    rng = np.random.default_rng(6)
    shares = []
    for _ in range(60):
        alarms, comparisons = false_alarms(trained("default", *rng.normal(0.5, 0.02, 10)))
        shares.append(alarms / comparisons)
    assert np.mean(shares) == pytest.approx(LEVEL, abs=0.015)
    low, high = np.quantile(shares, [0.05, 0.95])
    assert low < 0.02
    assert 0.06 < high < 0.14


def test_false_alarms_over_the_shipped_seeds():
    """At most five of a hundred, corrected as the table is, once ``default`` has the seeds to count them."""
    results = Store(SHIPPED_RESULTS).results()
    rows = len({result.row for result in results}) - 1
    seeds = [result.seed for result in results if result.row == "default"]
    if len(seeds) < 6:
        with pytest.raises(ValueError, match=f"at least six seeds, found {len(seeds)}"):
            false_alarms(results)
        return
    alarms, comparisons = false_alarms(results, rows=rows)
    half = len(seeds) // 2
    assert comparisons == len(results[0].means) * math.comb(2 * half, half) / 2
    assert alarms <= 0.05 * comparisons
    assert false_alarms(results)[0] <= 0.1 * comparisons


def test_a_placebo_needs_six_seeds():
    with pytest.raises(ValueError, match="at least six seeds, found 3"):
        false_alarms([replace(RESULT, row="default", seed=seed) for seed in range(3)])


def test_conclusions_name_each_row_once_and_failures_only_where_there_are_any():
    verdicts = {"a": "better", "b": "worse", "c": "equal", "d": "open", "e": "not learnt", "f": "open"}
    assert conclusions(verdicts) == [
        "rows with an answer: 4 of 6",
        "against default (better): a",
        "for default (worse): b",
        "does not matter (equal): c",
        "undecided (open): d, f",
        "fails to learn (not learnt): e",
    ]
    assert len(conclusions({"a": "open"})) == 5


def test_the_page_says_what_a_verdict_costs():
    """With seventeen rows, the standard deviations by which a difference must stand out."""
    page = " ".join((ROOT / "docs" / "ablation.md").read_text(encoding="utf-8").split())
    wanted = {n: stats.t.isf(LEVEL / 2 / 17, 17 * (n - 1)) / math.sqrt(n) for n in (3, 5, 10)}
    assert (
        f"{wanted[3]:.1f} with three seeds, {wanted[5]:.1f} with five and {wanted[10]:.1f} with ten" in page
    )
    for freedom, words in ((4, "errors, and {:.1f} after"), (68, "errors, {:.1f} after")):
        bare, corrected = stats.t.isf(LEVEL / 2, freedom), stats.t.isf(LEVEL / 2 / 17, freedom)
        assert f"takes {bare:.2f} standard {words.format(corrected)} the correction" in page
    equal = {n: math.sqrt(n) / stats.t.isf(LEVEL / 17, 17 * (n - 1)) for n in (3, 5, 10)}
    assert (
        f"{equal[3]:.2f} of the margin with three seeds, {equal[5]:.2f} with five and {equal[10]:.2f} with ten"
        in page
    )


def test_two_seeds_of_a_row_differ_by_about_the_margin():
    """Which is why docs/ablation.md calls the margin tight."""
    report = compare(Store(SHIPPED_RESULTS).results(), read_margins(["2%"]), "Qabf")
    spreads = [line.spreads["Qabf"] for line in report.lines if len(line.seeds) > 1]
    assert 0.4 < math.sqrt(2) * np.median(spreads) / report.lines[1].effects["Qabf"].margin < 2


def test_a_row_that_is_better_than_the_default_has_its_reason_on_the_page():
    report = compare(Store(SHIPPED_RESULTS).results(), read_margins(["2%"]), "Qabf")
    page = (ROOT / "docs" / "ablation.md").read_text(encoding="utf-8")
    reasons = page.partition("## What follows for the preset")[2].partition("\n## ")[0]
    assert reasons
    for row, verdict in report.verdicts.items():
        assert verdict != "better" or f"`{row}`" in reasons, row


def test_margins():
    margins = read_margins(["2%", "VIF=0.01", "SD=5%"])
    assert margins("EN", 7) == pytest.approx(0.14)
    assert margins("VIF", 0.5) == 0.01
    assert margins("SD", -40) == pytest.approx(2)
    assert math.isnan(read_margins(["VIF=1"])("EN", 7))


@pytest.mark.parametrize(
    "text", ["0.01", "VIF=", "VIF=-1", "VIF=nan", "VIF=x%", "0%", "VFI=1", "vif=2%", " =2%", "faults=1"]
)
def test_wrong_margins_are_refused(text):
    with pytest.raises(ValueError, match="margin"):
        read_margins([text])


def test_an_interaction_by_hand():
    """A adds 1, B adds 2, both together add 10: the interaction is 7, with a scatter of 1."""
    means = {
        "default": {0: 0.0, 1: 0.0, 2: 0.0, 3: 99.0},
        "a": {0: 1.0, 1: 1.0, 2: 1.0},
        "b": {0: 2.0, 1: 2.0, 2: 2.0},
        "a+b": {0: 9.0, 1: 10.0, 2: 11.0},
    }
    [found] = interactions(means, "default", [("a", "b", "a+b")])
    assert (found.seeds.n, found.seeds.mean, found.seeds.effect_size) == (3, 7, 7)
    assert found.p == pytest.approx(stats.ttest_1samp([6, 7, 8], 0).pvalue)
    assert found.mark == "*"


def test_designs_need_the_same_changes():
    base = {"x": 1, "y": 1, "z": 1}
    rows = {
        "x": {"x": 2},
        "y": {"y": 2},
        "x3": {"x": 3},
        "xy": {"x": 2, "y": 2},
        "xyz": {"x": 2, "y": 2, "z": 2},
    }
    configs = {"default": base, **{name: base | changes for name, changes in rows.items()}}
    assert designs(configs, "default") == [("x", "y", "xy")]


def run(losses, sd=40.0):
    curve = [[step, loss] for step, loss in enumerate(losses, 1)]
    return replace(RESULT, curve=curve, means={"SD": sd})


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([10, 5, 2, 1, 1], "converged"),
        ([10, 8, 6, 4, 2], "still falling"),
        ([5, 5, 5, 5, 5], "not learnt"),
        ([5, 6, 7, 8, 9], "not learnt"),
        ([10, 5, math.nan, 1, 1], "not learnt"),
        ([10, 1], "unknown"),
    ],
)
def test_convergence(losses, verdict):
    assert convergence([run(losses)]) == verdict


def test_a_run_that_fuses_to_black_has_not_learnt():
    good, black = run([10, 5, 2, 1, 1]), run([10, 5, 2, 1, 1], sd=0.0)
    assert has_learnt(good)
    assert not has_learnt(black)
    assert convergence([good, black]) == "not learnt"


@pytest.mark.parametrize(
    ("contrast", "likeness", "expected"),
    [(40.0, 0.9, True), (0.5, 0.9, False), (40.0, 0.2, False), (40.0, -0.9, False), (0.0, 0.0, False)],
)
def test_a_run_whose_loss_fell_has_learnt_only_if_its_images_show_their_sources(contrast, likeness, expected):
    """Whatever it is scored by: without an intensity term a loss falls for negatives and for blanks."""
    curve = [[step, 10.0 - step] for step in range(1, 10)]
    result = replace(RESULT, curve=curve, means={"MI": 2.0}, contrast=contrast, likeness=likeness)
    assert has_learnt(result) == expected


def test_two_tests_of_a_row_are_corrected_together():
    """By hand: 0.001 x 3 rows, 0.01 x 3, then row 0 is settled: 0.02 x 2, 0.03 x 2."""
    differs, equal = holm_of_alternatives([0.01, 0.9, 0.03], [0.001, 0.02, math.nan])
    assert differs == pytest.approx([0.03, 0.9, 0.06])
    assert equal == pytest.approx([0.003, 0.04, math.nan], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_without_a_margin_the_correction_is_that_of_holm(p):
    assert holm_of_alternatives(p, [math.nan] * len(p))[0] == pytest.approx(holm(p))


def test_false_verdicts_of_either_kind_are_rare():
    """Half of twelve rows do not differ, the others differ by just the margin: one verdict of these is never true."""
    rng, margin, wrong = np.random.default_rng(0), 1.0, 0
    for _ in range(300):
        base = {seed: np.zeros(1) for seed in range(5)}
        shifts = [0.0] * 6 + [margin] * 6
        rows = [{seed: shift + rng.normal(0, 0.3, 1) for seed in range(5)} for shift in shifts]
        found = [effect.verdict for effect in effects(rows, base, "VIF", margin)]
        wrong += any(v in ("better", "worse") for v in found[:6]) or "equal" in found[6:]
    assert wrong / 300 <= 0.07  # 0.05 and two standard errors
