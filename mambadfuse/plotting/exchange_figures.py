"""Figures of channel exchange: which channels change sides, the matrix, shares of the other camera, Grad-CAM."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from mambadfuse.plotting.diverging import signed_map
from mambadfuse.plotting.pictures import Box

_WIDTH = 8.4  # inches


def channel_swap(channels: int, period: int) -> Figure:
    """The channels of both streams as boxes before and after the exchange; those of a are dark, those of b white.

    >>> len(channel_swap(6, 2).axes[0].patches)
    24
    """
    figure = Figure(figsize=(_WIDTH, 2.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    swapped = [period > 0 and c % period == 0 for c in range(channels)]
    right = channels + 2.5
    for c, moves in enumerate(swapped):
        _channel(axes, c, 1, "a", c)
        _channel(axes, c, 0, "b", c)
        _channel(axes, right + c, 1, "b" if moves else "a", c)
        _channel(axes, right + c, 0, "a" if moves else "b", c)
        if moves:
            arrow = {"arrowstyle": "<->", "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (c + 0.5, 0.85), (c + 0.5, 1.15), arrowprops=arrow)
    axes.text(channels / 2, 2.1, "before", ha="center")
    axes.text(right + channels / 2, 2.1, f"after the exchange, p = {period}", ha="center")
    for y, side in ((1.5, "a"), (0.4, "b")):
        axes.text(-0.3, y, f"stream ${side}$", ha="right", va="center")
        axes.text(right - 0.3, y, f"stream ${side}'$", ha="right", va="center")
    axes.set(xlim=(-2, right + channels + 0.1), ylim=(-0.1, 2.5))
    axes.set_axis_off()
    return figure


def _channel(axes: Axes, x: float, row: int, side: str, channel: int) -> None:
    face, ink = ("0.3", "white") if side == "a" else ("white", "black")
    bottom = row * 1.15
    axes.add_patch(Rectangle((x + 0.04, bottom), 0.92, 0.85, facecolor=face, edgecolor="black"))
    axes.text(x + 0.5, bottom + 0.42, f"{side}{channel}", color=ink, ha="center", va="center", fontsize=9)


def permutation_matrix(axes: Axes, P: ArrayLike, period: int) -> None:
    """Draws P (2 C, 2 C): a black square says which channel comes from where."""
    values = np.asarray(P)
    channels = len(values) // 2
    axes.imshow(values, cmap="Greys", vmin=0, vmax=1)
    names = [(side, c) for side in "ab" for c in range(channels)]
    axes.set_xticks(range(2 * channels), [f"{side}{c}" for side, c in names], fontsize=8)
    axes.set_yticks(range(2 * channels), [f"{side}'{c}" for side, c in names], fontsize=8)
    axes.axhline(channels - 0.5, color="0.5", linewidth=1)
    axes.axvline(channels - 0.5, color="0.5", linewidth=1)
    axes.set(title=f"P for C = {channels}, p = {period}", xlabel="channel before", ylabel="channel after")


def permutation_figure(P: ArrayLike, period: int) -> Figure:
    """P alone."""
    figure = Figure(figsize=(4.2, 4.2), dpi=100, layout="constrained")
    permutation_matrix(figure.subplots(), P, period)
    return figure


def share_curves(
    measured: Mapping[str, Sequence[Sequence[float]]], periods: Sequence[int], channels: int
) -> Figure:
    """For each title, the share of the other camera against the period, one line for each number of blocks.

    Args:
        measured: by title; for each period the shares after 1, 2, ... blocks.
        periods: the periods, 0 for no exchange.
        channels: C, for the share of channels that change sides.
    """
    figure = Figure(figsize=(_WIDTH, 3.4), dpi=100, layout="constrained")
    places = range(len(periods))
    swapped = [math.ceil(channels / p) / channels if p else 0 for p in periods]
    for axes, (title, shares) in zip(
        figure.subplots(1, len(measured), sharey=True, squeeze=False)[0], measured.items(), strict=True
    ):
        axes.plot(places, swapped, "x:", color="0.4", label="share of channels swapped")
        for k, style in zip(range(len(shares[0])), ("o-", "s--", "^-."), strict=False):
            label = f"after {k + 1} block{'s' * (k > 0)}"
            axes.plot(places, [share[k] for share in shares], style, color="black", label=label)
        axes.set_xticks(places, [str(p) for p in periods])
        axes.set(title=title, xlabel="period p (0: no exchange)")
    figure.axes[0].set_ylabel("share S of the other camera")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def permutation_and_shares(P: ArrayLike, period: int, shares: Sequence[float]) -> Figure:
    """P beside the share of the other camera in stream a after 0, 1, 2, ... blocks."""
    figure = Figure(figsize=(_WIDTH, 3.9), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    permutation_matrix(left, P, period)
    right.bar(["start", *(str(k) for k in range(1, len(shares) + 1))], [0, *shares], color="0.3")
    right.axhline(0.5, color="0.5", linestyle=":")
    right.set(ylim=(0, 1), xlabel="after block", ylabel="share S of the other camera", title="stream a")
    return figure


def grad_cam_grid(
    maps: Mapping[tuple[str, str], ArrayLike], pictures: Mapping[str, ArrayLike], window: Box
) -> Figure:
    """One row for each stream: its picture with the window, then its signed Grad-CAM map at each place.

    Args:
        maps: M (H, W) by place and side; both maps of a place share one scale.
        pictures: (H, W) by side, in [0, 1].
        window: the pixels whose mean brightness was asked for.
    """
    places = list(dict.fromkeys(place for place, _ in maps))
    height, width = np.shape(next(iter(pictures.values())))
    size = (_WIDTH, 2 * (_WIDTH / (len(places) + 1) * height / width + 0.25) + 0.9)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    axes = figure.subplots(len(pictures), len(places) + 1, squeeze=False)
    for row, (side, picture) in enumerate(pictures.items()):
        axes[row, 0].imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes[row, 0].set(xticks=[], yticks=[], ylabel=f"stream {side}")
        for edge, thickness in (("black", 3), ("white", 1.2)):  # visible on bright and on dark ground
            corner, tall, wide = (window.left, window.top), window.height, window.width
            axes[row, 0].add_patch(
                Rectangle(corner, wide, tall, fill=False, edgecolor=edge, linewidth=thickness)
            )
        for column, place in enumerate(places, start=1):
            reach = np.percentile([np.abs(np.asarray(maps[place, each])) for each in pictures], 99)
            drawn = signed_map(
                axes[row, column], np.asarray(maps[place, side]) / reach, 1, place if row == 0 else ""
            )
    axes[0, 0].set_title("picture, window R", fontsize=11)
    label = "M, relative to its 99th percentile at that place"
    figure.colorbar(
        drawn, ax=axes, location="bottom", shrink=0.5, aspect=30, label=label, ticks=[-1, 0, 1], extend="both"
    )
    return figure
