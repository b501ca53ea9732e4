"""The scan explorer: one state of a selective scan, with sliders for its step, decay and selectivity."""

import ipywidgets as widgets

from mambadfuse.analysis.memory import SIGNALS, MemoryPlot, Signal, Trace, signal_of, trace
from mambadfuse.widgets.displays import Display
from mambadfuse.widgets.panel import Panel, labelled, row

OWN = "own numbers"


class ScanExplorer(Panel):
    """Controls for :func:`mambadfuse.analysis.memory.trace`."""

    def __init__(self) -> None:
        super().__init__()
        self.signal = widgets.Dropdown(
            options=[*SIGNALS, OWN], value="marks in noise", description="signal", **labelled()
        )
        self.numbers = widgets.Text(
            value="4 0 0 2 0 0",
            description="numbers",
            continuous_update=False,
            disabled=True,
            **labelled("520px"),
        )
        self.delta = widgets.FloatLogSlider(
            value=0.1,
            base=10,
            min=-3,
            max=1,
            step=0.05,
            description="step Δ",
            readout_format=".3f",
            **labelled(),
        )
        self.decay = widgets.FloatLogSlider(
            value=1.0,
            base=10,
            min=-1,
            max=1.2,
            step=0.05,
            description="decay |A|",
            readout_format=".2f",
            **labelled(),
        )
        self.selectivity = widgets.FloatSlider(
            value=0, min=0, max=20, step=0.5, description="selectivity", **labelled()
        )
        self.at = widgets.IntSlider(value=8, min=0, max=119, description="trace token", **labelled())
        self.plot, self.display = MemoryPlot(), Display()
        self.redraw_on(self.signal, self.numbers, self.delta, self.decay, self.selectivity, self.at)
        controls = [
            row(self.signal, self.numbers),
            row(self.delta, self.decay, self.selectivity),
            row(self.at),
        ]
        self.arrange("Scan explorer: what does one state remember?", controls, [self.display])

    def state(self) -> Trace:
        """The trace for the current values of the controls."""
        u = self._signal()
        self.at.max = len(u) - 1
        return trace(u, self.delta.value, -self.decay.value, self.selectivity.value, self.at.value)

    def draw(self) -> str:
        """Draws the trace; the message says how long the memory is."""
        t = self.state()
        self.plot.show(t)
        title = f"signal and output, the memory of each token, and the weight of token {t.at}"
        self.display.show(self.plot.figure, title)
        fixed = f"Without selectivity the memory is 1 / |ΔA| = {1 / (self.delta.value * self.decay.value):.3g} tokens."
        if t.left is None:
            return f"{fixed} Of token {t.at}, more than 1/e is left at the end of the signal."
        return f"{fixed} Of token {t.at}, less than 1/e is left after {t.left} tokens."

    def _signal(self) -> Signal:
        self.numbers.disabled = self.signal.value != OWN
        return signal_of(self.numbers.value) if self.signal.value == OWN else SIGNALS[self.signal.value]()
