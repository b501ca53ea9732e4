"""Several training runs compared: loss curves, scores and fused images, read from their logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mambadfuse.analysis.colormap import Picture
from mambadfuse.metrics import EIGHT
from mambadfuse.training import read_log
from mambadfuse.training.validation import fused_beside

WINDOW = 9  # logged steps in the running mean of the loss
STYLES = (  # Okabe and Ito: safe for colour-blind readers; line and marker differ too
    ("#000000", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#0072B2", "-.", "^"),
    ("#009E73", ":", "D"),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#8a8a8a", (0, (1, 1)), "P"),
)


@dataclass(frozen=True)
class Progress:
    """The progress of one variant.

    Attributes:
        name: of the variant.
        steps: length of the whole run.
        curve: step and loss of every logged step, (2, n).
        scores: the scores of every validation, by step.
        folder: of the run; see :func:`mambadfuse.training.train`.
    """

    name: str
    steps: int
    curve: NDArray[np.float64]
    scores: Mapping[int, Mapping[str, float]]
    folder: Path

    @property
    def part(self) -> float:
        """The share of its steps that have been logged."""
        return float(self.curve[0, -1]) / self.steps if self.curve.size else 0.0

    def fused(self, step: int) -> Picture:
        """The first validation pair as fused by the validation of that step, uint8, (H, W)."""
        with Image.open(fused_beside(self.folder / f"validation_{step:08d}.png")) as picture:
            return np.asarray(picture)


def progress(name: str, steps: int, folder: Path) -> Progress:
    """Reads the logs of a run, even if it has not written any yet; what a crash cut off is skipped.

    Raises:
        ValueError: a file in the place of a log is none; the message names it.
        OSError: it cannot be read.
    """
    losses = _numbers(folder / "steps.jsonl", ("total",))
    curve = np.array([(step, record["total"]) for step, record in losses], dtype=float).reshape(-1, 2).T
    return Progress(name, steps, curve, dict(_numbers(folder / "validation.jsonl", EIGHT)), folder)


def _numbers(log: Path, names: Sequence[str]) -> list[tuple[int, dict[str, float]]]:
    """The step of each record of a log, and its numbers of these names; none if there is no log yet."""
    if not log.exists():
        return []
    records = read_log(log)
    if not records and b"\n" in log.read_bytes():
        raise ValueError(f"{log}: is no log of a training run: none of its lines is a record of a step")
    for record in records:
        for name in names:
            if not isinstance(record.get(name), int | float):
                found = f"found {record[name]!r}" if name in record else "found none"
                raise ValueError(
                    f"{log}: is no log of a training run: at step {record['step']} expected a number {name}, {found}"
                )
    return [(record["step"], {name: record[name] for name in names}) for record in records]


def common_step(variants: Sequence[Progress]) -> int | None:
    """The last step at which all variants were validated; None if there is none yet."""
    return max(set.intersection(*(set(v.scores) for v in variants)), default=None) if variants else None


def variant_pictures(variants: Sequence[Progress]) -> dict[str, Picture]:
    """The first validation pair as fused by each variant at their :func:`common_step`, by name."""
    step = common_step(variants)
    return {} if step is None else {v.name: v.fused(step) for v in variants}


def variant_scores(variants: Sequence[Progress]) -> dict[str, Mapping[str, float]]:
    """The eight scores of each variant at their :func:`common_step`, by name."""
    step = common_step(variants)
    return {} if step is None else {v.name: v.scores[step] for v in variants}


def variant_curves(variants: Sequence[Progress], metric: str = "Qabf") -> Figure:
    """Loss (running mean) and one score over the steps, one line per variant.

    Losses are comparable only between variants with the same loss function; scores always are.

    Args:
        variants: at most as many as there are ``STYLES``.
        metric: one of the eight usual metrics.
    """
    figure = Figure(figsize=(8.4, 3.1), dpi=100)
    figure.subplots_adjust(left=0.06, right=0.985, top=0.81, bottom=0.15, wspace=0.18)
    loss, score = figure.subplots(1, 2)
    for (colour, line, marker), v in zip(STYLES, variants, strict=False):
        steps, losses = running_mean(v.curve)
        loss.plot(steps, losses, color=colour, linestyle=line, linewidth=1.6, label=v.name)
        seen = list(v.scores.values())
        score.plot(
            list(v.scores),
            [s[metric] for s in seen],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
        )
    for axes, title in ((loss, "loss (running mean)"), (score, f"{metric} of the validation images")):
        _decorate(axes, title)
    if variants:
        figure.legend(loc="upper center", ncols=len(STYLES), fontsize=9, frameon=False, handlelength=3)
    return figure


def running_mean(curve: NDArray[np.float64], window: int = WINDOW) -> NDArray[np.float64]:
    """The mean of the last ``window`` values of a curve, or of as many as there are, at every step.

    Args:
        curve: step and value, (2, n).
        window: number of values.

    >>> running_mean(np.array([[10.0, 20.0, 30.0], [1.0, 3.0, 8.0]]), window=2)[1].tolist()
    [1.0, 2.0, 5.5]
    """
    ends = range(1, curve.shape[1] + 1)
    return np.stack([curve[0], [curve[1, max(end - window, 0) : end].mean() for end in ends]])


def _decorate(axes: Axes, title: str) -> None:
    axes.set_xlim(left=0)
    axes.set_xlabel("step", fontsize=9)
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9")
