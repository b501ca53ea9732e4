"""Figures of an evaluation: what a fusion costs by size, differences with their errors, windows of several methods."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_WIDTH = 8.4  # inches
_MARKERS = ("^-", "o-", "s--")
_WINDOW = 1.7  # inches


def cost_by_size(costs: Mapping[str, ArrayLike]) -> Figure:
    """Time and memory against the number of pixels, by way of computing, with the slope of each on its double log plot.

    Args:
        costs: by way, rows of (pixels, seconds of processor time, megabytes), (n, 3) with n at least 2.

    >>> figure = cost_by_size({"streaming": [(64**2, 1, 8), (128**2, 4, 16)]})
    >>> [axes.get_legend_handles_labels()[1] for axes in figure.axes]
    [['streaming: 1.0'], ['streaming: 0.5']]
    """
    figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    sides = sorted({round(row[0] ** 0.5) for rows in costs.values() for row in np.asarray(rows)})
    for (way, rows), marker in zip(costs.items(), cycle(_MARKERS), strict=False):
        pixels, *columns = np.asarray(rows, dtype=np.float64).T
        for axes, column in zip(panels, columns, strict=True):
            slope = np.polyfit(np.log(pixels), np.log(column), 1)[0]
            axes.loglog(
                pixels, column, marker, base=2, color="0.15", mfc="white", label=f"{way}: {slope:.1f}"
            )
    for axes, name in zip(panels, ("seconds of processor time", "megabytes"), strict=True):
        axes.set(xlabel="pixels", ylabel=name)
        axes.set_xticks([side**2 for side in sides], [f"{side}²" for side in sides])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(title="slope", fontsize=8)
        axes.grid(color="0.9")
    return figure


def differences_with_errors(
    names: Sequence[str], differences: ArrayLike, paired: ArrayLike, unpaired: ArrayLike
) -> Figure:
    """Differences of two methods by score, with one standard error up and down, in units of the unpaired error.

    The thin grey line is the unpaired error, the thick black one the paired one.

    >>> figure = differences_with_errors(["EN", "SD"], [0.1, 2.0], [0.1, 0.5], [0.2, 1.0])
    >>> figure.axes[0].lines[0].get_ydata().tolist(), figure.axes[0].lines[1].get_ydata().tolist()
    ([-0.5, 1.5], [0.0, 1.0])
    """
    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    given = (np.asarray(x, dtype=np.float64) for x in (differences, paired, unpaired))
    for k, (difference, error, unit) in enumerate(zip(*given, strict=True)):
        middle, half = difference / unit, error / unit
        axes.plot([k, k], [middle - 1, middle + 1], "0.6", label=None if k else "unpaired error")
        axes.plot(
            [k, k], [middle - half, middle + half], "k", linewidth=6, label=None if k else "paired error"
        )
    axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("difference /\nunpaired error")
    axes.legend(ncols=2, fontsize=9)
    return figure


def rows_of_windows(rows: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Windows (h, w), grey levels from 0 to 255, by row and by title; all rows have equally many.

    >>> figure = rows_of_windows({"lost": {"a": np.zeros((4, 4)), "mean: 1.0": np.ones((4, 4))}})
    >>> [(axes.get_ylabel(), axes.get_title()) for axes in figure.axes]
    [('lost', 'a'), ('', 'mean: 1.0')]
    """
    columns = max(map(len, rows.values()))
    figure = Figure(figsize=(columns * _WINDOW, len(rows) * (_WINDOW + 0.1)), dpi=90, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, windows) in zip(grid, rows.items(), strict=True):
        for axes, (title, window) in zip(line, windows.items(), strict=True):
            axes.imshow(window, cmap="gray", vmin=0, vmax=255)
            axes.set(title=title, xticks=[], yticks=[])
        line[0].set_ylabel(label)
    return figure
