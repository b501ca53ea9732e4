"""Figures of an ablation: a forest plot of its differences, its loss curves, and what quality costs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mambadfuse.ablation.report import Report
from mambadfuse.ablation.scoring import lower_is_better
from mambadfuse.ablation.store import Result
from mambadfuse.ablation.verdicts import Effect
from mambadfuse.analysis.training_runs import running_mean

_FACES = {"better": "black", "worse": "black", "equal": "0.7", "open": "white"}


def forest_plot(report: Report, metrics: Sequence[str] = ()) -> Figure:
    """Each row's difference from ``default`` with its 95 % interval over paired seeds, one column per metric.

    A filled dot is better or worse, a grey one equal within the margin (shaded), an empty one open. The axis covers the
    differences and the shorter half of the intervals; an arrow marks an interval that extends beyond it. A row that has
    not learnt is named and not compared.

    Args:
        report: with at least one row besides ``default``.
        metrics: those to draw; the primary one by default.
    """
    metrics = metrics or (report.primary,)
    differences = {line.row: line.effects[metrics[0]].difference for line in report.lines[1:]}
    lines = sorted(
        report.lines[1:], key=lambda line: (np.isnan(differences[line.row]), differences[line.row])
    )
    figure = Figure(figsize=(2.6 + 3.0 * len(metrics), 1.2 + 0.22 * len(lines)), layout="constrained")
    for axes, metric in zip(
        figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0], metrics, strict=True
    ):
        _draw_effects(axes, [line.effects[metric] for line in lines])
        axes.set_yticks(range(len(lines)), [line.row for line in lines], fontsize=11)
        better = "lower" if lower_is_better(metric) else "higher"
        axes.set_xlabel(f"{metric}, difference from default\n({better} is better)", fontsize=11)
        axes.tick_params(axis="x", labelsize=10)
        axes.locator_params(axis="x", nbins=4)
        axes.set_ylim(-1, len(lines))
    return figure


def _draw_effects(axes: Axes, effects: Sequence[Effect]) -> None:
    """One below the other: dots, intervals, and the margin within which two rows are equal."""
    edge = _reach([(effect.seeds.mean, effect.seeds.low, effect.seeds.high) for effect in effects])
    for place, effect in enumerate(effects):
        if effect.verdict == "not learnt":
            axes.text(0, place, effect.verdict, fontsize=11, ha="center", va="center")
            continue
        mean, low, high = effect.seeds.mean, effect.seeds.low, effect.seeds.high
        axes.plot([max(low, -edge), min(high, edge)], [place, place], "k-", linewidth=1)
        for end, arrow, beyond in ((-edge, "k<", low < -edge), (edge, "k>", high > edge)):
            if beyond:
                axes.plot(end, place, arrow, markersize=4)
        axes.plot(mean, place, "o", color="black", markerfacecolor=_FACES[effect.verdict])
    if np.isfinite(effects[0].margin):
        axes.axvspan(-effects[0].margin, effects[0].margin, color="0.92", zorder=0)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")


def loss_curves(results: Sequence[Result]) -> Figure:
    """The loss of every row over the steps: each seed in grey, and in black the running mean of their mean.

    Losses are comparable only between rows with the same loss function.
    """
    by_row: dict[str, list[Result]] = {}
    for result in results:
        by_row.setdefault(result.row, []).append(result)
    columns = min(5, len(by_row))
    rows = -(-len(by_row) // columns)
    figure = Figure(figsize=(2 * columns, 1.5 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, (row, runs) in zip(grid, by_row.items(), strict=False):
        for result in runs:
            axes.plot(*np.transpose(result.curve), color="0.75", linewidth=0.8)
        length = min(len(result.curve) for result in runs)
        mean = np.mean([result.curve[:length] for result in runs], axis=0).T  # (2, points)
        axes.plot(*running_mean(mean), color="black", linewidth=1.4)
        axes.set_title(row, fontsize=8, loc="left")
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
        axes.tick_params(labelsize=7)
    for axes in grid[len(by_row) :]:
        axes.set_visible(False)
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("loss (no unit)", fontsize=9)
    return figure


def cost_plot(
    report: Report, costs: Mapping[str, float] | None = None, label: str = "training seconds"
) -> Figure:
    """The primary metric against what each row costs, with its standard deviation over seeds.

    Args:
        report: its rows are drawn, ``default`` filled, but for those that have not learnt.
        costs: of each row, such as FLOPs; by default its median training time.
        label: of the axis of costs.
    """
    costs = costs or {line.row: line.seconds for line in report.lines}
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    lines = [line for line in report.lines if report.verdicts.get(line.row) != "not learnt"]
    for line in lines:
        mean, spread = line.means[report.primary], line.spreads[report.primary]
        axes.errorbar(
            costs[line.row],
            mean,
            yerr=None if np.isnan(spread) else spread,
            fmt="o",
            color="black",
            ecolor="0.8",
            markerfacecolor="white" if line.effects else "black",
        )
    points = {line.row: (costs[line.row], line.means[report.primary]) for line in lines}
    heights = _label_heights(points)
    for row, height in heights.items():
        axes.annotate(
            row,
            points[row],
            xytext=(1.06 * points[row][0], height),
            fontsize=7,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.8", "linewidth": 0.5},
        )
    axes.set_xscale("log")
    axes.set_xlim(right=1.8 * max(cost for cost, _ in points.values()))  # leaves space for the labels
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.01 * max(heights.values())))
    _plain_ticks(axes.xaxis)
    axes.set(xlabel=label, ylabel=f"{report.primary}, mean ± standard deviation over seeds")
    return figure


def flops_of_rows(results: Sequence[Result]) -> dict[str, float]:
    """The floating-point operations with which each row fuses the first scored pair, in units of 10^9, as stored.

    A row is left out if they were unknown when it was trained.
    """
    return {result.row: result.flops / 1e9 for result in results if result.flops is not None}


def _label_heights(points: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Where labels of points (cost, score) stand, from low to high, so that those of similar cost do not overlap."""
    scores = [score for _, score in points.values()]
    apart = 0.03 * (max(scores) - min(scores) or 1.0)
    heights: dict[str, float] = {}
    for row, (cost, score) in sorted(points.items(), key=lambda item: item[1][1]):
        beside = [height for other, height in heights.items() if 1 / 2 < points[other][0] / cost < 2]
        heights[row] = max([score, *(height + apart for height in beside)])
    return heights


def _plain_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2, 5, 10, 20, ..., as plain numbers rather than powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _reach(estimates: Sequence[tuple[float, float, float]]) -> float:
    """How far an axis must reach to either side to show all of these differences and half of their intervals."""
    ends = [max(abs(low), abs(high)) for _, low, high in estimates if np.isfinite(low)]
    means = [abs(mean) for mean, *_ in estimates if np.isfinite(mean)]
    return 1.1 * max(float(np.median(ends)) if ends else 0.0, max(means, default=1.0))
