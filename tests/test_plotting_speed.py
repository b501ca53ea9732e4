"""The figures of speed: what they draw is what they are given, and lines differ without colour."""

import numpy as np

from mambadfuse.plotting import speed_figures


def test_bars_are_as_long_as_the_shares():
    shares = {"operations": {"low": 0.25, "high": 0.75}, "time": {"low": 0.5, "high": 0.5}}
    (axes,) = speed_figures.stage_shares(shares).axes
    assert [[bar.get_width() for bar in bars] for bars in axes.containers if len(bars) == 2] == [
        [25, 75],
        [50, 50],
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    assert len({bars[0].get_facecolor() for bars in axes.containers}) == 2


def test_points_stand_at_their_times_and_levels_at_their_quality():
    points, levels = {"slow": (900.0, 2.0), "quick": (30.0, 3.0)}, {"mean": 5.0, "maximum": 4.0}
    (axes,) = speed_figures.quality_against_time(points, levels, quality="rank", limit=40).axes
    assert axes.get_xscale() == "log"
    joined, first, second, *others = axes.get_lines()
    np.testing.assert_array_equal(joined.get_xydata(), [(30, 3), (900, 2)])
    assert [line.get_xydata()[0].tolist() for line in (first, second)] == [[30, 3], [900, 2]]
    assert [line.get_ydata()[0] for line in others[:2]] == [5, 4]
    assert others[2].get_xdata()[0] == 40
    assert len({line.get_linestyle() for line in others[:2]}) == 2


def test_no_network_is_left_out_for_want_of_a_mark():
    points = {f"network {k}": (10.0 + k, 1.0) for k in range(12)}
    levels = {f"rule {k}": 2.0 + k for k in range(5)}
    (axes,) = speed_figures.quality_against_time(points, levels, quality="rank", limit=40).axes
    assert {text.get_text() for text in axes.texts} == points.keys() | levels.keys()
    videos = {f"video {k}": [1.0, 2.0] for k in range(12)}
    (axes,) = speed_figures.flicker_by_motion([0, 1], videos).axes
    assert [line.get_label() for line in axes.lines] == list(videos)


def test_a_seed_is_a_line_through_the_arms():
    figure = speed_figures.taught_against_alone({"loss": {"alone": [3, 4], "taught": [1, 2]}})
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[3, 1], [4, 2]]
    assert len({line.get_marker() for line in lines}) == 2


def test_flicker_is_drawn_at_every_motion():
    flicker = {"infrared": [4.0, 4.0], "fused": [4.0, 6.0]}
    lines = speed_figures.flicker_by_motion([0, 1], flicker).axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == list(flicker.values())
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2
