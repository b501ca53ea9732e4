"""Tables of faults: means and worst images by hand, and what survives as text, JSON and CSV."""

import csv
import json
import math
from io import StringIO

import pytest

from mambadfuse.evaluation.fault_table import COLUMNS, tabulate
from mambadfuse.evaluation.faults import FAULTS, FAULTS_OF_FUSING
from mambadfuse.evaluation.table import BASELINE, RESULT

NONE = dict.fromkeys(FAULTS, 0.0) | {"target": 1.0, "white pixels": 0}
OURS = {
    "p": NONE | {"band": 3.0, "target": 0.5, "noise gain": 0.25, "halo": math.nan, "white pixels": 30},
    "q": NONE | {"band": 9.0, "target": 0.7, "noise gain": 0.75, "halo": 1 / 3, "white pixels": 10},
    "r": NONE | {"band": 99.0, "white pixels": 1000},  # not compared
}
MAXIMUM = {"p": NONE | {"white pixels": 20}, "q": NONE, "r": NONE}


def table(ours=OURS, maximum=MAXIMUM, pictures="pq", problems=()):
    return tabulate({(RESULT, 'é, "x"'): ours, (BASELINE, "maximum"): maximum}, pictures, problems)


def test_means_are_over_the_images_compared_that_can_have_the_fault():
    ours, maximum = table().methods
    assert (ours.label, maximum.label) == ('é, "x"', "maximum (baseline)")
    expected = dict.fromkeys(FAULTS, 0.0) | {"band": 6.0, "target": 0.6, "noise gain": 0.5, "halo": 1 / 3}
    expected |= dict.fromkeys(FAULTS_OF_FUSING, math.nan)
    assert ours.means == pytest.approx(expected, nan_ok=True)
    assert ours.faults == OURS


def test_the_worst_image_is_the_farthest_from_being_without_fault():
    ours, maximum = table().methods
    assert ours.worst == {"band": "q", "target": "p", "halo": "q"}  # a noise gain below 1 is no fault
    assert maximum.worst == {}
    noisy = {"p": NONE | {"noise gain": 1.2}, "q": NONE | {"noise gain": 0.1}}
    assert table(noisy).methods[0].worst == {"noise gain": "p"}


@pytest.mark.parametrize(
    ("ours", "maximum", "ratio"),
    [((30, 10), (20, 0), 2), ((0, 0), (20, 5), 0), ((0, 3), (0, 0), math.inf), ((0, 0), (0, 0), math.nan)],
)
def test_the_white_ratio_is_one_of_all_images_together(ours, maximum, ratio):
    rows = (
        {name: NONE | {"white pixels": n} for name, n in zip("pq", counts, strict=True)}
        for counts in (ours, maximum)
    )
    assert table(*rows).methods[0].white_ratio == pytest.approx(ratio, nan_ok=True)


def test_text():
    blocks = str(table()).split("\n\n")
    assert blocks[0].startswith("2 images; an empty cell: not measured")
    assert str(table(pictures="p")).startswith("1 image;")
    header, unit, best, ours, maximum = blocks[1].splitlines()
    assert header.split("  ")[0] == "mean"
    assert [header.index(name) for name in COLUMNS] == sorted(header.index(name) for name in COLUMNS)
    assert unit.split() == ["unit", "levels", "%", "levels", "%", "ratio", "ratio", *["levels"] * 3, "ratio"]
    at_most_1 = ["at", "most", "1"]
    assert best.split("without fault")[1].split() == [*"00001", *at_most_1, *"000", *at_most_1]
    assert ours.split()[2:] == ["6.000", "0.000", "0.000", "0.000", "0.600", "0.500", "0.333", "2.000"]
    assert maximum.split()[2:] == ["0.000"] * 4 + ["1.000", "0.000", "0.000", "1.000"]
    end = header.index("halo") + len("halo")
    assert ours[:end].endswith("0.333")  # columns end where their names end, empty ones included
    assert set(ours[end : header.index("tile seam") + len("tile seam")]) == {" "}
    assert blocks[2].splitlines() == [
        "worst pairs",
        'é, "x"',
        "  q: band 9.000, halo 0.333",
        "  p: target 0.500",
        "maximum (baseline)",
    ]


def test_json_is_valid_and_keeps_every_bit():
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    read = json.loads(table(problems=["f/1.png: is empty"]).to_json(), parse_constant=refuse)
    assert list(read["faults"]) == [*FAULTS, *FAULTS_OF_FUSING]
    assert read["faults"]["noise gain"] == {"unit": "ratio", "low": 0.0, "high": 1.0}
    assert (read["pictures"], read["problems"]) == (["p", "q"], ["f/1.png: is empty"])
    ours = read["methods"][0]
    assert (ours["name"], ours["kind"], ours["white_ratio"]) == ('é, "x"', "result", 2)
    assert ours["worst"] == {"band": "q", "target": "p", "halo": "q"}
    assert ours["faults"]["q"]["halo"] == ours["means"]["halo"] == 1 / 3
    assert (ours["faults"]["p"]["halo"], ours["means"]["raster bias"]) == ("nan", "nan")


def test_csv_keeps_every_bit():
    rows = list(csv.DictReader(StringIO(table().to_csv())))
    assert list(rows[0]) == ["method", "kind", "what", "picture", *COLUMNS, "white pixels", "white ratio"]
    ours = {(row["what"], row["picture"]): row for row in rows if row["method"] == 'é, "x"'}
    assert ours.keys() == {("fault", "p"), ("fault", "q"), ("fault", "r"), ("mean", ""), ("worst pair", "")}
    assert float(ours["fault", "q"]["halo"]) == 1 / 3
    assert (ours["fault", "p"]["halo"], ours["fault", "p"]["tile seam"]) == ("", "")
    assert (ours["fault", "p"]["white pixels"], ours["fault", "p"]["white ratio"]) == ("30", "")
    assert (ours["mean", ""]["band"], ours["mean", ""]["white pixels"], ours["mean", ""]["white ratio"]) == (
        "6.0",
        "",
        "2.0",
    )
    assert (ours["worst pair", ""]["target"], ours["worst pair", ""]["noise gain"]) == ("p", "")


def test_markdown_has_units_and_one_line_per_method():
    lines = [line.strip("| ").split(" | ") for line in table().to_markdown().splitlines()]
    header, _, units, *rows = lines
    assert header == [*COLUMNS, "white ratio"]
    assert units[:3] == ["unit", "levels", "%"]
    assert [row[0] for row in rows] == [method.label for method in table().methods]
    assert rows[0][1] == "6.000"


@pytest.mark.parametrize("start", list("=+-@"))
def test_no_name_is_a_formula_for_a_spreadsheet(start):
    name = f"{start}1+1"
    ours, maximum = {name: NONE | {"band": 3.0, "white pixels": 1}}, {name: NONE | {"white pixels": 1}}
    text = tabulate({(RESULT, name): ours, (BASELINE, "maximum"): maximum}, [name], ()).to_csv()
    _, *rows = csv.reader(StringIO(text))
    assert {row[0] for row in rows} == {f"'{name}", "maximum"}
    assert {row[3] for row in rows} == {f"'{name}", ""}
    assert any(f"'{name}" in row[4:] for row in rows)  # the worst pair
