"""Figures of the course: what is drawn where, and that their colours stay ordered in grey print."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mambadfuse.plotting import (
    Box,
    branch_figures,
    exchange_figures,
    extraction_figures,
    loss_figures,
    png,
    scan_figures,
)
from mambadfuse.plotting.diverging import DIVERGING, signed_maps

RANDOM = np.random.default_rng(0)
MAP = RANDOM.standard_normal((6, 8))


def brightness(colours):
    return np.asarray(colours)[:, :3] @ (0.2126, 0.7152, 0.0722)


def test_a_signed_map_grows_brighter_with_its_numbers():
    assert (np.diff(brightness(DIVERGING(np.linspace(0, 1, 256)))) > -1e-3).all()


def test_zero_is_grey_and_the_two_signs_have_hues_of_their_own():
    below, zero, above = DIVERGING([0.25, 0.5, 0.75])[:, :3]
    assert np.ptp(zero) < 0.02
    assert below[2] > below[0] + 0.2
    assert above[0] > above[2] + 0.2


def test_signed_maps_share_a_scale_about_zero():
    figure = signed_maps({"one": MAP, "ten times": 10 * MAP}, "grey levels")
    limits = {axes.images[0].get_clim() for axes in figure.axes[:2]}
    ((low, high),) = limits
    assert low == -high
    with pytest.raises(ValueError, match="at least one map"):
        signed_maps({}, "grey levels")


@pytest.mark.parametrize(("period", "moved"), [(0, set()), (1, {0, 1, 2, 3}), (2, {0, 2}), (3, {0, 3})])
def test_the_drawn_channels_have_changed_sides(period, moved):
    figure = exchange_figures.channel_swap(4, period)
    written = [text.get_text() for text in figure.axes[0].texts]
    for c in range(4):
        assert written.count(f"a{c}") == written.count(f"b{c}") == 2
    boxes = [patch for patch in figure.axes[0].patches if patch.get_facecolor()[0] < 0.5]
    at_home = [box for box in boxes if box.get_y() > 1 and box.get_x() > 5]
    assert len(at_home) == 4 - len(moved)


def test_winner_and_balance_have_a_bar_each():
    figure = branch_figures.winner_and_balance(np.eye(4), np.eye(4))
    _left, right, names, bar = figure.axes
    assert [text.get_text() for text in names.get_xticklabels()] == ["b", "f", "a"]
    assert right.images[0].get_clim() == (-1, 1)
    assert bar.get_xlabel() == "all b | all a"


def test_every_state_of_the_tree_is_reached_once():
    figure = scan_figures.pair_tree(8)
    written = [text.get_text() for text in figure.axes[0].texts if text.get_text().startswith("$h")]
    assert written[-8:] == [f"$h_{{{t}}}$" for t in range(8)]
    assert written[:2] == ["$h_{3}$", "$h_{7}$"]


@pytest.mark.parametrize(("direction", "blind"), [("right", 5), ("left", 6), ("down", 4), ("up", 7)])
def test_a_path_hatches_what_comes_after_the_pixel(direction, blind):
    (axes,) = extraction_figures.reading_paths(3, 4, (1, 2), (direction,)).axes
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle)]) == blind


def figures():
    maps = {(place, side): MAP for place in ("before", "after") for side in "ab"}
    pictures = {"a": np.full((6, 8), 0.5), "b": np.ones((6, 8))}
    yield exchange_figures.permutation_figure(np.eye(4), 0)
    yield exchange_figures.share_curves({"one": [[0, 0.1], [0.5, 0.4]]}, (0, 2), 4)
    yield exchange_figures.permutation_and_shares(np.eye(4), 2, [0.5, 0.4])
    yield exchange_figures.grad_cam_grid(maps, pictures, Box(1, 1, 2, 2))
    yield extraction_figures.receptive_fields({"one": MAP**2}, (1, 1))
    yield extraction_figures.erased_halves({"lower": MAP**2}, {"lower": MAP**2}, 3)
    yield loss_figures.robust_distance(0.1)
    yield loss_figures.training_runs({("one", 0): [3, 2], ("other", 1): [3, 1]}, 1)
    yield scan_figures.softplus_curve((-3, 0, 3))
    yield scan_figures.learning_curves({"one": [0, 1]}, {"one": [1, 1]}, 10, {"guess": 0.3, "nothing": 0.1})
    yield scan_figures.steps_and_lengths([0.1, 1], ".A", (48, 96), {"one": [1, 0.9]}, 0.1)
    yield scan_figures.cost_curves({"one": [1e-3, 2e-3]}, (256, 512), (1,), 1024)
    yield branch_figures.curves_and_floor({"one": [1, 0.5]}, 0.5, "floor")
    yield branch_figures.step_histogram({"one": [0.01, 0.02], "other": [0.7]})
    yield branch_figures.map_grid({"one": MAP, "two": MAP, "three": MAP}, "grey levels", 0, 1)


@pytest.mark.parametrize("figure", list(figures()))
def test_every_figure_names_its_axes_and_can_be_stored(figure):
    assert isinstance(figure, Figure)
    assert png(figure, fast=True)[1:4] == b"PNG"
    named = [axes.get_xlabel() or axes.get_ylabel() or axes.get_title() for axes in figure.axes]
    assert any(named)
