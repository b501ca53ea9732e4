"""The table of an ablation on synthetic results with a known answer."""

import csv
import json
import math
import re
from dataclasses import replace
from io import StringIO
from itertools import product

import numpy as np
import pytest
from scipy import stats
from test_ablation_store import RESULT

from mambadfuse.ablation import (
    SHIPPED_RESULTS,
    SHIPPED_TABLE,
    SHIPPED_TEST,
    Store,
    compare,
    picture_csv,
    read_margins,
    read_table,
)
from mambadfuse.analysis.ablation_figures import forest_plot

PICTURES = [f"p{k}" for k in range(12)]


def made(row, seed, gain=0.0, shift=0.0):
    """Two scores of twelve images: VIF, with a gain on every image and a shift per seed, and SSIM, without."""
    scores = {
        p: {"VIF": 0.5 + 0.01 * k + gain + shift, "SSIM": 0.9 - 0.01 * k} for k, p in enumerate(PICTURES)
    }
    means = {m: float(np.mean([one[m] for one in scores.values()])) for m in ("VIF", "SSIM")}
    return replace(RESULT, row=row, seed=seed, scores=scores, means=means, seconds=10.0 + seed, memory=seed)


SHIFTS = (-0.001, 0.0, 0.001)  # of three seeds
RESULTS = [
    made(row, seed, gain, shift * scale)
    for (row, gain, scale), (seed, shift) in product(
        [("default", 0.0, 1), ("better", 0.1, 1), ("lucky", 0.002, 30), ("same", 0.0, 1)], enumerate(SHIFTS)
    )
]


@pytest.fixture(scope="module")
def table():
    return compare(RESULTS)


@pytest.fixture(scope="module")
def one_seed():
    return compare([result for result in RESULTS if result.seed == 0])


def test_means_spreads_and_differences(table):
    default, better, *_ = table.lines
    assert [line.row for line in table.lines] == ["default", "better", "lucky", "same"]
    assert default.means["VIF"] == pytest.approx(0.555)
    assert default.spreads["VIF"] == pytest.approx(0.001)
    assert (default.seconds, default.memory, default.seeds, default.effects) == (11.0, 2, (0, 1, 2), {})
    assert better.effects["VIF"].difference == pytest.approx(0.1)


def test_a_difference_counts_over_seeds_not_over_images(table):
    """The row ``lucky`` gains on every image, by the luck of its seeds."""
    effects = {line.row: line.effects["VIF"] for line in table.lines[1:]}
    assert {row: effect.mark for row, effect in effects.items()} == {"better": "*", "lucky": "", "same": ""}
    assert effects["lucky"].pictures.low > 0
    assert all(line.effects["SSIM"].mark == "" for line in table.lines[1:])


def test_p_values_by_hand(table):
    """Seeds shift three rows by 1 and ``lucky`` by 30 times -0.001, 0, 0.001, so by 8.25 times that on average."""
    effects = {line.row: line.effects["VIF"] for line in table.lines[1:]}
    squares = [2e-6 * (1 - 8.25) ** 2] * 3 + [2e-6 * (30 - 8.25) ** 2]
    of_table, of_lucky = sum(squares) / 6, squares[-1] / (2 * 3 / 4)
    t = 0.002 / math.sqrt((of_lucky + of_table) / 3)
    assert effects["lucky"].seeds.p == pytest.approx(2 * stats.t.sf(t, 6))
    assert effects["lucky"].seeds.freedom == 6
    assert effects["lucky"].p == 1
    t = 0.1 / math.sqrt(2 * of_table / 3)
    assert effects["better"].seeds.p == pytest.approx(2 * stats.t.sf(t, 6))
    assert effects["better"].p == pytest.approx(3 * effects["better"].seeds.p)


def test_equal_within_the_margin_is_a_finding():
    """All three have the same margin, 7 % of 0.555; only ``same`` lies within it for sure."""
    found = compare(RESULTS, read_margins(["7%"])).lines[1:]
    verdicts = {line.row: line.effects["VIF"].verdict for line in found}
    assert verdicts == {"better": "better", "lucky": "open", "same": "equal"}
    assert found[0].effects["VIF"].margin == pytest.approx(0.07 * 0.555)


def test_the_primary_metric_is_that_of_the_verdicts(table):
    assert table.primary == "VIF"
    assert "verdicts by SSIM" in str(compare(RESULTS, primary="SSIM"))
    with pytest.raises(ValueError, match="primary metric 'EN': expected one of VIF, SSIM"):
        compare(RESULTS, primary="EN")


def designed():
    """Four rows of three seeds: two changes, alone and together, with an interaction of -0.1."""
    changes = {"default": {}, "a": {"x": 1}, "b": {"y": 1}, "both": {"x": 1, "y": 1}}
    gains = {"default": 0.0, "a": 0.1, "b": 0.1, "both": 0.1}
    return [
        replace(made(row, seed, gains[row], shift), config={"x": 0, "y": 0, "seed": seed} | changes[row])
        for row, (seed, shift) in product(changes, enumerate(SHIFTS))
    ]


def test_two_changes_together_are_an_interaction():
    report = compare(designed())
    [found] = report.interactions["VIF"]
    assert (found.both, found.parts, found.seeds.mean) == ("both", ("a", "b"), pytest.approx(-0.1))
    assert "a + b" in str(report)


def test_images_that_are_not_finite_somewhere_are_left_out_of_that_metric():
    broken = made("better", 0, 0.1)
    scores = {p: dict(one) for p, one in broken.scores.items()}
    scores["p0"]["VIF"] = math.inf
    report = compare([made("default", 0), replace(broken, scores=scores)])
    assert report.lines[1].effects["VIF"].difference == pytest.approx(0.1)
    assert report.lines[0].means["VIF"] == pytest.approx(0.5 + 0.01 * np.mean(range(1, 12)))
    assert report.lines[0].means["SSIM"] == pytest.approx(0.9 - 0.01 * np.mean(range(12)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("nothing", [math.nan, math.inf])
def test_a_metric_that_is_finite_in_no_image_leaves_the_others_as_they_are(seeds, nothing):
    """As a seam of tiles where all images fit into one."""
    runs = [result for result in RESULTS if result.seed < seeds]
    seamless = [
        replace(
            result,
            scores={p: one | {"tile seam": nothing} for p, one in result.scores.items()},
            means={**result.means, "tile seam": nothing},
        )
        for result in runs
    ]
    report = compare(seamless, read_margins(["2%"]))
    assert [line.effects["VIF"] for line in report.lines[1:]] == [
        line.effects["VIF"] for line in compare(runs, read_margins(["2%"])).lines[1:]
    ]
    assert math.isnan(report.lines[0].means["tile seam"])
    assert {line.effects["tile seam"].verdict for line in report.lines[1:]} == {"open"}
    written = [str(report), report.to_markdown(), report.to_latex(), report.to_html(), report.to_csv()]
    assert "nan" not in "".join(written)
    forest_plot(report)


def test_a_single_seed_has_no_spread_and_no_p_value(one_seed):
    assert math.isnan(one_seed.lines[0].spreads["VIF"])
    assert math.isnan(one_seed.lines[1].effects["VIF"].p)
    assert one_seed.lines[1].effects["VIF"].mark == ""
    assert "±" not in str(one_seed).split("\n\n")[1]


def test_a_row_that_lacks_a_seed_is_compared_over_those_it_has():
    """As in an ablation that is still being trained; the correction is for the rows that have enough seeds."""
    report = compare([r for r in RESULTS if (r.row, r.seed) != ("lucky", 2)])
    found = {line.row: line.effects["VIF"] for line in report.lines[1:]}
    assert {row: effect.seeds.n for row, effect in found.items()} == {"better": 3, "lucky": 2, "same": 3}
    assert found["lucky"].difference == pytest.approx(0.002 - 29 * 0.0005)
    assert (found["lucky"].verdict, report.corrected) == ("open", 2)
    assert report.lines[0].seeds == (0, 1, 2)


def test_what_follows_for_the_default_is_said():
    text = str(compare(RESULTS, read_margins(["7%"])))
    assert "rows with an answer: 2 of 3" in text
    for line in (
        "against default (better): better",
        "does not matter (equal): same",
        "undecided (open): lucky",
    ):
        assert line in text.splitlines()


def test_marks_of_other_metrics_are_named_and_decide_nothing():
    """By SSIM all three rows are equal to the baseline; VIF marks two of them."""
    report = compare(RESULTS, read_margins(["7%"]), "SSIM")
    assert set(report.verdicts.values()) == {"equal"}
    text = " ".join(str(report).split())
    assert "marked by other metrics, which decide nothing: better VIF*, same VIF=" in text
    assert "marked by other metrics" not in str(compare(RESULTS))


def test_the_commits_that_trained_it_are_named():
    codes = {0: {}, 1: {"commit": "abc123"}, 2: {"commit": "abc123"}}
    report = compare([replace(result, code=codes[result.seed]) for result in RESULTS])
    assert report.commits == ("abc123",)
    assert report.head.endswith("; trained by the kit of commit abc123")
    assert compare(RESULTS).commits == ()


@pytest.mark.slow
def test_the_last_of_two_results_of_one_run_counts():
    again = [*RESULTS, made("better", 0, 0.2, SHIFTS[0])]
    assert compare(again).lines[1].means["VIF"] == pytest.approx(0.555 + 0.1 + 0.1 / 3)
    assert compare(again).lines[1].seeds == (0, 1, 2)


def test_results_that_were_replaced_may_be_by_other_metrics():
    by_one = [replace(result, means={"VIF": result.means["VIF"]}) for result in RESULTS]
    assert compare([*by_one, *RESULTS]).verdicts == compare(RESULTS).verdicts
    with pytest.raises(ValueError, match="lucky, seed 2: was scored on different metrics"):
        compare([*by_one, *(r for r in RESULTS if (r.row, r.seed) != ("lucky", 2))])


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([made("better", 0)], "no result of the row 'default'"),
        ([], "no result of the row 'default'"),
        (
            [made("default", 0), replace(made("better", 0), budget="gpu")],
            "2 different ablations cannot be compared",
        ),
        (
            [made("default", 0), replace(made("better", 0), scores={})],
            "better, seed 0: was scored on different images",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(results, message):
    with pytest.raises(ValueError, match=message):
        compare(results)


def test_the_text_names_the_tests_and_the_correction(table):
    text = str(table)
    assert "12 images" in text
    assert "t-test over paired seeds" in text
    assert "two one-sided t-tests" in text
    assert "p take the scatter from all rows: 6 degrees of freedom" in text
    assert "Holm-corrected for 3 rows" in text
    row = next(line for line in text.split("difference from default")[1].splitlines() if "better" in line)
    assert row.split() == ["better", "+0.100*", "+0.000"]


def test_json_and_csv_hold_all_numbers(one_seed, table):
    content = json.loads(one_seed.to_json())
    assert content["lines"][0]["spreads"]["VIF"] == "nan"
    assert content["lines"][1]["effects"]["VIF"]["seeds"]["mean"] == pytest.approx(0.1)
    rows = {(line["row"], line["metric"]): line for line in csv.DictReader(StringIO(table.to_csv()))}
    effect = table.lines[1].effects["VIF"]
    found = rows["better", "VIF"]
    assert float(found["difference"]) == effect.difference
    assert (float(found["low"]), float(found["high"])) == (effect.seeds.low, effect.seeds.high)
    assert (found["seeds"], found["paired_seeds"], found["verdict"]) == ("3", "3", "better")
    assert rows["default", "VIF"]["difference"] == rows["default", "VIF"]["verdict"] == ""


def test_scores_of_every_image_as_csv():
    rows = list(csv.DictReader(StringIO(picture_csv(RESULTS))))
    assert len(rows) == len(RESULTS) * len(PICTURES)
    assert rows[1] == {"row": "default", "seed": "0", "picture": "p1", "VIF": "0.509", "SSIM": "0.89"}


def test_the_text_of_the_shipped_results_fits_a_terminal(shipped):
    assert max(map(len, str(shipped).splitlines())) <= 100


def test_markdown_has_a_pipe_table_for_each_block(shipped):
    lines = shipped.to_markdown().splitlines()
    assert sum(line.startswith("| :---") for line in lines) == len(shipped.blocks)
    pipes = [line.count(" | ") for line in lines if line.startswith("| gate-shared")]
    assert pipes == [len(block.lines[0]) - 1 for block in shipped.blocks]


def test_latex_is_balanced_and_escaped(shipped):
    text = shipped.to_latex()
    for name in ("table", "tabular"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") > 0
    assert text.count("\\toprule") == text.count("\\bottomrule") == text.count("\\begin{tabular}")
    assert "crop\\_sizes" in text
    assert "95 \\% over seeds" in text
    for line in text.splitlines():
        if line.endswith(r" \\"):
            cells = re.sub(r"\$(?:\\pm|-)\$", "±", line).replace(" & ", "  ").removesuffix(r" \\")
            assert len(cells) <= 90
    assert "* better or worse: p $<$ 0.05" in text
    assert "(continued)}" in text
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(labels) == text.count("\\begin{table}")
    captions = re.findall(r"\\caption\{([^:(]*)", text)
    assert set(captions) >= {"Scores of the rows", "Differences from default", "Verdicts by Qabf"}


def test_html_does_not_wrap_and_is_escaped(shipped):
    page = shipped._repr_html_()
    assert page.count("<table") == len(shipped.blocks)
    cells = re.findall(r"<t[dh] [^>]*>", page)
    assert cells
    assert all("white-space: nowrap" in one for one in cells)
    assert "p &lt; 0.05" in page


@pytest.fixture(scope="module")
def shipped():
    return compare(Store(SHIPPED_RESULTS).results())


def test_the_shipped_results_belong_to_the_shipped_table(shipped):
    assert [line.row for line in shipped.lines] == list(read_table(SHIPPED_TABLE))
    seeds = shipped.lines[0].seeds
    assert len(seeds) >= 3
    assert all(set(line.seeds) <= set(seeds) for line in shipped.lines)
    assert len(shipped.pictures) == 20
    assert len(shipped.commits) == 1
    assert SHIPPED_RESULTS.stat().st_size < 7_000 * len(Store(SHIPPED_RESULTS).results())


def test_the_shipped_test_results_are_of_the_same_weights():
    """Whatever was tested is in the table that rows are chosen by; nothing but its images and clock differs."""
    chosen = {(result.row, result.seed): result for result in Store(SHIPPED_RESULTS).results()}
    tested = Store(SHIPPED_TEST).results()
    assert {result.split for result in tested} == {"test"}
    assert len({(result.row, result.seed) for result in tested}) == len(tested)
    for result in tested:
        same = chosen[result.row, result.seed]
        measured = ("means", "scores", "contrast", "likeness", "seconds", "memory", "pairs", "split")
        assert replace(result, **{name: getattr(same, name) for name in measured}) == same
        assert result.pairs.startswith(f"{same.pairs}+")
    assert len(compare(tested).pictures) == 25


def test_a_row_that_has_not_learnt_is_said_to_rather_than_compared():
    """Its images are negatives: the loss fell, the scores look like any others."""
    curve = [[step, 10.0 - step] for step in range(1, 10)]
    learnt = [replace(result, curve=curve, contrast=40.0, likeness=0.9) for result in RESULTS]
    failed = [
        replace(result, likeness=-0.9) if (result.row, result.seed) == ("better", 1) else result
        for result in learnt
    ]
    report = compare(failed, read_margins(["7%"]))
    verdicts = {line.row: line.effects["VIF"].verdict for line in report.lines[1:]}
    assert verdicts == {"better": "not learnt", "lucky": "open", "same": "equal"}
    assert report.lines[1].not_learnt == (1,)
    assert math.isnan(report.lines[1].effects["VIF"].difference)
    assert report.corrected == 2
    forest = forest_plot(report).axes[0]
    assert [label.get_text() for label in forest.get_yticklabels()][-1] == "better"
    assert [text.get_text() for text in forest.texts] == ["not learnt"]
    assert re.search(r"better +3 .* 1/3 not learnt", str(report))
    assert re.search(r"better +not learnt$", str(report), re.MULTILINE)


def test_where_no_run_of_the_default_has_learnt_all_rows_are_open():
    report = compare([replace(r, contrast=0.1) if r.row == "default" else r for r in RESULTS])
    assert set(report.verdicts.values()) == {"open"}
    assert [line.effects["VIF"].seeds.n for line in report.lines[1:]] == [0, 0, 0]
    assert re.search(r"default +3 .* 3/3 not learnt", str(report))


def test_nothing_is_compared_with_a_run_of_the_default_that_has_not_learnt():
    failed = [
        replace(result, contrast=0.1) if (result.row, result.seed) == ("default", 2) else result
        for result in RESULTS
    ]
    report = compare(failed)
    assert [line.effects["VIF"].seeds.n for line in report.lines[1:]] == [2, 2, 2]
    assert re.search(r"default +3 .* 1/3 not learnt", str(report))


def test_a_run_of_the_default_that_has_not_learnt_is_in_no_interaction():
    blank = [
        replace(made("default", 2, -0.4), config=result.config, contrast=0.1)
        if (result.row, result.seed) == ("default", 2)
        else result
        for result in designed()
    ]
    [found] = compare(blank).interactions["VIF"]
    assert (found.seeds.n, found.seeds.mean, found.mark) == (2, pytest.approx(-0.1), "")
