"""What one state of a selective scan remembers of a signal; the step may depend on the token.

Letters: L length (tokens).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from mambadfuse import ops
from mambadfuse.analysis.colormap import ORANGE as MARK
from mambadfuse.analysis.colormap import Picture, coloured
from mambadfuse.data.colour import Floats, luma

Signal = NDArray[np.float64]

LENGTH = 120
# Okabe and Ito: safe for colour-blind readers
BLACK, BLUE, ORANGE, GREY = "#000000", "#0072B2", "#D55E00", "#8a8a8a"


def _steps() -> Signal:
    noise = np.random.default_rng(1).normal(0, 0.15, LENGTH)
    return (np.arange(LENGTH) // 30 % 2) + noise


def _marks() -> Signal:
    drawn = np.random.default_rng(2).normal(0, 0.12, LENGTH)
    drawn[[8, 40, 47, 90]] = 1.0, -1.0, 0.8, 1.0
    return drawn


def _pulse() -> Signal:
    drawn = np.zeros(LENGTH)
    drawn[20] = 1.0
    return drawn


def _waves() -> Signal:
    t = np.arange(LENGTH)
    return 0.6 * np.sin(2 * np.pi * t / 60) + 0.4 * np.sin(2 * np.pi * t / 6)


SIGNALS = {
    "steps in noise": _steps,
    "marks in noise": _marks,
    "one pulse": _pulse,
    "slow and fast wave": _waves,
}


def signal_of(text: str) -> Signal:
    """A signal from numbers separated by spaces or commas.

    Raises:
        ValueError: there are fewer than 2 or more than 1000 numbers, or something is not a finite number.

    Example:
        >>> signal_of("4, 0, 0 2")
        array([4., 0., 0., 2.])
    """
    words = text.replace(",", " ").split()
    if not 2 <= len(words) <= 1000:
        raise ValueError(f"a signal needs 2 to 1000 numbers, found {len(words)}")
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError as error:
        raise ValueError(f"a signal is made of numbers with spaces between them: {error}") from None
    if not np.isfinite(numbers).all():
        raise ValueError("a signal is made of finite numbers, found NaN or infinity")
    return numbers


def signal_of_row(picture: Floats, row: int) -> Signal:
    """One row of a picture as a signal, its luma from left to right.

    Args:
        picture: (H, W) or (H, W, 3), in [0, 1].
        row: 0 ≤ row < H.

    Raises:
        ValueError: there is no such row.

    >>> signal_of_row(np.array([[0.0, 0.5], [1.0, 0.25]], np.float32), 1)
    array([1.  , 0.25])
    """
    if not 0 <= row < len(picture):
        raise ValueError(f"the picture has the rows 0 to {len(picture) - 1}, found {row}")
    grey = picture if picture.ndim == 2 else luma(picture)
    return grey[row].astype(np.float64)


def marked_row(picture: Floats, row: int) -> Picture:
    """The picture in grey with that row marked in orange, (H, W, 3), uint8."""
    grey = picture if picture.ndim == 2 else luma(picture)
    shown = coloured(grey, 0, 1, "gray").copy()
    shown[max(0, row - 1) : row + 2] = MARK
    return shown


@dataclass(frozen=True)
class Trace:
    """One run of the scan; arrays are (L,).

    Attributes:
        u: the signal.
        y: the output.
        delta: the step Δ_t of each token.
        A: the decay, negative.
        at: the token that is traced.
        weight: the impulse response at that token: how much each y_t owes to ``u[at]``, per unit of it.
        left: tokens until less than 1/e of the traced token is left; None if more is left at the end of the signal.
    """

    u: Signal
    y: Signal
    delta: Signal
    A: float
    at: int
    weight: Signal
    left: int | None

    @property
    def memory(self) -> Signal:
        """The memory in tokens, 1 / (−Δ_t A), that the step of each token would give if all had it; (L,)."""
        return 1 / (-self.delta * self.A)


def trace(u: Signal, delta: float, A: float, selectivity: float = 0.0, at: int = 0) -> Trace:
    """Runs one state over a signal, with a step that may grow with the magnitude of the token.

        Δ_t = softplus(softplus⁻¹(Δ) + s (|u_t| − 1/2)),   h_t = exp(Δ_t A) h_t−1 + Δ_t B u_t,   y_t = h_t

    with B = −A, so that the response to a constant 1 is about 1 whatever the memory. Without selectivity s, the step is
    Δ for all tokens and the scan is a convolution; with it, small tokens are skipped and large ones are written.

    Args:
        u: the signal, (L,).
        delta: the step Δ > 0.
        A: the decay A < 0.
        selectivity: s ≥ 0.
        at: the token to trace, 0 ≤ at < L.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not (delta > 0 and A < 0 and selectivity >= 0):
        raise ValueError(f"expected delta > 0, A < 0, selectivity >= 0, found {delta}, {A}, {selectivity}")
    if not 0 <= at < len(u):
        raise ValueError(f"the token must be 0 to {len(u) - 1}, found {at}")
    raw = math.log(math.expm1(delta)) if delta < 30 else delta  # inverse of softplus
    steps = F.softplus(torch.from_numpy(raw + selectivity * (np.abs(u) - 0.5)))  # (L,)
    one = torch.ones(1, len(u), 1, dtype=torch.float64)  # (B, L, N), all 1
    decay = torch.tensor([[A]], dtype=torch.float64)  # (D, N)
    both = torch.stack([torch.from_numpy(u), torch.zeros(len(u), dtype=torch.float64)], dim=1)  # (L, D)
    both[at, 1] = 1.0  # the second channel carries a single 1
    y = ops.selective_scan(
        both[None], steps[None, :, None].expand(1, -1, 2), decay.expand(2, 1), -A * one, one, backend="torch"
    )
    answer, weight = y[0].numpy().T  # (1, L, 2) -> 2 x (L,)
    faded = np.flatnonzero(weight[at:] <= weight[at] / math.e * (1 + 1e-9))
    return Trace(
        u, answer, steps.numpy(), A, at, weight, int(faded[0]) if weight[at] > 0 and len(faded) else None
    )


def memory_figure(t: Trace) -> Figure:
    """Signal and output, the memory that the step of each token stands for, and what is left of one token."""
    plot = MemoryPlot()
    plot.show(t)
    return plot.figure


class MemoryPlot:
    """The figure of :func:`memory_figure`, reused for one trace after another.

    Takes half the time of a new figure: matplotlib is slow at creating axes, not at drawing lines.
    """

    def __init__(self) -> None:
        self.figure = Figure(figsize=(8.4, 4.8), dpi=100)
        self.figure.subplots_adjust(left=0.09, right=0.98, top=0.985, bottom=0.1, hspace=0.3)
        answer, memory, weight = self.axes = self.figure.subplots(3, 1, height_ratios=(3, 1.2, 1.6))
        self.signal = answer.plot(
            [], "-", color=GREY, linewidth=1, marker=".", markersize=3, label="signal u"
        )[0]
        self.answer = answer.plot([], color=BLACK, linewidth=2, label="answer y")[0]
        self.place = answer.axvline(0, color=ORANGE, linestyle=":", linewidth=1.5, label="traced token")
        answer.legend(loc="upper right", fontsize=9, ncols=3)
        self.powers = memory.step([], [], where="mid", color=BLACK, linewidth=1)[0]
        self._caption(memory, "memory that the step of each token stands for, 1 / |ΔA| (tokens)")
        memory.set_yticks([-2, 1, 4], ["0.01", "10", "10⁴"])
        memory.set_ylim(-2.2, 4.2)
        self.weight = weight.plot([], color=BLUE, linewidth=2, marker=".", markersize=5)[0]
        self.threshold = weight.axhline(0, color=GREY, linewidth=0.8)
        self.title = self._caption(weight, "")
        weight.set_xlabel("token t")
        for axes in (answer, memory):
            axes.set_xticks([])
        for axes in (answer, weight):
            axes.locator_params(axis="y", nbins=3)

    def _caption(self, axes: Axes, text: str) -> Text:
        """Text above the axes; a real title takes matplotlib long to place."""
        return axes.text(0, 1.06, text, fontsize=9, transform=axes.transAxes)

    def show(self, t: Trace) -> None:
        """Draws a trace in place of the previous one."""
        tokens = np.arange(len(t.u))
        self.signal.set_data(tokens, t.u)
        self.answer.set_data(tokens, t.y)
        self.place.set_xdata([t.at, t.at])
        self.powers.set_data(tokens, np.log10(np.clip(t.memory, 1e-2, 1e4)))
        self.weight.set_data(tokens[t.at :], t.weight[t.at :])
        self.threshold.set_ydata([t.weight[t.at] / math.e] * 2)
        low, high = min(t.u.min(), t.y.min(), 0), max(t.u.max(), t.y.max(), 0)
        room = high - low + 1e-9
        self.axes[0].set_ylim(low - 0.1 * room, high + 0.35 * room)
        self.title.set_text(f"weight of token {t.at} in y: {t.weight[t.at]:.2g} at once; grey: 1/e of that")
        self.axes[2].set_ylim(0, 1.15 * t.weight[t.at] + 1e-9)
        for axes in self.axes:
            axes.set_xlim(-1, len(t.u))
