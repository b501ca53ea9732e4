"""Figures of an ablation show the numbers of its report."""

from dataclasses import replace

import numpy as np
import pytest

from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, read_margins
from mambadfuse.analysis.ablation_figures import cost_plot, flops_of_rows, forest_plot, loss_curves

RESULTS = Store(SHIPPED_RESULTS).results()
REPORT = compare(RESULTS, read_margins(["5%"]))


def test_the_forest_has_a_dot_and_an_interval_for_each_row():
    left, right = forest_plot(REPORT, ("VIF", "EN")).axes
    names = [label.get_text() for label in left.get_yticklabels()]
    ends = {e.row: max(-e.effects["VIF"].seeds.low, e.effects["VIF"].seeds.high) for e in REPORT.lines[1:]}
    nearest = min(ends, key=lambda row: ends[row] if np.isfinite(ends[row]) else np.inf)  # is not cut off
    [line] = [line for line in REPORT.lines if line.row == nearest]
    place, effect = names.index(nearest), line.effects["VIF"]
    drawn = [
        tuple(map(float, one.get_xdata())) for one in left.lines if list(one.get_ydata()) == [place, place]
    ]
    assert (effect.seeds.low, effect.seeds.high) in drawn
    dot = next(one for one in left.lines if one.get_marker() == "o" and list(one.get_ydata()) == [place])
    assert float(dot.get_xdata()[0]) == effect.difference
    assert sorted(names) == sorted(one.row for one in REPORT.lines[1:])
    assert right.patches  # the margin


def test_the_axis_covers_every_difference():
    """One row far from all others, such as a loss without its main term, is the first thing to see."""
    [axes] = forest_plot(REPORT, ("Qabf",)).axes
    low, high = axes.get_xlim()
    dots = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len([line for line in REPORT.lines[1:] if not line.not_learnt])
    assert low < min(dots)
    assert max(dots) < high


def test_every_row_has_a_curve_and_one_for_each_seed():
    grid = [axes for axes in loss_curves(RESULTS).axes if axes.get_visible()]
    assert len(grid) == len(REPORT.lines)
    assert grid[0].get_title("left") == "default"
    assert len(grid[0].lines) == len(REPORT.lines[0].seeds) + 1


def test_ticks_are_plain_numbers():
    for axes in loss_curves(RESULTS).axes[:1] + cost_plot(REPORT).axes:
        axis = axes.yaxis if axes.get_yscale() == "log" else axes.xaxis
        assert {axis.get_major_formatter()(x, 0) for x in (0.5, 20, 1000)} == {"0.5", "20", "1000"}
        assert axis.get_minor_formatter()(30, 0) == ""


def test_labels_of_rows_of_the_same_cost_do_not_overlap():
    alike = {line.row: 1.0 for line in REPORT.lines}
    heights = sorted(label.xyann[1] for label in cost_plot(REPORT, alike).axes[0].texts)
    means = [line.means[REPORT.primary] for line in REPORT.lines if len(line.not_learnt) == 0]
    assert min(np.diff(heights)) >= 0.029 * np.ptp(means)


def test_the_mean_curve_is_smoothed():
    """A loss that jumps from step to step hides where it goes."""
    noisy = replace(RESULTS[0], curve=[[step, 10.0 + (-1) ** step] for step in range(1, 51)])
    seed, mean = loss_curves([noisy]).axes[0].lines
    assert np.ptp(seed.get_ydata()) == pytest.approx(2)
    assert np.ptp(mean.get_ydata()[9:]) < 0.3


def test_quality_against_operations():
    flops = flops_of_rows(RESULTS)
    assert flops["width-half"] < flops["default"] < flops["depth-double"]
    axes = cost_plot(REPORT, flops, "operations").axes[0]
    assert axes.get_xlabel() == "operations"
    learnt = {row for row in flops if REPORT.verdicts.get(row) != "not learnt"}
    assert {text.get_text() for text in axes.texts} == learnt


@pytest.mark.parametrize("rows", [("default",), ("default", "norm-once")])
def test_few_rows_are_drawn_too(rows):
    few = [result for result in RESULTS if result.row in rows]
    assert loss_curves(few).axes
    assert cost_plot(compare(few)).axes
