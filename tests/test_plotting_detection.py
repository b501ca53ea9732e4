"""The drawings of notebook 12: what they draw is what they are given, with marks besides colour."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mambadfuse.plotting import detection_figures as figures
from mambadfuse.plotting.detection_figures import Frame


def test_frames_lie_on_the_edges_of_their_pixels():
    picture = np.zeros((8, 12), np.uint8)
    figure = figures.framed_images({"a": picture, "b": picture}, {"b": [Frame((2, 1, 6, 4), "car", "--")]}, 2)
    empty, framed = figure.axes
    assert not empty.patches
    (drawn,) = framed.patches
    assert drawn.get_bbox().extents.tolist() == [1.5, 0.5, 5.5, 3.5]
    assert [text.get_text() for text in framed.texts] == ["car"]
    assert drawn.get_linestyle() in ("--", "dashed")


def test_texts_of_neighbours_do_not_cover_each_other_and_stay_in_the_image():
    boxes = [(10, 2, 20, 12), (11, 3, 20, 13), (70, 30, 95, 50), (72, 28, 95, 50)]
    frames = [Frame(box, f"person {number}0") for number, box in enumerate(boxes, 3)]
    figure = figures.framed_images({"a": np.zeros((64, 96))}, {"a": frames}, columns=4)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    drawn = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(drawn, 2))
    assert all(axes.bbox.x0 - 2 < one.x0 and one.x1 < axes.bbox.x1 + 2 for one in drawn)


def test_a_text_with_neighbours_still_stands_at_its_own_box():
    boxes = {"sign": (28, 26, 36, 34), "person": (56, 12, 67, 35), "car": (25, 5, 50, 15)}
    frames = [Frame(box, text) for text, box in boxes.items()]
    figure = figures.framed_images({"a": np.zeros((80, 120))}, {"a": frames}, columns=4)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    for text, frame in zip(axes.texts, axes.patches, strict=True):
        own = frame.get_window_extent().padded(4)
        assert own.overlaps(text.get_window_extent()), text.get_text()


def test_images_beyond_a_row_go_below():
    figure = figures.framed_images({str(k): np.zeros((4, 6)) for k in range(3)}, {}, columns=2)
    assert [axes.get_subplotspec().rowspan.start for axes in figure.axes] == [0, 0, 1]


def test_the_shaded_cell_holds_the_centre():
    cell, box = figures.box_on_cells((5, 9, 10, 12), height=16, width=24, stride=4).axes[0].patches
    assert cell.get_bbox().extents.tolist() == [4, 8, 8, 12]
    assert box.get_bbox().extents.tolist() == [5, 9, 10, 12]


def test_every_step_has_its_loss():
    (line,) = figures.loss_by_step([5.0, 2.0, 1.0]).axes[0].get_lines()
    assert line.get_xydata().tolist() == [[1, 5], [2, 2], [3, 1]]


def test_wrong_detections_are_hollow_and_their_harm_does_not_last():
    points, best, mean = figures.precision_recall_steps([True, False, True], count=4).axes
    assert [dot.get_markerfacecolor() for dot in points.get_lines()] == ["black", "white", "black"]
    *_, stairs = best.get_lines()
    heights = stairs.get_ydata()
    assert (heights[0], heights[26], heights[50], heights[51]) == (
        1,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        0,
    )
    assert mean.get_title().endswith(f"{heights.mean():.3f}")


def test_bars_differ_without_colour():
    scores = {name: {"AP50": 0.1, "AP50 sign": 0.2} for name in ("a", "b", "both")}
    (axes,) = figures.score_bars(scores, label="AP50, points").axes
    bars = [group.patches[0] for group in axes.containers if hasattr(group, "patches")]
    assert len({bar.get_hatch() for bar in bars}) == 3
    assert sorted(round(bar.get_height()) for bar in axes.patches) == [10] * 3 + [20] * 3


def test_the_numbers_of_a_table_can_be_read_on_their_grey():
    axes = figures.score_table(
        [[80.0, np.nan], [12.0, 50.1]],
        ["a", "b"],
        ["a", "b"],
        xlabel="tested on",
        ylabel="trained on",
        label="points",
    ).axes[0]
    said = {text.get_text(): text.get_color() for text in axes.texts}
    assert said == {"80.0": "black", "-": "black", "12.0": "white", "50.1": "black"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tested on", "trained on")


def test_differences_say_their_verdict_in_words_and_in_grey():
    intervals = {"a": (1.0, 0.5, 1.5), "b": (-2.0, -3.0, 1.0), "c": (0.1, 0.0, 0.2)}
    verdicts = {"a": "better", "b": "open", "c": "equal"}
    (axes,) = figures.difference_intervals(intervals, verdicts, margin=1, label="points").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a: better", "b: open", "c: equal"]
    marks = [bar.lines[0] for bar in axes.containers]
    assert [mark.get_markerfacecolor() for mark in marks] == ["black", "white", "0.6"]
    assert [float(mark.get_xdata()[0]) for mark in marks] == [1.0, -2.0, 0.1]
