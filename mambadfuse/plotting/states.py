"""A state-space model drawn: a bucket with a hole, two tanks with a pipe, an input that is held, and memories."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

_WATER, _ORANGE, _BLUE = "#9ecae8", "#D55E00", "#0072B2"
_LOOKS = {"exact": ("black", "o"), "Euler": (_ORANGE, "x:"), "Mamba": (_BLUE, "s--")}


def bucket(inputs: Sequence[float], levels: Sequence[float]) -> Figure:
    """A bucket with a hole after each step: what is poured in above it, and the water left in it, in litres.

    >>> [axes.get_title() for axes in bucket([4, 0], [4, 2]).axes]
    ['t = 0', 't = 1']
    """
    figure = Figure(figsize=(8.4, 2.5), layout="constrained")
    full = 1.15 * max(levels)
    panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    for t, (axes, u, h) in enumerate(zip(panels, inputs, levels, strict=True)):
        _vessel(axes, 0.0, 1.0, full, h)
        axes.text(0.5, h + 0.05 * full, f"{h:g}", ha="center", fontsize=11)
        axes.plot([0.5] * 2, [-0.14 * full, -0.26 * full], ".", color=_BLUE)  # drops
        if u:
            _arrow(axes, (0.5, 1.55 * full), (0.5, 1.1 * full), f"+ {u:g}")
        axes.set(title=f"t = {t}", xlim=(-0.15, 1.15), ylim=(-0.35 * full, 1.75 * full))
        axes.axis("off")
    return figure


def tanks(pipe: float = 1.0, hole: float = 1.0) -> Figure:
    """Two tanks with a pipe between them and a hole in each; water comes into the first, and the second is read.

    >>> figure = tanks()
    >>> sorted(text.get_text() for text in figure.axes[0].texts if text.get_text())[:3]
    ['B u: pour in here', 'hole: 1 h₁ per unit of time', 'hole: 1 h₂ per unit of time']
    """
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    axes = figure.subplots()
    for left, level, name in ((0.0, 0.7, "h₁"), (3.0, 0.35, "h₂")):
        _vessel(axes, left, 1.4, 1.0, level)
        axes.text(left + 0.7, level / 2 + 0.08, name, ha="center", va="center", fontsize=13)
        axes.plot([left + 0.7] * 2, [-0.09, -0.17], ".", color=_BLUE)
        note = f"hole: {hole:g} {name} per unit of time"
        axes.text(left + 0.7, -0.32, note, ha="center", fontsize=9)
    axes.add_patch(Rectangle((1.4, 0.07), 1.6, 0.1, facecolor=_WATER, edgecolor="black"))
    pipe_note = f"pipe:\n{pipe:g} h₁ to the right,\n{pipe:g} h₂ to the left"
    axes.text(2.2, 0.24, pipe_note, ha="center", fontsize=8)
    _arrow(axes, (0.7, 1.45), (0.7, 1.05), "B u: pour in here")
    _arrow(axes, (4.4, 0.55), (5.1, 0.55), "")
    axes.text(5.15, 0.55, "y = C h:\nread here", va="center", fontsize=10)
    axes.set(xlim=(-0.8, 6.2), ylim=(-0.42, 1.6))
    axes.axis("off")
    return figure


def held_input(u: Sequence[float], delta: float, A: float, B: float) -> Figure:
    """An input that stands still during each token, above the state of dh/dt = A h + B u that follows it.

    >>> [axes.get_ylabel() for axes in held_input([4, 0], 0.7, -1.0, 1.0).axes]
    ['input u', 'state h']
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    top.stairs(u, np.arange(len(u) + 1) * delta, color="black", linewidth=2, baseline=None)
    top.plot(np.arange(len(u)) * delta, u, "ko", label="token")
    start, fine = 0.0, np.linspace(0, delta, 40)
    for t, u_t in enumerate(u):
        rest = -B * u_t / A
        h = rest + (start - rest) * np.exp(A * fine)
        bottom.plot(t * delta + fine, h, color=_BLUE, linewidth=2, label=None if t else "between tokens")
        bottom.hlines(
            rest, t * delta, (t + 1) * delta, color="0.6", linestyle=":", label=None if t else "rest"
        )
        start = h[-1]
        bottom.plot((t + 1) * delta, start, "ks", label=None if t else "$h_t$, at the end of a token")
    top.set(ylabel="input u")
    bottom.set(xlabel="time (in the unit of Δ)", ylabel="state h")
    for axes in (top, bottom):
        axes.legend(fontsize=8, loc="upper right")
    return figure


def tap_responses(responses: Mapping[float, Mapping[str, ArrayLike]], time: float = 10.0) -> Figure:
    """The level of a state behind an opened tap, by step and rule ("exact", "Euler", "Mamba"), beside the true one.

    Levels are in units of B / |A|, times in units of 1 / |A|; one plot for each step.

    >>> figure = tap_responses({0.5: {"exact": [0.39, 0.63]}})
    >>> figure.axes[0].get_title(), figure.axes[0].get_ylabel()
    ('Δ = 0.5', 'level h')
    """
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    panels = figure.subplots(1, len(responses), sharey=True, squeeze=False)[0]
    fine = np.linspace(0, time, 200)
    for axes, (step, levels) in zip(panels, responses.items(), strict=True):
        axes.plot(fine, 1 - np.exp(-fine), color="grey", label="true level")
        for rule, h in levels.items():
            colour, look = _LOOKS[rule]
            when = step * np.arange(1, len(np.asarray(h)) + 1)
            axes.plot(when, h, look, color=colour, markersize=4, label=rule)
        axes.set(title=f"Δ = {step:g}", xlabel="time (in units of 1 / |A|)", ylim=(-2, 4))
        axes.axhline(0, color="black", linewidth=0.5)
    panels[0].set_ylabel("level h")
    panels[0].legend(fontsize=8)
    return figure


def memory_curves(lengths: Mapping[float, float], row: int) -> Figure:
    """What is left of an input over its age, for each step and its memory length, and the length of an image row.

    >>> memory_curves({0.1: 10.0}, row=480).axes[0].get_xlabel()
    'age k of an input (tokens)'
    """
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    axes = figure.subplots()
    k = np.arange(1, 10_000)
    for line, (step, length) in zip(("-", "--", ":", "-."), lengths.items(), strict=False):
        axes.plot(k, np.exp(-k / length), "k" + line, label=f"Δ = {step:g}")
        axes.plot(length, np.exp(-1), "ko")
    axes.axhline(np.exp(-1), color="grey", linewidth=0.8)
    axes.text(1.1, np.exp(-1) + 0.03, "1 / e", color="grey")
    axes.axvline(row, color=_ORANGE, linewidth=1.5)
    axes.text(row * 1.05, 0.82, f"one row of an\nimage {row} wide", color=_ORANGE)
    axes.set(xscale="log", xlabel="age k of an input (tokens)", ylabel="share that is left", ylim=(0, 1.05))
    axes.legend(loc="lower left")
    return figure


def kernel_fits(wanted: ArrayLike, found: Mapping[str, ArrayLike]) -> Figure:
    """Kernels by name, as lines over the age of an input, above a broad line for the one that is wanted.

    >>> kernel_fits([0, 1, 0], {"N = 1": [0.5, 0.4, 0.3]}).axes[0].get_ylabel()
    'weight K in y'
    """
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.asarray(wanted), color="grey", linewidth=5, alpha=0.4, label="wanted")
    for line, (name, kernel) in zip((":", "--", "-", "-."), found.items(), strict=False):
        axes.plot(np.asarray(kernel), "k" + line, label=name)
    axes.set(xlabel="age k of an input (tokens)", ylabel="weight K in y")
    axes.legend()
    return figure


def kernel_and_response(
    kernel: ArrayLike, signal: ArrayLike, response: ArrayLike, titles: tuple[str, str]
) -> Figure:
    """A kernel as bars over the age of an input, and beside it a signal with the response of the state to it.

    >>> figure = kernel_and_response([1, 0.5], [0, 1, 1], [0, 1, 1.5], ("memory", "rule"))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['age k (tokens)', 'token t']
    """
    figure = Figure(figsize=(8.4, 3.0), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    weights = np.asarray(kernel)
    left.bar(range(len(weights)), weights, color="black")
    left.set(xlabel="age k (tokens)", ylabel="kernel K", title=titles[0])
    right.plot(np.asarray(signal), color="grey", linewidth=1, label="signal u")
    right.plot(np.asarray(response), "k", linewidth=2, label="response y")
    right.set(xlabel="token t", ylabel="u and y", ylim=(-2, 3), title=titles[1])
    right.legend(loc="upper right", fontsize=8)
    return figure


def _vessel(axes: Axes, left: float, width: float, height: float, level: float) -> None:
    """Three walls, the water between them, and a hole in the bottom."""
    axes.add_patch(Rectangle((left, 0), width, level, facecolor=_WATER, edgecolor="none"))
    axes.plot([left, left + width], [level] * 2, color=_BLUE, linewidth=1.5)
    for start, end in (((0, 1), (0, 0)), ((0, 0), (0.44, 0)), ((0.56, 0), (1, 0)), ((1, 0), (1, 1))):
        axes.plot(
            [left + start[0] * width, left + end[0] * width],
            [start[1] * height, end[1] * height],
            color="black",
            linewidth=2,
        )


def _arrow(axes: Axes, tail: tuple[float, float], head: tuple[float, float], text: str) -> None:
    axes.annotate(
        text, head, tail, ha="center", arrowprops={"arrowstyle": "-|>", "color": "black"}, fontsize=10
    )
