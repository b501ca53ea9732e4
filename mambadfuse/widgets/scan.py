"""The scan explorer: one state, a drawn signal, and dials for its step, its decay and its selectivity."""

import ipywidgets as widgets

from mambadfuse.analysis.memory import SIGNALS, MemoryPlot, Signal, Trace, signal_of, trace
from mambadfuse.widgets.displays import Screen, rendered
from mambadfuse.widgets.panel import Panel, labelled, row

OWN = "own numbers"


class ScanExplorer(Panel):
    """Dials on :func:`mambadfuse.analysis.memory.trace`, drawn by :class:`mambadfuse.analysis.memory.MemoryPlot`."""

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
        self.plot, self.screen = (
            MemoryPlot(),
            Screen(),
        )
        self.follow(self.signal, self.numbers, self.delta, self.decay, self.selectivity, self.at)
        dials = [row(self.signal, self.numbers), row(self.delta, self.decay, self.selectivity), row(self.at)]
        self.arrange("Scan explorer: what does one state remember?", dials, [self.screen])

    def state(self) -> Trace:
        """What the dials say."""
        u = self._signal()
        self.at.max = len(u) - 1
        return trace(u, self.delta.value, -self.decay.value, self.selectivity.value, self.at.value)

    def draw(self) -> str:
        """Draws the trace, and says how long the memory is."""
        t = self.state()
        self.plot.show(t)
        title = f"signal and answer, the memory of each token, and the weight of token {t.at}"
        self.screen.show(rendered(self.plot.figure), title)
        fixed = f"Without selectivity the memory is 1 / |ΔA| = {1 / (self.delta.value * self.decay.value):.3g} tokens."
        if t.left is None:
            return f"{fixed} Of token {t.at}, more than 1/e is left at the end of the signal."
        return f"{fixed} Of token {t.at}, less than 1/e is left after {t.left} tokens."

    def _signal(self) -> Signal:
        self.numbers.disabled = self.signal.value != OWN
        return signal_of(self.numbers.value) if self.signal.value == OWN else SIGNALS[self.signal.value]()
