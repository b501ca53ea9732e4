"""Ranks by hand, and a table that survives as text, JSON and CSV."""

import csv
import json
import math
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambadfuse.evaluation.published import published, published_sets
from mambadfuse.evaluation.table import BASELINE, PUBLISHED, RESULT, Method, rank, summarise
from mambadfuse.metrics import ALL


def method(name, scores, kind=RESULT):
    """A method with these scores of the images p, q, ..."""
    of_each = dict(zip("pqrstu", scores, strict=False))
    return Method(name, kind, *summarise(of_each, of_each), of_each)


def table(*methods, metrics=("EN", "MSE"), pictures="p"):
    return rank(methods, metrics, list(pictures), "literature")


A = method("A", [{"EN": 1.0, "MSE": 5.0}])
B = method("B", [{"EN": 2.0, "MSE": 9.0}], BASELINE)
C = method("C", [{"EN": 2.0, "MSE": 1.0}])
ELSEWHERE = Method("A", PUBLISHED, {"EN": 3.0}, {}, {}, "a journal")


def test_ranks_by_hand():
    found = table(A, B, C)
    assert found.ranks == {
        "A": {"EN": 3, "MSE": 2},
        "B (baseline)": {"EN": 1, "MSE": 3},  # EN: a tie for the first place
        "C": {"EN": 1, "MSE": 1},  # MSE: the lowest is the best
    }
    assert found.mean_ranks == {"A": 2.5, "B (baseline)": 2.0, "C": 1.0}
    assert [one.name for one in found.methods] == ["C", "B", "A"]


def test_a_published_row_counts_where_it_has_a_score():
    found = table(A, B, C, ELSEWHERE)
    assert found.ranks["A (published)"] == {"EN": 1}
    assert found.ranks["A"] == {"EN": 4, "MSE": 2}
    assert found.mean_ranks == {
        "A (published)": 1,
        "B (baseline)": 2,
        "C": 2,
        "A": 4,
    }  # over EN, which all have


def test_infinite_is_best_and_undefined_is_last():
    found = table(
        method("good", [{"PSNR": math.inf}, {"PSNR": 30.0}]),
        method("odd", [{"PSNR": math.inf}, {"PSNR": -math.inf}]),
        method("fair", [{"PSNR": 20.0}, {"PSNR": 40.0}]),
        metrics=("PSNR",),
        pictures="pq",
    )
    assert found.mean_ranks == {"good": 1, "fair": 2, "odd": 3}
    good, fair, odd = found.methods
    assert good.means["PSNR"] == math.inf
    assert math.isnan(good.stds["PSNR"])
    assert math.isnan(odd.means["PSNR"])
    assert (fair.means["PSNR"], fair.stds["PSNR"]) == (30, 10)


NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8)


@given(numbers=NUMBERS, data=st.data())
def test_ranks_depend_neither_on_order_nor_on_scale(numbers, data):
    methods = [method(str(k), [{"EN": x}]) for k, x in enumerate(numbers)]
    found = table(*methods, metrics=("EN",))
    shuffled = data.draw(st.permutations(methods))
    assert table(*shuffled, metrics=("EN",)).ranks == found.ranks
    doubled = [method(str(k), [{"EN": 2 * x}]) for k, x in enumerate(numbers)]
    assert table(*doubled, metrics=("EN",)).ranks == found.ranks
    ranks = sorted(own["EN"] for own in found.ranks.values())
    assert ranks[0] == 1
    assert all(rank == 1 + sum(other < rank for other in ranks) for rank in ranks)


def test_mean_and_standard_deviation_by_hand():
    scores = {"p": {"EN": 1.0}, "q": {"EN": 5.0}, "r": {"EN": 100.0}}
    assert summarise(scores, ["p", "q"]) == ({"EN": 3.0}, {"EN": 2.0})


def test_text():
    lines = str(table(A, B, C, ELSEWHERE)).splitlines()
    assert lines[0] == "1 image, convention literature; * is the best mean, rank 1 the best rank"
    assert lines[2].split() == ["mean", "mean", "rank", "EN", "MSE"]
    assert lines[3].split() == ["A", "(published)", "1.00", "3.000*"]
    assert lines[5].split() == ["C", "2.00", "2.000", "1.000*"]
    assert lines[-1] == "A: a journal"
    assert "published" not in "".join(
        lines[lines.index("") + 6 : lines.index("") + 11]
    )  # no deviations of it


def special():
    first = {"PSNR": math.inf, "EN": 0.1}
    return table(
        method('é, "x"', [first, {"PSNR": 1 / 3, "EN": 0.2}]),
        Method("A", PUBLISHED, {"EN": 3.0}, {}, {}, "a journal"),
        metrics=("EN", "PSNR"),
        pictures="pq",
    )


def test_json_is_valid_and_keeps_every_bit():
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    read = json.loads(special().to_json(), parse_constant=refuse)
    assert (read["convention"], read["metrics"], read["pictures"]) == (
        "literature",
        ["EN", "PSNR"],
        ["p", "q"],
    )
    journal, ours = read["methods"]
    assert ours["name"] == 'é, "x"'
    assert ours["scores"]["p"] == {"PSNR": "inf", "EN": 0.1}
    assert ours["scores"]["q"]["PSNR"] == 1 / 3
    assert float(ours["means"]["PSNR"]) == math.inf
    assert math.isnan(float(ours["stds"]["PSNR"]))
    assert (ours["ranks"], ours["mean_rank"]) == ({"EN": 2, "PSNR": 1}, 2)
    assert (journal["kind"], journal["source"], journal["means"]) == ("published", "a journal", {"EN": 3})


def test_csv_keeps_every_bit():
    rows = list(csv.DictReader(StringIO(special().to_csv())))
    of_ours = {(row["what"], row["picture"]): row for row in rows if row["method"] == 'é, "x"'}
    assert of_ours.keys() == {("score", "p"), ("score", "q"), ("mean", ""), ("std", ""), ("rank", "")}
    assert float(of_ours["score", "q"]["PSNR"]) == 1 / 3
    assert float(of_ours["score", "p"]["PSNR"]) == math.inf
    assert of_ours["std", ""]["PSNR"] == ""
    assert of_ours["rank", ""]["EN"] == "2"
    journal = [row for row in rows if row["kind"] == "published" and row["what"] == "mean"]
    assert [(row["EN"], row["PSNR"]) for row in journal] == [("3.0", "")]


@pytest.mark.parametrize("start", list("=+-@"))
def test_no_name_is_a_formula_for_a_spreadsheet(start):
    name = f"{start}1+1"
    one = Method(name, RESULT, {"EN": 1.0}, {"EN": 0.0}, {name: {"EN": 1.0}})
    text = table(one, metrics=("EN",), pictures=[name]).to_csv()
    _, *rows = csv.reader(StringIO(text))
    assert {row[0] for row in rows} == {f"'{name}"}
    assert {row[3] for row in rows} == {f"'{name}", ""}


@pytest.mark.parametrize("name", published_sets())
def test_published_rows_are_complete(name):
    found = published(name)
    assert str(found.pairs) in name
    assert len({row.method for row in found.rows}) == len(found.rows) > 0
    for row in found.rows:
        assert row.source
        assert row.means
        assert row.means.keys() <= set(ALL)
    for means in found.baselines.values():
        assert means.keys() <= set(ALL)


def test_well_known_published_rows():
    by_name = {row.method: row for row in published("TNO-25").rows}
    assert by_name["CDDFuse"].means["VIF"] == 0.77
    assert "CVPR 2023" in by_name["CDDFuse"].source
    assert by_name["U2Fusion"].means["EN"] == 6.879
    assert published("RoadScene-50").baselines["maximum"]["MI"] == 5.111


def test_unknown_set_is_named():
    with pytest.raises(ValueError, match=r"no published rows for 'TNO'.*TNO-25"):
        published("TNO")
