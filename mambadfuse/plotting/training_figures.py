"""Figures of a training run: its learning rate, its curves, what its averages remember, and a run that was killed."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

_WIDTH = 8.4  # inches
_STYLES = ("-", "--", "-.", ":")


def schedule(shares: Sequence[float], warmup: int) -> Figure:
    """The share of the learning rate at each step, with the warm-up shaded.

    >>> schedule([0.5, 1, 1, 0.5], warmup=2).axes[0].get_xlabel()
    'step'
    """
    figure, axes = _axes(2.4)
    axes.axvspan(0, warmup, color="0.9")
    axes.text(0.95 * warmup, 0.06, "warm-up", ha="right", fontsize=9)
    axes.plot(shares, "k-")
    axes.set(xlabel="step", ylabel="share of the\nlearning rate", ylim=(0, 1.05), xlim=(0, None))
    return figure


def shares_in_average(decays: Sequence[float], steps: int) -> Figure:
    """How much of the average at the end of a run comes from the steps up to each step, by decay.

    >>> figure = shares_in_average([0.9], steps=3)
    >>> [round(float(share), 2) for share in figure.axes[0].lines[0].get_ydata()]
    [81.0, 90.0, 100.0]
    """
    figure, axes = _axes(2.8)
    step = np.arange(1, steps + 1)
    for d, style in zip(decays, _STYLES, strict=False):
        axes.plot(step, 100 * d ** (steps - step), "k", linestyle=style, label=f"d = {d:g}")
    axes.set(xlabel="step x", ylabel="share of E from steps\nup to x (per cent)", ylim=(0, 103))
    axes.legend(frameon=False)
    return figure


def live_curves(batches: Sequence[tuple[int, float]], pictures: Sequence[tuple[int, float]]) -> Figure:
    """The loss of batches of crops and of whole pictures never trained on, as (step, loss).

    >>> figure = live_curves([(1, 30.0), (2, 20.0)], [])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['batch of crops', 'whole pictures, never trained on']
    """
    figure, axes = _axes(3.2)
    axes.plot(*_columns(batches), color="0.6", label="batch of crops")
    axes.plot(*_columns(pictures), color="black", marker="o", label="whole pictures, never trained on")
    axes.set(xlabel="step", ylabel="loss (no unit)", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def decay_curves(steps: Sequence[int], losses: Mapping[float, Sequence[float]]) -> Figure:
    """The loss of averaged weights over the steps of one run, a line for each decay.

    >>> figure = decay_curves([10, 20], {0.0: [9, 7], 0.9: [8, 6]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['d = 0: the last weights', 'd = 0.9']
    """
    figure, axes = _axes(3.4)
    for (d, curve), style in zip(losses.items(), ("-", *_STYLES), strict=False):
        grey, label = ("0.65", "d = 0: the last weights") if d == 0 else ("black", f"d = {d:g}")
        axes.plot(steps, curve, color=grey, linestyle=style, linewidth=3 if d == 0 else 1.5, label=label)
    axes.set(xlabel="step", ylabel="loss of pictures\nnever trained on (no unit)", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.legend(frameon=False)
    return figure


def resumed_curve(
    whole: Sequence[tuple[int, float]], resumed: Sequence[tuple[int, float]], restart: int, kill: int
) -> Figure:
    """The loss of a run that was never stopped and of one that was killed, as (step, loss).

    Args:
        whole: of the run that was never stopped.
        resumed: of the one that was.
        restart: the step of the checkpoint from which it started again.
        kill: the last step in its log when it was killed; the steps since the checkpoint are shaded.

    >>> curve = [(1, 3.0), (2, 2.0)]
    >>> len(resumed_curve(curve, curve, restart=1, kill=2).axes[0].lines)
    3
    """
    figure, axes = _axes(3.2)
    axes.axvspan(restart, kill, color="0.85", label="computed twice")
    axes.plot(*_columns(whole), color="0.65", linewidth=5, label="never stopped")
    axes.plot(*_columns(resumed), color="black", linewidth=1.2, linestyle="--", label="killed and resumed")
    axes.axvline(kill, color="black", linewidth=1, linestyle=":", label="killed here")
    axes.set(xlabel="step", ylabel="loss of the batch (no unit)", ylim=(0, None))
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
    return figure


def loss_bars(losses: Mapping[str, float], trained: str) -> Figure:
    """The loss of several fused pictures as bars, the one that was ``trained`` here dark.

    >>> [text.get_text() for text in loss_bars({"mean": 9.04, "mine": 7.1}, "mine").axes[0].texts]
    ['9.0', '7.1']
    """
    figure, axes = _axes(2.2)
    greys = ["0.35" if name == trained else "0.8" for name in losses]
    drawn = axes.barh(list(losses), list(losses.values()), color=greys, edgecolor="black")
    axes.bar_label(drawn, fmt="%.1f", padding=3)
    axes.set(xlabel="published loss (no unit), lower is better", xlim=(0, 1.2 * max(losses.values())))
    axes.invert_yaxis()
    return figure


def noisy_descent(weights: Sequence[float], averages: Sequence[float], best: float) -> Figure:
    """One weight over the steps of a noisy descent, its moving average, and the best value as a dotted line.

    >>> [line.get_label() for line in noisy_descent([0, 1], [0, 0.5], best=1).axes[0].lines]
    ['weight W', 'average E', 'best']
    """
    figure, axes = _axes(2.8)
    axes.plot(weights, color="0.65", linewidth=1, label="weight W")
    axes.plot(averages, color="black", linewidth=2, label="average E")
    axes.axhline(best, color="black", linewidth=0.8, linestyle=":", label="best")
    axes.set(xlabel="step", ylabel="weight (no unit)", ylim=(best - 1.2, best + 1))
    axes.legend(frameon=False, loc="lower right", ncols=3)
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), dpi=100, layout="constrained")
    return figure, figure.subplots()


def _columns(points: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    """Steps and losses of (step, loss), (2, T); of no point two empty columns."""
    return np.array(points, dtype=float).reshape(-1, 2).T
