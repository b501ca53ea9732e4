"""Scores against a parameter, and published scores beside those of rules."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mambadfuse.evaluation.published import PublishedSet

_BLUE = "#0072B2"
_LINES = ("-", "--", ":", "-.")
# under the convention "literature"; other scores have no unit
_UNITS = {"EN": "bit", "SD": "grey levels", "SF": "grey levels", "MI": "nats"}
_MARKS = {"mean": ("s", "0.6"), "maximum": ("D", "black"), "laplacian pyramid": ("^", "0.6")}


def score_curves(
    parameter: Sequence[float],
    curves: Mapping[str, ArrayLike],
    levels: Mapping[str, Mapping[str, float]],
    *,
    xlabel: str,
    label: str,
) -> Figure:
    """One plot for each score: its curve over a parameter, and horizontal lines at what other images reach.

    Args:
        parameter: its values, (T,).
        curves: the values (T,) by score.
        levels: for each other image, its value by score.
        xlabel: name of the parameter.
        label: what the curve belongs to.

    >>> figure = score_curves([0, 1], {"MI": [1, 2]}, {"mean": {"MI": 1.5}}, xlabel="t", label="blend")
    >>> figure.axes[0].get_title(), figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('MI (nats)', 't', 'score')
    """
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, values) in zip(panels, curves.items(), strict=True):
        axes.plot(parameter, values, "o-", color=_BLUE, markersize=4, label=label)
        for line, (other, reached) in zip(_LINES, levels.items(), strict=False):
            axes.axhline(reached[name], color="0.3", linestyle=line, label=other)
        axes.set(title=_with_unit(name), xlabel=xlabel)
    panels[0].set_ylabel("score")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def published_dots(published: PublishedSet, names: Sequence[str]) -> Figure:
    """The published means of networks, as circles, above those of the three rules; right is better.

    >>> from mambadfuse.evaluation.published import published
    >>> figure = published_dots(published("TNO-25"), ["MI", "VIF"])
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['MI (nats), mean of 25 pairs', 'VIF, mean of 25 pairs']
    """
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        values = [row.means[name] for row in published.rows]
        axes.plot(values, np.ones(len(values)), "o", color=_BLUE, markerfacecolor="none", markersize=9)
        for rule, (marker, colour) in _MARKS.items():
            axes.plot(published.baselines[rule][name], 0, marker, color=colour, markersize=9, label=rule)
        axes.axvline(published.baselines["maximum"][name], color="black", linewidth=0.8, linestyle=":")
        axes.set(xlabel=f"{_with_unit(name)}, mean of {published.pairs} pairs", ylim=(-0.6, 1.6))
        axes.set_yticks([0, 1], ["no network", "networks"])
        axes.margins(x=0.1)
        axes.grid(axis="x", color="0.9")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _with_unit(score: str) -> str:
    return f"{score} ({_UNITS[score]})" if score in _UNITS else score
