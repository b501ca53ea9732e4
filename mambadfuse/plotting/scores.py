"""Plots of scores: a line through the means of each method, and boxes for their spread over the images.

Methods differ in line style, marker and position, never in colour alone.
"""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mambadfuse.evaluation.table import BASELINE, PUBLISHED, RESULT, Method, Table
from mambadfuse.metrics import LOWER_IS_BETTER
from mambadfuse.plotting.fonts import legible

_LINES = {RESULT: "-", BASELINE: "--", PUBLISHED: ":"}
_GREYS = {BASELINE: "0.2", PUBLISHED: "0.55"}
# Okabe and Ito: safe for colour-blind readers
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
_MARKERS = "osD^vP*Xd<>p1234"
_COLUMNS = 4  # of box plots


def parallel_plot(table: Table) -> Figure:
    """One line per method through its means, with the better end of every axis on top.

    Each axis runs from the worst to the best mean in the table, which are printed at its ends: the height says which
    method is better, the numbers by how much. Results are solid, baselines dashed, published rows dotted; the legend
    gives the mean ranks. Where a method has no finite mean of a metric, its line is interrupted.
    """
    figure = Figure(figsize=(1.1 * len(table.metrics) + 3.2, 4.8), layout="constrained")
    axes = figure.subplots()
    heights = np.array([_draw_axis(axes, k, table) for k in range(len(table.metrics))])  # (metrics, methods)
    by_kind = sorted(table.methods, key=lambda method: list(_LINES).index(method.kind))
    for k, method in enumerate(table.methods):
        is_result, place = method.kind == RESULT, by_kind.index(method)  # the plainest markers go to results
        colour = _COLOURS[place % len(_COLOURS)] if is_result else _GREYS[method.kind]
        axes.plot(
            heights[:, k],
            linestyle=_LINES[method.kind],
            linewidth=2.4 if is_result else 1.2,
            color=colour,
            marker=_MARKERS[place % len(_MARKERS)],
            markersize=7,
            markerfacecolor=colour if is_result else "white",
            label=f"{table.mean_ranks[method.label]:5.2f}  {method.label}",
            zorder=3 if is_result else 2,
        )
    axes.set_xlim(-0.3, len(table.metrics) - 0.7)
    axes.set_ylim(-0.14, 1.14)
    axes.set_xticks(range(len(table.metrics)), table.metrics)
    axes.tick_params(bottom=False, left=False, labelleft=False)
    axes.spines[:].set_visible(False)
    axes.set_title("best mean on top", loc="left", fontsize=9)
    legend = figure.legend(
        title="mean rank", loc="outside right upper", frameon=False, alignment="left", handlelength=3.5
    )
    for text in legend.get_texts():
        shown, family = legible(text.get_text())
        text.set(text=shown, family=family, parse_math=False)
    return figure


def box_plots(table: Table) -> Figure:
    """For each metric, one box per method: median and quartiles, with whiskers of at most 1.5 times the box.

    Outliers are circles, the mean is a diamond. Infinite scores are left out and counted in the title. Published rows
    have no scores of single images and therefore no box.
    """
    methods = [method for method in table.methods if method.scores]
    columns = min(_COLUMNS, len(table.metrics))
    rows = math.ceil(len(table.metrics) / columns)
    size = (2.6 * columns + 1.6, rows * (0.32 * len(methods) + 0.9))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, metric in zip(grid, table.metrics, strict=False):
        _draw_boxes(axes, metric, methods, table.pictures)
    for axes in grid[len(table.metrics) :]:
        axes.set_visible(False)
    shown = [legible(method.label) for method in methods]
    family = list(dict.fromkeys(name for _, families in shown for name in families))
    names = [text for text, _ in shown]
    grid[0].set_yticks(range(1, len(methods) + 1), names, family=family, parse_math=False)
    grid[0].invert_yaxis()  # the best method on top
    return figure


def _draw_axis(axes: Axes, place: int, table: Table) -> NDArray[np.float64]:
    """Draws the axis of one metric; returns the height of every method on it, 0 worst and 1 best."""
    metric = table.metrics[place]
    means = np.array([method.means.get(metric, math.nan) for method in table.methods])
    means[~np.isfinite(means)] = math.nan
    axes.axvline(place, ymin=0.11, ymax=0.89, color="0.8", linewidth=1, zorder=1)
    if np.isnan(means).all():
        return means
    worst, best = np.nanmin(means), np.nanmax(means)
    if metric in LOWER_IS_BETTER:
        worst, best = best, worst
    axes.text(place, 1.06, f"{best:.3f}", ha="center", fontsize=9)
    axes.text(place, -0.06, f"{worst:.3f}", ha="center", va="top", fontsize=9)
    return (means - worst) / (best - worst) if best != worst else np.where(np.isnan(means), means, 0.5)


def _draw_boxes(axes: Axes, metric: str, methods: list[Method], pictures: tuple[str, ...]) -> None:
    scores = np.array([[method.scores[picture][metric] for picture in pictures] for method in methods])
    infinite = np.count_nonzero(np.isinf(scores))
    boxes = axes.boxplot(
        [row[np.isfinite(row)] for row in scores],
        orientation="horizontal",
        widths=0.65,
        patch_artist=True,
        showmeans=True,
        flierprops={"marker": "o", "markersize": 3, "markerfacecolor": "none"},
        meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": "black"},
        medianprops={"color": "black", "linewidth": 1.6},
    )
    for box, method in zip(boxes["boxes"], methods, strict=True):
        box.set_facecolor("#9ecae8" if method.kind == RESULT else "white")
    arrow = "lower" if metric in LOWER_IS_BETTER else "higher"
    title = f"{metric} ({arrow} is better)"
    axes.set_title(f"{title}\n{infinite} infinite left out" if infinite else title, fontsize=10)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
