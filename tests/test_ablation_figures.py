"""Figures of an ablation show the numbers of its report."""

import pytest

from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, read_margins
from mambadfuse.analysis.ablation_figures import cost_plot, flops_of_rows, forest_plot, loss_curves

RESULTS = Store(SHIPPED_RESULTS).results()
REPORT = compare(RESULTS, read_margins(["5%"]))


def test_the_forest_has_a_dot_and_an_interval_for_each_row():
    left, right = forest_plot(REPORT, ("VIF", "EN")).axes
    names = [label.get_text() for label in left.get_yticklabels()]
    line = next(line for line in REPORT.lines if line.row == "state-own")
    place, effect = names.index("state-own"), line.effects["VIF"]
    drawn = [
        tuple(map(float, one.get_xdata())) for one in left.lines if list(one.get_ydata()) == [place, place]
    ]
    assert (effect.seeds.low, effect.seeds.high) in drawn
    dot = next(one for one in left.lines if one.get_marker() == "o" and list(one.get_ydata()) == [place])
    assert float(dot.get_xdata()[0]) == effect.difference
    assert sorted(names) == sorted(one.row for one in REPORT.lines[1:])
    assert right.patches  # the margin


def test_every_row_has_a_curve_and_one_for_each_seed():
    grid = [axes for axes in loss_curves(RESULTS).axes if axes.get_visible()]
    assert len(grid) == len(REPORT.lines)
    assert grid[0].get_title("left") == "default"
    assert len(grid[0].lines) == 6 + 1


def test_quality_against_operations():
    flops = flops_of_rows(RESULTS)
    assert flops["width-half"] < flops["default"] < flops["depth-double"]
    axes = cost_plot(REPORT, flops, "operations").axes[0]
    assert axes.get_xlabel() == "operations"
    assert {text.get_text() for text in axes.texts} == flops.keys()


@pytest.mark.parametrize("rows", [("default",), ("default", "norm-once")])
def test_few_rows_are_drawn_too(rows):
    few = [result for result in RESULTS if result.row in rows]
    assert loss_curves(few).axes
    assert cost_plot(compare(few)).axes
