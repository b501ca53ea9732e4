"""Figures of the selective scan: softplus, the tree of pairs, the Mamba unit, and what a trained model does."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import ArrayLike

_WIDTH = 8.4  # inches
_VERMILION = "#d55e00"  # Okabe and Ito; for marks that are also labelled
_LINES = ("k-", "k--", "k:")
_MARKED = ("ko-", "ks--", "k^:")
_FACES = ("black", "white", "0.6")


def softplus_curve(points: Sequence[float]) -> Figure:
    """softplus(x) = log(1 + e^x) beside its two limits, e^x and x, with some points marked and labelled.

    >>> softplus_curve([-2, 0, 3]).axes[0].get_xlabel()
    'x'
    """
    figure = Figure(figsize=(4.8, 2.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    x = np.linspace(-5, 5, 201)
    axes.plot(x, np.logaddexp(0, x), "k-", linewidth=2, label="softplus(x)")
    axes.plot(x, np.maximum(x, 0), color="0.6", linestyle="--", label="max(x, 0)")
    for point in points:
        value = float(np.logaddexp(0, point))
        axes.plot(point, value, "o", markeredgecolor="black", markerfacecolor="white")
        axes.annotate(f"{value:.2f}", (point, value), (-8, 8), textcoords="offset points", ha="right")
    axes.set(xlabel="x", ylabel="step Δ", ylim=(-0.2, 5.2))
    axes.legend(fontsize=9)
    return figure


def pair_tree(length: int) -> Figure:
    """The scan by pairs of ``length`` = 2, 4, 8, ... tokens: neighbours are joined on the way up, states spread down.

    White boxes are rounds that have been joined, grey ones are states h_t. Solid arrows compute, dashed ones copy.

    >>> [text.get_text() for text in pair_tree(4).axes[0].texts][:4]
    ['0', '1', '2', '3']
    """
    depth = length.bit_length() - 1
    figure = Figure(figsize=(_WIDTH, 0.62 * (2 * depth + 1) + 0.3), dpi=100, layout="constrained")
    axes = figure.subplots()
    for level in range(depth + 1):
        for k in range(length >> level):
            _round(axes, level, k)
    for level in reversed(range(depth)):
        for k in range(length >> level):
            _state(axes, level, k, 2 * depth - level)
    for text, y in (("tokens", 0), ("joined,\nlevel by level", depth / 2), ("spread again", 1.5 * depth)):
        axes.text(-0.25, y, text, ha="right", va="center", fontsize=9)
    axes.set(xlim=(-2, length), ylim=(-0.4, 2 * depth + 0.4))
    axes.set_axis_off()
    return figure


def _round(axes: Axes, level: int, k: int) -> None:
    """Rounds of block k of 2^level tokens, joined into one, with arrows from its two halves."""
    size = 2**level
    first, x = k * size, (k + 0.5) * size
    for half in (-size / 4, size / 4) if level else ():
        _arrow(axes, (x + half, level - 0.76), (x, level - 0.24))
    _box(axes, x, level, str(first) if size == 1 else f"{first}-{first + size - 1}", "white")


def _state(axes: Axes, level: int, k: int, y: float) -> None:
    """The state after block k of 2^level tokens, with an arrow from the state one level above that gives it."""
    size = 2**level
    x, source = (
        (k + 0.5) * size,
        (k - 1) // 2,
    )  # an odd block ends with its parent, an even one follows the one before
    if k:
        start = (source + 0.5) * 2 * size
        _arrow(axes, (start, y - 0.76), (x, y - 0.24), line="--" if k % 2 else "-")
    _box(axes, x, y, f"$h_{{{(k + 1) * size - 1}}}$", "0.85")


def mamba_unit() -> Figure:
    """The Mamba unit from left to right: input projection, convolution, scan, gate, output projection."""
    figure = Figure(figsize=(_WIDTH, 2.9), dpi=100, layout="constrained")
    axes = figure.subplots()
    lane = [(1.9, "causal\nconv"), (3.2, "silu"), (4.9, "selective\nscan")]
    for x, name in ((0.6, "in_proj\nC to 2 E"), (7.9, "out_proj\nE to C")):
        _box(axes, x, 0, name, "white", 1.1, 0.8)
    for x, name in lane:
        _box(axes, x, 0.9, name, "0.85" if "scan" in name else "white", 1.0, 0.7)
    _box(axes, 4.9, -0.9, "silu", "white", 1.0, 0.7)
    _box(axes, 4.9, 2.1, "Δ, B, C from the token", "white", 2.4, 0.5)
    axes.plot(6.5, 0, "o", markersize=19, markerfacecolor="white", markeredgecolor="black")
    axes.text(6.5, 0, "\u00d7", ha="center", va="center", fontsize=14)
    ways = [(-0.5, 0, 0.05, 0), (1.15, 0.2, 1.4, 0.7), (2.4, 0.9, 2.7, 0.9), (3.7, 0.9, 4.4, 0.9)]
    ways += [(5.4, 0.9, 6.3, 0.25), (1.15, -0.2, 4.4, -0.9), (5.4, -0.9, 6.3, -0.25), (6.75, 0, 7.35, 0)]
    ways += [(8.45, 0, 9.1, 0), (3.9, 1.0, 3.9, 1.85), (4.9, 1.85, 4.9, 1.27)]
    for x_0, y_0, x_1, y_1 in ways:
        _arrow(axes, (x_0, y_0), (x_1, y_1))
    for x, y, name in ((-0.65, 0, "x"), (9.25, 0, "y"), (1.1, 0.6, "u"), (2.6, -0.75, "z")):
        axes.text(x, y, f"${name}$", ha="center", va="center", fontsize=12)
    axes.set(xlim=(-0.9, 9.5), ylim=(-1.4, 2.5))
    axes.set_axis_off()
    return figure


def learning_curves(
    curves: Mapping[str, Sequence[float]],
    answers: Mapping[str, ArrayLike],
    steps: int,
    chance: Mapping[str, float],
) -> Figure:
    """Shares of right answers during training, and at its end for each question; chance levels as labelled lines."""
    figure = Figure(figsize=(_WIDTH, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for k, (name, curve) in enumerate(curves.items()):
        left.plot(np.linspace(steps / len(curve), steps, len(curve)), curve, _LINES[k], label=name)
        shares = np.asarray(answers[name])
        places = np.arange(1, len(shares) + 1) + 0.4 * (k - (len(curves) - 1) / 2)
        right.bar(places, shares, 0.38, color=_FACES[k], edgecolor="black")
    for (name, level), line in zip(chance.items(), ("-", ":"), strict=True):
        for axes in (left, right):
            axes.axhline(level, color=_VERMILION, linewidth=1.5, linestyle=line)
        left.text(steps, level - 0.01, name, color=_VERMILION, fontsize=8, ha="right", va="top")
    left.set(xlabel="training step", ylabel="share of right answers", ylim=(0, 1.05))
    right.set(xlabel="question", ylabel="share of right answers", ylim=(0, 1.05))
    left.legend(loc="center right", fontsize=9)
    return figure


def steps_on_text(axes: Axes, steps: ArrayLike, text: str) -> None:
    """Draws the step Δ at each token of a text as bars; dots are not named."""
    axes.bar(range(len(text)), steps, color="black")
    named = [t for t, symbol in enumerate(text) if symbol != "."]
    axes.set_xticks(named, [text[t] for t in named])
    axes.set(xlabel="token (dots not named)", ylabel="step Δ (median channel)")


def steps_and_answers(steps: ArrayLike, text: str, answers: Sequence[str]) -> Figure:
    """The steps on one text, below the answers to its questions.

    >>> steps_and_answers([0.2, 0.0, 0.1], "A.1", ["A"]).axes[0].get_title()
    'answers: A'
    """
    figure = Figure(figsize=(_WIDTH, 2.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    steps_on_text(axes, steps, text)
    axes.set_title("answers: " + " ".join(answers))
    return figure


def steps_and_lengths(
    steps: ArrayLike, text: str, lengths: Sequence[int], shares: Mapping[str, Sequence[float]], chance: float
) -> Figure:
    """The steps on one text beside the shares of right answers on longer and longer texts."""
    figure = Figure(figsize=(_WIDTH, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 2))
    steps_on_text(left, steps, text)
    for (name, values), look in zip(shares.items(), _MARKED, strict=False):
        right.plot(lengths, values, look, label=name)
    right.axhline(chance, color=_VERMILION, linewidth=1, linestyle=":")
    right.set(xscale="log", xlabel="places in the text", ylabel="share of right answers", ylim=(0, 1.05))
    right.set_xticks(lengths, [str(n) for n in lengths])
    right.minorticks_off()
    right.legend(fontsize=8)
    return figure


def cost_curves(
    costs: Mapping[str, Sequence[float]], lengths: Sequence[int], powers: Sequence[int], end: int
) -> Figure:
    """Seconds against length, both logarithmic; dotted, extrapolated to ``end`` tokens with a power for each name."""
    figure = Figure(figsize=(_WIDTH, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    ends = np.array([lengths[-1], end])
    for (name, times), look, power in zip(costs.items(), _MARKED, powers, strict=False):
        axes.loglog(lengths, times, look, label=name)
        axes.loglog(ends, times[-1] * (ends / ends[0]) ** power, "grey", linestyle=":")
    axes.axvline(end, color=_VERMILION, linewidth=1)
    lowest = min(min(times) for times in costs.values())
    axes.text(0.93 * end, lowest, "a picture,\n640 x 480", color=_VERMILION, ha="right")
    axes.set(xlabel="length L (tokens)", ylabel="CPU time of a forward pass (s)")
    axes.legend()
    return figure


def _box(
    axes: Axes, x: float, y: float, text: str, face: str, width: float = 0.8, height: float = 0.44
) -> None:
    corner = (x - width / 2, y - height / 2)
    axes.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle="round,pad=0.02", facecolor=face, edgecolor="black")
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], line: str = "-") -> None:
    look = {"arrowstyle": "->", "color": "0.3", "linestyle": line, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=look)
