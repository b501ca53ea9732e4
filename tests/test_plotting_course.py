"""The drawings of the course: what they draw is what they are given, with axes, units and marks besides colour."""

import numpy as np
import pytest

from mambadfuse import plotting
from mambadfuse.evaluation.published import published
from mambadfuse.plotting import evaluation_figures, seed_figures, training_figures


def visible(figure):
    """The plots of a figure that hold an image, without the bars beside them."""
    return [axes for axes in figure.axes if axes.get_images()]


def test_maps_share_one_scale_with_a_named_bar():
    maps = {"SSIM": np.eye(4), "VIF": 2 * np.eye(4)}
    figure = plotting.map_panel(maps, low=-1, high=2, label="kept of a")
    assert [axes.get_images()[0].get_clim() for axes in visible(figure)] == [(-1, 2)] * 2
    assert figure.axes[-1].get_ylabel() == "kept of a"


def test_maps_beyond_a_row_go_below():
    figure = plotting.map_panel({str(k): np.eye(4) for k in range(4)}, label="", columns=3)
    tops = [axes.get_subplotspec().rowspan.start for axes in visible(figure)]
    assert tops == [0, 0, 0, 1]


def test_no_map_is_no_figure():
    with pytest.raises(ValueError, match="at least one map"):
        plotting.map_panel({}, label="")


def test_the_stronger_detail_is_white_where_it_is_that_of_a():
    a, b = np.array([[3.0, -9.0], [0.0, 1.0]]), np.array([[-4.0, 8.0], [0.0, 2.0]])
    chosen = plotting.detail_panel([a], [b]).axes[2].get_images()[0].get_array()
    np.testing.assert_array_equal(chosen, [[False, True], [True, False]])


def test_a_gallery_shows_every_image_under_its_title():
    pictures = {name: np.full((4, 6), k / 3) for k, name in enumerate("abc")}
    figure = plotting.gallery(pictures, columns=2)
    shown = {axes.get_title(): axes.get_images()[0].get_array()[0, 0] for axes in visible(figure)}
    assert shown == {"a": 0, "b": 1 / 3, "c": 2 / 3}


def test_curves_of_scores_have_lines_for_other_images():
    levels = {"mean": {"MI": 1.0, "VIF": 0.5}, "network": {"MI": 2.0, "VIF": 0.7}}
    curves = {"MI": [3, 1, 3], "VIF": [1, 0, 1]}
    figure = plotting.score_curves([0, 0.5, 1], curves, levels, xlabel="t", label="blend")
    for axes, name in zip(figure.axes, curves, strict=True):
        curve, *lines = axes.get_lines()
        np.testing.assert_array_equal(curve.get_ydata(), curves[name])
        assert [line.get_ydata()[0] for line in lines] == [reached[name] for reached in levels.values()]
        assert len({line.get_linestyle() for line in lines}) == len(levels)


def test_published_dots_are_the_published_means():
    tno = published("TNO-25")
    figure = plotting.published_dots(tno, ["MI"])
    networks, *rules = figure.axes[0].get_lines()
    np.testing.assert_array_equal(networks.get_xdata(), [row.means["MI"] for row in tno.rows])
    marks = {line.get_marker() for line in rules if line.get_marker() != "None"}
    assert len(marks) == len(tno.baselines)


def test_water_stands_as_high_as_the_state():
    levels = [4, 2, 2.5]
    figure = plotting.bucket([4, 0, 2], levels)
    assert [axes.patches[0].get_height() for axes in figure.axes] == levels
    poured = [[text.get_text() for text in axes.texts if "+" in text.get_text()] for axes in figure.axes]
    assert poured == [["+ 4"], [], ["+ 2"]]


def test_a_held_input_ends_each_token_where_the_exact_rule_puts_it():
    u, delta, A, B = [4.0, 0.0, 2.0], 0.3, -2.0, 1.5
    bottom = plotting.held_input(u, delta, A, B).axes[1]
    ends = [line.get_ydata()[0] for line in bottom.get_lines() if line.get_marker() == "s"]
    h, expected = 0.0, []
    for u_t in u:
        h = np.exp(delta * A) * h + (np.exp(delta * A) - 1) / A * B * u_t
        expected.append(h)
    np.testing.assert_allclose(ends, expected)


def test_rules_behind_a_tap_differ_without_colour():
    levels = {rule: np.ones(4) for rule in ("exact", "Euler", "Mamba")}
    (axes,) = plotting.tap_responses({2.5: levels}).axes
    rules = [line for line in axes.get_lines() if line.get_label() in levels]
    assert len({(line.get_marker(), line.get_linestyle()) for line in rules}) == 3
    np.testing.assert_array_equal(rules[0].get_xdata(), [2.5, 5, 7.5, 10])


def test_a_memory_has_its_mark_at_one_over_e():
    (axes,) = plotting.memory_curves({0.1: 10.0, 0.01: 100.0}, row=480).axes
    marks = [line.get_xydata()[0] for line in axes.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(marks, [(10, np.exp(-1)), (100, np.exp(-1))])


def test_kernels_lie_over_the_wanted_one():
    (axes,) = plotting.kernel_fits([0, 1], {"N = 1": [1, 2], "N = 4": [3, 4]}).axes
    assert [line.get_label() for line in axes.get_lines()] == ["wanted", "N = 1", "N = 4"]
    assert len({line.get_linestyle() for line in axes.get_lines()[1:]}) == 2


def test_the_warm_up_is_as_wide_as_it_takes():
    axes = training_figures.schedule([0.5, 1.0, 1.0, 0.2], warmup=2).axes[0]
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), [0.5, 1.0, 1.0, 0.2])
    assert [axes.patches[0].get_x(), axes.patches[0].get_width()] == [0, 2]


def test_an_average_begins_with_the_share_of_the_first_weights():
    lines = training_figures.shares_in_average((0.9, 0.999), steps=300).axes[0].get_lines()
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([100 * 0.9**299, 100 * 0.999**299])
    assert [line.get_ydata()[-1] for line in lines] == [100, 100]
    assert len({line.get_linestyle() for line in lines}) == 2


def test_a_run_that_has_not_logged_anything_is_an_empty_curve():
    batches, pictures = training_figures.live_curves([(1, 30.0), (2, 20.0)], []).axes[0].get_lines()
    np.testing.assert_array_equal(batches.get_xydata(), [(1, 30), (2, 20)])
    assert len(pictures.get_xydata()) == 0


def test_averages_are_told_apart_without_colour():
    losses = {0.0: [9, 7], 0.9: [8, 6], 0.98: [20, 6], 0.999: [40, 30]}
    lines = training_figures.decay_curves([10, 20], losses).axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == list(losses.values())
    assert len({(line.get_linestyle(), line.get_color()) for line in lines}) == len(losses)


def test_what_was_computed_twice_is_shaded():
    curve = [(step, 30.0 / step) for step in range(1, 9)]
    axes = training_figures.resumed_curve(curve, curve, restart=3, kill=5).axes[0]
    assert [axes.patches[0].get_x(), axes.patches[0].get_width()] == [3, 2]
    whole, resumed, killed_here = axes.get_lines()
    np.testing.assert_array_equal(whole.get_xydata(), resumed.get_xydata())
    assert list(killed_here.get_xdata()) == [5, 5]


def test_the_bar_of_the_trained_network_is_dark():
    bars = training_figures.loss_bars({"mean": 9.0, "mine": 7.0}, trained="mine").axes[0].patches
    assert [bar.get_width() for bar in bars] == [9.0, 7.0]
    assert bars[1].get_facecolor()[0] < bars[0].get_facecolor()[0]


def test_the_slope_of_what_grows_with_the_pixels_is_one():
    pixels = np.array([64, 128, 256]) ** 2
    figure = evaluation_figures.cost_by_size({"one": np.stack([pixels, 2 * pixels, np.sqrt(pixels)], axis=1)})
    time, memory = figure.axes
    assert [time.get_legend().get_texts()[0].get_text(), memory.get_legend().get_texts()[0].get_text()] == [
        "one: 1.0",
        "one: 0.5",
    ]
    assert [tick.get_text() for tick in time.get_xticklabels()] == ["64²", "128²", "256²"]
    assert (time.get_ylabel(), memory.get_ylabel()) == ("seconds of processor time", "megabytes")


def test_ways_to_compute_are_told_apart_without_colour():
    costs = [(1, 1, 1), (4, 2, 2)]
    lines = evaluation_figures.cost_by_size({"one": costs, "two": costs, "three": costs}).axes[0].lines
    assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == 3


def test_a_difference_stands_between_both_its_errors():
    figure = evaluation_figures.differences_with_errors(["EN"], [3.0], [0.5], [2.0])
    unpaired, paired, _ = figure.axes[0].lines
    np.testing.assert_allclose(unpaired.get_ydata(), [0.5, 2.5])
    np.testing.assert_allclose(paired.get_ydata(), [1.25, 1.75])
    assert "unpaired error" in figure.axes[0].get_ylabel()


def test_windows_stand_in_rows_on_the_scale_of_grey_levels():
    window = np.full((4, 4), 100)
    figure = evaluation_figures.rows_of_windows(
        {"one": {"a": window, "b": window}, "two": {"a": window, "b": window}}
    )
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "", "two", ""]
    assert {axes.get_images()[0].get_clim() for axes in figure.axes} == {(0, 255)}


def test_paired_seeds_are_lines_and_their_differences_have_an_interval():
    default, row = [0.35, 0.43, 0.42], [0.28, 0.40, 0.40]
    figure = seed_figures.paired_seeds(
        [0, 1, 2], default, row, (-0.1, 0.02), names=("default", "mine"), metric="Qabf"
    )
    scores, differences = figure.axes
    assert [tuple(line.get_ydata()) for line in scores.get_lines()] == list(zip(default, row, strict=True))
    assert len({line.get_marker() for line in scores.get_lines()}) == 3
    (bar,) = differences.collections
    assert bar.get_segments()[0][:, 1] == pytest.approx([-0.1, 0.02])
