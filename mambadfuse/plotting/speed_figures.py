"""Figures of speed: where a network's time goes, quality against time, what a teacher changes, flicker in motion."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_WIDTH = 8.4  # inches
_MARKS = "os^Dv<>*"
_LINES = ("-", "--", ":", "-.")


def stage_shares(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """The share of each stage of a network, a bar for each kind of share.

    Args:
        shares: in [0, 1], by kind ("operations", "time") and stage.

    >>> figure = stage_shares({"operations": {"low": 0.2, "high": 0.8}, "time": {"low": 0.5, "high": 0.5}})
    >>> figure.axes[0].get_xlabel()
    'share of the whole pass (per cent)'
    """
    figure, axes = _axes(0.55 * len(next(iter(shares.values()))) + 1)
    height = 0.8 / len(shares)
    for k, (kind, by_stage) in enumerate(shares.items()):
        places = np.arange(len(by_stage)) + (k - (len(shares) - 1) / 2) * height
        face = str(0.85 - 0.5 * k / max(1, len(shares) - 1))
        per_cent = [100 * share for share in by_stage.values()]
        drawn = axes.barh(places, per_cent, height, color=face, edgecolor="black", label=kind)
        axes.bar_label(drawn, fmt="%.0f", padding=3, fontsize=9)
        axes.set_yticks(range(len(by_stage)), list(by_stage))
    axes.invert_yaxis()
    axes.set(xlabel="share of the whole pass (per cent)")
    axes.margins(x=0.1)
    axes.legend(frameon=False, loc="lower right")
    return figure


def quality_against_time(
    points: Mapping[str, tuple[float, float]], levels: Mapping[str, float], *, quality: str, limit: float
) -> Figure:
    """Quality over milliseconds a picture, on a logarithmic axis; the left is faster.

    Args:
        points: (milliseconds, quality) by network; a line joins them in the order of their times.
        levels: the quality of what takes nearly no time, by name, as horizontal lines.
        quality: label of the vertical axis.
        limit: milliseconds of a frame at the rate of a video, a dotted vertical line.

    >>> figure = quality_against_time({"x": (10, 2.0), "y": (99, 1.0)}, {"mean": 3}, quality="rank", limit=40)
    >>> figure.axes[0].get_xlabel(), [text.get_text() for text in figure.axes[0].texts]
    ('milliseconds a picture', ['x', 'y', 'mean'])
    """
    figure, axes = _axes(3.4)
    joined = sorted(points.items(), key=lambda point: point[1])
    axes.plot(*zip(*(point for _, point in joined), strict=True), "-", color="0.6", zorder=1)
    for k, (name, point) in enumerate(joined):
        axes.plot(*point, _MARKS[k % len(_MARKS)], color="black", markersize=8)
        axes.annotate(name, point, (0, 14), textcoords="offset points", ha="center", backgroundcolor="white")
    times = [milliseconds for milliseconds, _ in points.values()]
    for k, (name, level) in enumerate(levels.items(), start=1):
        axes.axhline(level, color="0.4", linestyle=_LINES[k % len(_LINES)], linewidth=1)
        axes.text(max(times) * 2.5, level, name, ha="right", va="bottom", fontsize=9)
    axes.axvline(
        limit, color="black", linewidth=0.8, linestyle=":", label=f"{1000 / limit:.0f} pictures a second"
    )
    axes.set(xscale="log", xlabel="milliseconds a picture", ylabel=quality)
    axes.set_xlim(min(times) / 2, max(times) * 3)
    axes.margins(y=0.15)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def taught_against_alone(results: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """A plot for each measure: its value by arm of an experiment, a line for each seed.

    Args:
        results: by measure, then by arm: the values of the seeds, in one order.

    >>> figure = taught_against_alone({"loss": {"alone": [3, 4], "taught": [2, 3]}, "VIF": {"alone": [1, 2]}})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'VIF']
    """
    figure = Figure(figsize=(_WIDTH, 2.9), dpi=100, layout="constrained")
    for axes, (measure, by_arm) in zip(
        figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True
    ):
        for seed, values in enumerate(zip(*by_arm.values(), strict=True)):
            mark = _MARKS[seed % len(_MARKS)]
            axes.plot(range(len(values)), values, color="0.35", marker=mark, label=f"seed {seed}")
        axes.set_xticks(range(len(by_arm)), list(by_arm))
        axes.set(ylabel=measure, xlim=(-0.3, len(by_arm) - 0.7))
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure


def flicker_by_motion(moves: Sequence[int], flicker: Mapping[str, Sequence[float]]) -> Figure:
    """Flicker along the motion over how far the scene moves from frame to frame, a line for each video.

    >>> figure = flicker_by_motion([0, 1, 2], {"infrared": [4, 4, 4], "fused": [4, 6, 4]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['infrared', 'fused']
    """
    figure, axes = _axes(3.0)
    for k, (name, values) in enumerate(flicker.items()):
        line, mark = _LINES[k % len(_LINES)], _MARKS[k % len(_MARKS)]
        axes.plot(moves, values, color="black", linestyle=line, marker=mark, label=name)
    axes.set(xlabel="motion (pixels a frame)", ylabel="flicker (grey levels)")
    axes.set_ylim(0, 1.1 * max(map(max, flicker.values())))
    axes.set_xticks(moves)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), dpi=100, layout="constrained")
    return figure, figure.subplots()
