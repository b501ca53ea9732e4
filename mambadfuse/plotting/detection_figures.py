"""Figures of a detector: boxes in images, cells, precision against recall, and what each input is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import ArrayLike

_WIDTH = 8.4  # inches
_TYPE = 7  # points
_LETTER = (0.6 * _TYPE, 1.3 * _TYPE)  # width and height, points
_HATCHES = ("", "///", "...", "xxx")
_GREYS = ("0.9", "0.65", "0.4", "1.0")
_MARKS = {"better": "black", "worse": "black", "equal": "0.6"}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """A box to draw into an image.

    Attributes:
        box: (left, top, right, bottom) in pixels.
        text: above it, or where that would leave the image or cover another text below, beside or inside it.
        line: its style, one of matplotlib's.
    """

    box: Sequence[float]
    text: str = ""
    line: str = "-"


def framed_images(
    pictures: Mapping[str, ArrayLike], frames: Mapping[str, Sequence[Frame]], columns: int
) -> Figure:
    """Grey images, (H, W), by title, in rows of so many, each with its frames; lines are white in black.

    >>> figure = framed_images({"a": np.zeros((4, 6))}, {"a": [Frame((1, 1, 3, 3), "car")]}, columns=2)
    >>> figure.axes[0].patches[0].get_bbox().extents.tolist()
    [0.5, 0.5, 2.5, 2.5]
    """
    rows = -(-len(pictures) // columns)
    height, width = np.shape(next(iter(pictures.values())))
    size = (_WIDTH, rows * (_WIDTH / columns * height / width + 0.3))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    for k, (title, picture) in enumerate(pictures.items(), start=1):
        axes = figure.add_subplot(rows, columns, k)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        _draw_frames(axes, frames.get(title, ()), (height, width), width * columns / (72 * _WIDTH))
    return figure


def _draw_frames(axes: Axes, frames: Sequence[Frame], size: tuple[int, int], per_point: float) -> None:
    """Frames in an image of this size, (H, W), that shows so many pixels per point; texts keep clear of each other."""
    written: list[Box] = []
    for frame in frames:
        left, top, right, bottom = (float(x) - 0.5 for x in frame.box)  # pixel centres lie at whole numbers
        outline = [Stroke(linewidth=2.6, foreground="black"), Normal()]
        look: dict[str, Any] = {
            "fill": False,
            "edgecolor": "white",
            "linewidth": 1.2,
            "linestyle": frame.line,
        }
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, path_effects=outline, **look))
        if frame.text:
            w, h = _LETTER[0] * len(frame.text) * per_point, _LETTER[1] * per_point
            corners = [(x, y) for y in (top - h, bottom) for x in (left, right - w)]
            corners += [(right, top), (left - w, top), (left, top), (right - w, bottom - h)]
            places = [(x, y, x + w, y + h) for x, y in corners]
            written.append(min(places, key=lambda place: _hidden(place, written, size)))
            x, y, *_ = written[-1]
            drawn = axes.text(x, y, frame.text, color="white", fontsize=_TYPE, va="top", clip_on=True)
            drawn.set_path_effects([Stroke(linewidth=1.8, foreground="black"), Normal()])


def _hidden(place: Box, written: Sequence[Box], size: tuple[int, int]) -> float:
    """The area of a text that lies outside its image or under other texts."""
    left, top, right, bottom = place
    inside = _shared(place, (0, 0, size[1], size[0]))
    return (right - left) * (bottom - top) - inside + sum(_shared(place, other) for other in written)


def _shared(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(tall, 0)


def box_on_cells(box: Sequence[float], height: int, width: int, stride: int) -> Figure:
    """A box on an image of so many pixels, cut into cells: its centre, and shaded the cell that holds it.

    >>> axes = box_on_cells((7, 3, 19, 11), height=16, width=24, stride=4).axes[0]
    >>> axes.patches[0].get_xy()
    (12.0, 4.0)
    """
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    corner = (x // stride * stride, y // stride * stride)
    figure = Figure(figsize=(5.4, 5.4 * height / width + 0.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.add_patch(Rectangle(corner, stride, stride, facecolor="0.8"))
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, linewidth=2))
    axes.plot(x, y, "k+", markersize=12, markeredgewidth=2)
    axes.annotate("centre", (x, y), (x + 0.7 * stride, y + 0.3 * stride), arrowprops={"arrowstyle": "-"})
    axes.set_xticks(np.arange(0, width + 1, stride))
    axes.set_yticks(np.arange(0, height + 1, stride))
    axes.grid(color="0.6", linewidth=0.8)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xlabel="x, pixels", ylabel="y, pixels")
    return figure


def loss_by_step(curve: Sequence[float]) -> Figure:
    """The loss of each step on a logarithmic axis.

    >>> loss_by_step([9.0, 1.0]).axes[0].get_ylabel()
    'loss (no unit)'
    """
    figure = Figure(figsize=(_WIDTH, 2.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, len(curve) + 1), curve, "k-")
    axes.set(xlabel="step", ylabel="loss (no unit)", yscale="log")
    return figure


def precision_recall_steps(hits: Sequence[bool], count: int) -> Figure:
    """Average precision in three steps, of detections that are right or wrong, best first, and the number of objects.

    Left: precision against recall after each detection. Middle: the best precision at this recall or a higher one.
    Right: its mean at the recalls 0, 0.01, ..., 1.

    >>> figure = precision_recall_steps([True, False, True], count=2)
    >>> [axes.get_title() for axes in figure.axes]
    ['1: after each detection', '2: best from here on', '3: mean of 101: 0.835']
    """
    right = np.cumsum(hits)
    precision, recall = right / np.arange(1, len(hits) + 1), right / count
    best = np.maximum.accumulate(precision[::-1])[::-1]
    samples = np.linspace(0, 1, 101)
    reached = np.searchsorted(recall, samples)
    heights = np.append(best, 0.0)[reached]
    figure = Figure(figsize=(_WIDTH, 2.9), dpi=100, layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes in panels[:2]:
        for k, (x, y) in enumerate(zip(recall, precision, strict=True)):
            axes.plot(x, y, "ko", markerfacecolor="black" if hits[k] else "white", markersize=7)
    for k, (x, y) in enumerate(zip(recall, precision, strict=True)):
        panels[0].annotate(str(k + 1), (x, y), (6, 4), textcoords="offset points", fontsize=9)
    panels[1].plot(samples, heights, color="0.4", drawstyle="steps-pre")
    panels[2].vlines(samples, 0, heights, color="0.4", linewidth=1)
    titles = ("1: after each detection", "2: best from here on", f"3: mean of 101: {heights.mean():.3f}")
    for axes, title in zip(panels, titles, strict=True):
        axes.set(xlabel="recall", xlim=(-0.05, 1.1), ylim=(0, 1.1))
        axes.set_title(title, fontsize=10)
    panels[0].set_ylabel("precision")
    return figure


def score_bars(scores: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Scores in [0, 1] as bars in points: a group of bars for each score, one bar for each input.

    >>> bars = score_bars({"a": {"AP50": 0.561}, "both": {"AP50": 0.685}}, label="AP50, points")
    >>> [text.get_text() for text in bars.axes[0].texts]
    ['56', '68']
    """
    groups = list(next(iter(scores.values())))
    figure = Figure(figsize=(_WIDTH, 3.0), dpi=100, layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(scores)
    for k, (name, values) in enumerate(scores.items()):
        places = np.arange(len(groups)) + (k - (len(scores) - 1) / 2) * width
        look: dict[str, Any] = {"color": _GREYS[k % 4], "hatch": _HATCHES[k % 4], "edgecolor": "black"}
        drawn = axes.bar(places, [100 * values[group] for group in groups], width, label=name, **look)
        axes.bar_label(drawn, fmt="%.0f", padding=2, fontsize=9)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel=label, ylim=(0, 105))
    axes.legend(frameon=False, ncols=len(scores), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def score_table(
    table: ArrayLike, rows: Sequence[str], columns: Sequence[str], *, xlabel: str, ylabel: str, label: str
) -> Figure:
    """Points from 0 to 100 as grey cells with their numbers, (rows, columns); NaN is a cell left empty.

    >>> figure = score_table([[56.1, np.nan]], ["a"], ["a", "both"], xlabel="", ylabel="", label="")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['56.1', '-']
    """
    values = np.asarray(table, dtype=float)
    figure = Figure(figsize=(_WIDTH, 0.42 * len(rows) + 1.1), dpi=100, layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(values, cmap="gray", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.1f}"
        colour = "black" if np.isnan(value) or value > 50 else "white"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    figure.colorbar(drawn, ax=axes, label=label)
    return figure


def difference_intervals(
    intervals: Mapping[str, tuple[float, float, float]],
    verdicts: Mapping[str, str],
    margin: float,
    label: str,
) -> Figure:
    """Mean differences with both ends of their intervals, in points, by name.

    Black is better or worse, grey equal, white open; within the margin it is shaded.

    >>> figure = difference_intervals({"a": (-3.5, -6.1, -1.0)}, {"a": "open"}, margin=1, label="points")
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['a: open']
    """
    figure = Figure(figsize=(_WIDTH, 0.36 * len(intervals) + 1.1), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-margin, margin, color="0.9")
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    for row, (name, (mean, low, high)) in enumerate(intervals.items()):
        fill = _MARKS.get(verdicts[name], "white")
        axes.errorbar(
            mean,
            row,
            xerr=[[mean - low], [high - mean]],
            color="black",
            marker="o",
            capsize=4,
            markersize=7,
            markerfacecolor=fill,
        )
    axes.set_yticks(range(len(intervals)), [f"{name}: {verdicts[name]}" for name in intervals])
    axes.set(xlabel=label, ylim=(len(intervals) - 0.5, -0.5))
    return figure
