"""Figures of paired seeds: a row of an ablation beside the default, seed by seed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_WIDTH = 8.4  # inches
_MARKS = "os^Dv<>*"


def paired_seeds(
    seeds: Sequence[int],
    default: ArrayLike,
    row: ArrayLike,
    interval: tuple[float, float],
    *,
    names: tuple[str, str],
    metric: str,
) -> Figure:
    r"""The score of each seed with the default and with a row, and the differences with the 95 % interval.

    Args:
        seeds: with which both were trained.
        default: scores of the default, (seeds,).
        row: scores of the row, (seeds,).
        interval: of their mean difference, row minus default.
        names: of the default and of the row.
        metric: name of the score.

    >>> figure = paired_seeds(
    ...     [0, 1], [0.5, 0.6], [0.4, 0.6], (-0.7, 0.6), names=("default", "mine"), metric="VIF"
    ... )
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['VIF, mean over pictures', 'VIF, mine\nminus default']
    """
    x, y = np.asarray(row, dtype=float), np.asarray(default, dtype=float)
    figure = Figure(figsize=(_WIDTH, 3.0), dpi=100, layout="constrained")
    scores, differences = figure.subplots(1, 2, width_ratios=(3, 2))
    for k, seed in enumerate(seeds):
        mark = _MARKS[k % len(_MARKS)]
        scores.plot([0, 1], [y[k], x[k]], color="0.4", marker=mark, label=f"seed {seed}")
        differences.plot(0, x[k] - y[k], color="0.4", marker=mark, linestyle="none")
    scores.set(xlim=(-0.3, 1.3), ylabel=f"{metric}, mean over pictures")
    scores.set_xticks([0, 1], names)
    scores.legend(frameon=False, fontsize=9)
    low, high = interval
    mean = (x - y).mean()
    reach = [[mean - low], [high - mean]]
    differences.errorbar(0.5, mean, yerr=reach, color="black", marker="o", capsize=5)
    differences.axhline(0, color="black", linewidth=0.8, linestyle=":")
    differences.set(xlim=(-0.5, 1), ylabel=f"{metric}, {names[1]}\nminus {names[0]}")
    differences.set_xticks([0, 0.5], ["seeds", "mean,\n95 % interval"])
    return figure
