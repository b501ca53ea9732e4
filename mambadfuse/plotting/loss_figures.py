"""Figures of the losses: the robust distance beside the plain one, and runs of training against what is reachable."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

_WIDTH = 8.4  # inches


def robust_distance(scale: float) -> Figure:
    """s log(1 + d / s) beside the plain distance d, and the pull, the slope of either; d in units of [0, 1].

    >>> [axes.get_ylabel() for axes in robust_distance(0.1).axes]
    ['cost of the pixel', 'pull towards the target']
    """
    figure = Figure(figsize=(_WIDTH, 2.8), dpi=100, layout="constrained")
    d = np.linspace(0, 0.6, 200)
    left, right = figure.subplots(1, 2)
    for axes, plain, robust in (
        (left, d, scale * np.log1p(d / scale)),
        (right, np.ones_like(d), 1 / (1 + d / scale)),
    ):
        axes.plot(d, plain, "k--", label="plain")
        axes.plot(d, robust, "k-", label="robust")
        axes.axvline(scale, color="0.6", linestyle=":", label=f"d = {scale:g}")
        axes.set(xlabel="d, distance of f from its target", ylim=(0, None))
    left.set_ylabel("cost of the pixel")
    right.set_ylabel("pull towards the target")
    left.legend(fontsize=9)
    return figure


def training_runs(curves: Mapping[tuple[str, int], Sequence[float]], floor: float) -> Figure:
    """Losses against the step by choice and seed; a choice has a line style, a seed a width; the floor is grey.

    >>> len(training_runs({("one", 0): [3, 2], ("other", 0): [3, 1]}, 1).axes[0].lines)
    3
    """
    figure = Figure(figsize=(_WIDTH, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    choices = list(dict.fromkeys(choice for choice, _ in curves))
    for (choice, seed), curve in curves.items():
        style = ("--", "-", ":")[choices.index(choice)]
        axes.plot(curve, "black", linestyle=style, linewidth=1 + seed, label=f"{choice}, seed {seed}")
    axes.axhline(floor, color="0.6", linewidth=6, zorder=0, label="the pixels themselves")
    axes.set(xlabel="step", ylabel="published loss (no unit)", yscale="log")
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter())
    axes.legend(fontsize=9)
    return figure
