"""Figures of the extraction: the paths on which scans read a map, what a pixel sees, and how far a change reaches."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from mambadfuse.models.scan_order import reading_order

_WIDTH = 8.4  # inches
_LOWEST = -6  # log10 of the smallest share that has a colour of its own


def reading_paths(height: int, width: int, pixel: tuple[int, int], directions: Sequence[str]) -> Figure:
    """The path on which a scan reads a map, for each direction; hatched are the pixels that come after ``pixel``.

    >>> paths = reading_paths(3, 4, (1, 2), ("right", "left"))
    >>> [axes.get_title() for axes in paths.axes]
    ['right: blind for 5 of 12', 'left: blind for 6 of 12']
    """
    side = _WIDTH / max(len(directions), 2)
    figure = Figure(
        figsize=(side * len(directions), side * height / width + 0.4), dpi=100, layout="constrained"
    )
    for axes, direction in zip(
        figure.subplots(1, len(directions), squeeze=False)[0], directions, strict=True
    ):
        order = reading_order(direction, height * width, height).tolist()
        after = order[order.index(pixel[0] * width + pixel[1]) + 1 :]
        for t in after:
            corner = (t % width - 0.5, t // width - 0.5)
            axes.add_patch(
                Rectangle(corner, 1, 1, facecolor="0.9", edgecolor="0.6", hatch="////", linewidth=0)
            )
        for before, now in pairwise(order):
            start, end = ((t % width, t // width) for t in (before, now))
            colour, line = ("0.6", ":") if _is_jump(before, now, width) else ("black", "-")
            look = {"arrowstyle": "->", "color": colour, "linestyle": line}
            axes.annotate("", end, start, arrowprops=look)
        axes.plot(
            pixel[1], pixel[0], "s", markersize=13, markerfacecolor="white", markeredgecolor="black", zorder=5
        )
        axes.text(pixel[1], pixel[0], "p", ha="center", va="center", zorder=6)
        axes.set(xlim=(-0.6, width - 0.4), ylim=(height - 0.4, -0.6), aspect="equal")
        axes.set_title(f"{direction}: blind for {len(after)} of {height * width}", fontsize=10)
        axes.set_axis_off()
    return figure


def _is_jump(before: int, now: int, width: int) -> bool:
    """Whether two tokens that follow each other in the raster lie in different rows and columns."""
    return before // width != now // width and before % width != now % width


def receptive_fields(fields: Mapping[str, ArrayLike], pixel: tuple[int, int]) -> Figure:
    """Maps of log10 of E over its maximum, by title; hatched where E is exactly zero, with ``pixel`` framed."""
    side = min(4.2, _WIDTH / len(fields))
    figure = Figure(figsize=(side * len(fields), 1.5 + 0.85 * side), dpi=100, layout="constrained")
    axes = figure.subplots(1, len(fields), squeeze=False)[0]
    for ax, (title, E) in zip(axes, fields.items(), strict=True):
        drawn = _logarithmic(ax, np.asarray(E))
        ax.plot(pixel[1], pixel[0], "s", markersize=9, markerfacecolor="none", markeredgecolor="black")
        ax.set(title=title, xlabel="column q, pixels", ylabel="row q, pixels")
        ax.label_outer()
    label = "log10 of $E_p(q)$, relative to its maximum"
    figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.5, extend="min", label=label)
    return figure


def erased_halves(pictures: Mapping[str, ArrayLike], changes: Mapping[str, ArrayLike], cut: int) -> Figure:
    """A row for each erased half: the picture, and log10 of the change of its features; the cut is dashed."""
    figure = Figure(figsize=(_WIDTH, 5.6), dpi=100, layout="constrained")
    axes = figure.subplots(len(pictures), 2, sharex=True, sharey=True, squeeze=False)
    for row, (name, picture) in zip(axes, pictures.items(), strict=True):
        row[0].imshow(picture, cmap="gray", vmin=0, vmax=1)
        row[0].set(title=f"{name} half erased", ylabel="row, pixels")
        drawn = _logarithmic(row[1], np.asarray(changes[name]))
        row[1].set_title("change of the features")
        row[1].axhline(cut - 0.5, color="black", linewidth=1, linestyle="--")
    for ax in axes[-1]:
        ax.set_xlabel("column, pixels")
    label = "log10 of the change, relative to its maximum"
    figure.colorbar(drawn, ax=axes[:, 1], extend="min", label=label)
    return figure


def _logarithmic(axes: Axes, values: np.ndarray) -> AxesImage:
    axes.patch.set(facecolor="white", edgecolor="0.6", hatch="////")
    return axes.imshow(np.ma.log10(values / values.max()), cmap="viridis_r", vmin=_LOWEST, vmax=0)
