"""The table of an ablation on synthetic results with a known answer."""

import csv
import json
import math
from dataclasses import replace
from io import StringIO
from itertools import product

import numpy as np
import pytest
from test_ablation_store import RESULT

from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, read_table
from mambadfuse.ablation.report import holm

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


def test_significance_over_images_and_over_seeds_is_distinguished(table):
    marks = {line.row: line.effects["VIF"].mark for line in table.lines[1:]}
    assert marks == {"better": "**", "lucky": "*", "same": ""}
    assert all(line.effects["SSIM"].mark == "" for line in table.lines[1:])


def test_p_values_by_hand(table):
    """All twelve images gain: 2 of 2^12 sign patterns are as extreme. Of three rows the smallest p counts threefold."""
    effects = {line.row: line.effects["VIF"] for line in table.lines[1:]}
    assert effects["better"].p_pictures == pytest.approx(3 * 2 / 2**12)
    assert effects["same"].p_pictures == 1
    t = 0.1 / (
        0.001 * math.sqrt(2 / 3)
    )  # means of three seeds, standard deviation 0.001, 4 degrees of freedom
    y = t / math.sqrt(4 + t * t)
    assert effects["better"].p_seeds == pytest.approx(3 * (1 - 1.5 * y + 0.5 * y**3), rel=1e-3)
    assert effects["same"].p_seeds == 1


def test_a_single_seed_has_no_spread_and_no_p_value(one_seed):
    assert math.isnan(one_seed.lines[0].spreads["VIF"])
    assert math.isnan(one_seed.lines[1].effects["VIF"].p_seeds)
    assert one_seed.lines[1].effects["VIF"].mark == "*"
    assert "±" not in str(one_seed).split("\n\n")[1].split("\n", 1)[1]


@pytest.mark.slow
def test_the_last_of_two_results_of_one_run_counts():
    again = [*RESULTS, made("better", 0, 0.2, SHIFTS[0])]
    assert compare(again).lines[1].means["VIF"] == pytest.approx(0.555 + 0.1 + 0.1 / 3)
    assert compare(again).lines[1].seeds == (0, 1, 2)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([math.nan, 0.02])[1] == 0.02
    assert math.isnan(holm([math.nan, 0.02])[0])
    assert holm([]) == []


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
    assert "12 validation images" in text
    assert "Wilcoxon signed-rank test" in text
    assert "Student's t-test" in text
    assert "Holm-corrected for 3 rows" in text
    row = next(line for line in text.split("difference from default")[1].splitlines() if "better" in line)
    assert row.split() == ["better", "+0.100**", "+0.000"]


def test_json_and_csv_hold_all_numbers(one_seed):
    content = json.loads(one_seed.to_json())
    assert content["lines"][0]["spreads"]["VIF"] == "nan"
    assert content["lines"][1]["effects"]["VIF"]["difference"] == pytest.approx(0.1)
    rows = list(csv.DictReader(StringIO(one_seed.to_csv())))
    assert [row["what"] for row in rows if row["row"] == "better"] == [
        "mean",
        "spread",
        "difference",
        "p_pictures",
        "p_seeds",
    ]
    [difference] = [row for row in rows if (row["row"], row["what"]) == ("better", "difference")]
    assert float(difference["VIF"]) == one_seed.lines[1].effects["VIF"].difference
    assert difference["seeds"] == "1"


def test_the_shipped_results_belong_to_the_shipped_table():
    results = Store(SHIPPED_RESULTS).results()
    table, rows = compare(results), read_table()
    assert {line.row for line in table.lines} == rows.keys() - {"depth-half"}  # one block cannot be halved
    assert all(len(line.seeds) >= 3 for line in table.lines)
    assert len(table.pictures) == 20
    assert SHIPPED_RESULTS.stat().st_size < 1_000_000
