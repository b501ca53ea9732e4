"""Figures of deep fusion: curves against a floor, step sizes, and which branch carries a pixel, and by how much."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mambadfuse.plotting.diverging import signed_map

_WIDTH = 8.4  # inches
_STYLES = ("-", ":", "--", "-.")


def curves_and_floor(curves: Mapping[str, Sequence[float]], floor: float, label: str) -> Figure:
    """Losses against the training step, by name, and a floor as a wide grey line called ``label``.

    >>> len(curves_and_floor({"one": [1, 0.5]}, 0.5, "floor").axes[0].lines)
    2
    """
    figure = Figure(figsize=(_WIDTH, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    for (name, losses), style in zip(curves.items(), _STYLES, strict=False):
        axes.plot(losses, "black", linestyle=style, label=name)
    axes.axhline(floor, color="0.6", linewidth=6, zorder=0, label=label)
    axes.set(xlabel="training step", ylabel="mean squared error", yscale="log")
    axes.legend(fontsize=9)
    return figure


def step_histogram(steps: Mapping[str, ArrayLike]) -> Figure:
    """How many channels start with which step size Δ, on a logarithmic axis; two distributions by name."""
    figure = Figure(figsize=(_WIDTH, 2.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    bins = np.geomspace(5e-4, 2, 40).tolist()
    for (name, values), colour in zip(steps.items(), ("0.75", "black"), strict=True):
        axes.hist(np.asarray(values), bins, color=colour, edgecolor="black", label=name)
    axes.set(xscale="log", xlabel="step size Δ at the start", ylabel="number of channels")
    axes.legend(fontsize=9)
    return figure


def winner_and_balance(winner: ArrayLike, balance: ArrayLike) -> Figure:
    """Which branch wins each pixel, in three greys, beside the balance of both guides, from -1 to 1.

    Args:
        winner: (H, W); 1 where the branch of a wins, 0.5 that of f, 0 that of b.
        balance: (H, W); 1 is all a, -1 all b.
    """
    height, width = np.shape(winner)
    figure = Figure(figsize=(_WIDTH, _WIDTH / 2 * height / width + 1.05), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    greys = ListedColormap(["black", "0.5", "white"])
    first = left.imshow(winner, cmap=greys, vmin=0, vmax=1, interpolation="nearest")
    left.set(xticks=[], yticks=[])
    left.set_title("the branch with the largest share", fontsize=11)
    names = figure.colorbar(first, ax=left, location="bottom", shrink=0.8, label="branch")
    names.set_ticks([1 / 6, 1 / 2, 5 / 6], labels=["b", "f", "a"])
    drawn = signed_map(right, balance, 1, "balance of the two guides")
    figure.colorbar(drawn, ax=right, location="bottom", shrink=0.8, label="all b | all a", ticks=[-1, 0, 1])
    return figure


def map_grid(maps: Mapping[str, ArrayLike], label: str, low: float, high: float) -> Figure:
    """Maps (H, W) by title, two in a row, on one scale from dark (``low``) to bright (``high``).

    >>> [axes.get_title() for axes in map_grid({"f": np.eye(2), "a": np.eye(2)}, "grey levels", 0, 1).axes[:2]]
    ['f', 'a']
    """
    height, width = np.shape(next(iter(maps.values())))
    rows = math.ceil(len(maps) / 2)
    figure = Figure(figsize=(_WIDTH, rows * (3.7 * height / width + 0.4)), dpi=100, layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (title, x) in zip(axes.flat, maps.items(), strict=False):
        drawn = ax.imshow(x, cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
        ax.set_title(title, fontsize=11)
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.7)
    return figure
