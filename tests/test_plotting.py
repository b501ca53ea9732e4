"""Figures: what is drawn where, and that nothing differs in colour alone."""

import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mambadfuse.evaluation.table import BASELINE, PUBLISHED, RESULT, Method, rank, summarise
from mambadfuse.metrics import grey
from mambadfuse.plotting import Box, box_plots, difference_panel, parallel_plot, png, zoom_panel

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (30, 40), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def method(name, kind, *scores):
    of_each = {str(k): one for k, one in enumerate(scores)}
    return Method(name, kind, *summarise(of_each, of_each), of_each)


def table():
    journal = Method("J", PUBLISHED, {"EN": 4.0}, {}, {}, "a journal")
    good = method(
        "good", RESULT, {"EN": 4.0, "MSE": 1.0, "PSNR": math.inf}, {"EN": 2.0, "MSE": 3.0, "PSNR": 9.0}
    )
    bad = method("bad", BASELINE, {"EN": 1.0, "MSE": 8.0, "PSNR": 5.0}, {"EN": 1.0, "MSE": 6.0, "PSNR": 5.0})
    return rank([bad, good, journal], ("EN", "MSE", "PSNR"), ["0", "1"], "literature")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_png_is_as_large_as_its_figure_and_opaque():
    figure = parallel_plot(table())
    with Image.open(BytesIO(png(figure))) as image:
        assert image.mode == "RGB"
        assert image.size == tuple(round(inches * figure.dpi) for inches in figure.get_size_inches())


def test_the_best_mean_is_on_top_whatever_the_direction():
    (axes,) = parallel_plot(table()).axes
    lines = {line.get_label().split()[1]: line.get_ydata() for line in axes.lines if "." in line.get_label()}
    np.testing.assert_allclose(lines["J"], [1, np.nan, np.nan])
    np.testing.assert_allclose(lines["good"], [2 / 3, 1, np.nan])  # an infinite mean has no place on the axis
    np.testing.assert_allclose(lines["bad"], [0, 0, 0.5])
    assert texts(axes) == ["4.000", "1.000", "2.000", "7.000", "5.000", "5.000"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("f\udce9\udcff", "f\\xe9\\xff"),
        ("$\\frac$", "$\\frac$"),
        ("a$b", "a$b"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_any_name_of_a_folder_is_drawn_as_it_is_or_escaped(name, shown):
    ranked = rank(
        [method(name, RESULT, {"EN": 4.0}), method("b", BASELINE, {"EN": 1.0})], ("EN",), ["0"], "literature"
    )
    plot, boxes = parallel_plot(ranked), box_plots(ranked)
    assert png(plot)
    assert png(boxes)
    assert f" 1.00  {shown}" in [text.get_text() for text in plot.legends[0].get_texts()]
    assert shown in [text.get_text() for text in boxes.axes[0].get_yticklabels()]


def test_lines_differ_by_more_than_colour():
    methods = [method(f"m{k}", RESULT, {"EN": float(k), "SD": float(k)}) for k in range(12)]
    methods += [method("base", BASELINE, {"EN": 0.0, "SD": 1.0})]
    methods += [Method("J", PUBLISHED, {"EN": 4.0, "SD": 3.0}, {}, {})]
    (axes,) = parallel_plot(rank(methods, ("EN", "SD"), ["0"], "literature")).axes
    lines = [line for line in axes.lines if line.get_marker() != "None"]
    assert len({line.get_marker() for line in lines}) == len(lines) == 14
    assert len({line.get_linestyle() for line in lines}) == 3


def test_boxes_have_a_place_each_and_no_published_row():
    figure = box_plots(table())
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title().split()[0] for axes in shown] == ["EN", "MSE", "PSNR"]
    assert "lower is better" in shown[1].get_title()
    assert "1 infinite left out" in shown[2].get_title()
    assert [label.get_text() for label in shown[0].get_yticklabels()] == ["good", "bad (baseline)"]
    assert all(len(axes.patches) == 2 for axes in shown)


@pytest.mark.parametrize("count", [1, 4, 5, 12])
def test_boxes_of_any_number_of_metrics(count):
    from mambadfuse.metrics import ALL

    metrics = ALL[:count]
    one = method("one", RESULT, dict.fromkeys(metrics, 1.0), dict.fromkeys(metrics, 2.0))
    figure = box_plots(rank([one], metrics, ["0", "1"], "literature"))
    assert sum(axes.get_visible() for axes in figure.axes) == count


def test_zoom_shows_the_box_of_every_picture():
    figure = zoom_panel({"grey": GREY, "colour_$1": COLOUR}, Box(top=3, left=5, height=7, width=9))
    above, below = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title() for axes in above] == ["grey", "colour_$1"]
    for axes, picture in zip(below, (GREY, COLOUR), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), picture[3:10, 5:14])
    assert png(figure)


@pytest.mark.parametrize("box", [(0, 0, 31, 5), (0, 36, 5, 5), (-1, 0, 5, 5), (0, 0, 0, 5)])
def test_a_box_beyond_the_picture_is_refused(box):
    with pytest.raises(ValueError, match="must lie in the 40x30 pixels"):
        zoom_panel({"grey": GREY}, Box(*box))


def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="of one size"):
        zoom_panel({"x": GREY, "y": GREY[:9]}, Box(0, 0, 2, 2))
    with pytest.raises(ValueError, match="at least one"):
        zoom_panel({}, Box(0, 0, 2, 2))
    with pytest.raises(ValueError, match="of one size"):
        difference_panel(GREY, GREY, COLOUR[:9])


def test_differences_are_signed_and_share_one_scale():
    brighter = np.minimum(GREY, 200) + np.uint8(55)
    figure = difference_panel(brighter, GREY, COLOUR)
    drawn = {axes.get_title(): axes.images[0] for axes in figure.axes if axes.images and axes.get_title()}
    np.testing.assert_array_equal(drawn["fused minus a"].get_array(), brighter.astype(int) - GREY)
    np.testing.assert_array_equal(drawn["fused minus b"].get_array(), brighter.astype(int) - grey(COLOUR))
    limits = {drawn[f"fused minus {side}"].get_clim() for side in "ab"}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high
    assert png(figure)


def test_a_copy_differs_nowhere():
    figure = difference_panel(GREY, GREY, GREY)
    drawn = [axes.images[0] for axes in figure.axes if axes.get_title().startswith("fused minus")]
    assert all(np.all(image.get_array() == 0) for image in drawn)
