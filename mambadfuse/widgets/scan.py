"""The scan explorer: one state of a selective scan, with sliders for its step, decay and selectivity."""

import ipywidgets as widgets

from mambadfuse.analysis.memory import (
    SIGNALS,
    MemoryPlot,
    Signal,
    Trace,
    marked_row,
    signal_of,
    signal_of_row,
    trace,
)
from mambadfuse.data.images import read_image
from mambadfuse.data.samples import samples
from mambadfuse.widgets.displays import Display
from mambadfuse.widgets.panel import Panel, labelled, row

OWN, ROW = "own numbers", "row of a picture"
FIGURE = "min(100%, 105vh)"  # its height is four sevenths of that


class ScanExplorer(Panel):
    """Controls for :func:`mambadfuse.analysis.memory.trace`."""

    def __init__(self) -> None:
        super().__init__()
        self._make_signal_controls()
        self._make_state_controls()
        self.plot, self.display, self.source = MemoryPlot(), Display(FIGURE), Display("22%")
        self.pixels = self.memoised(read_image)
        for control in (self.picture, self.line):
            control.observe(lambda _: self._choose_row(), names="value")
        self.redraw_on(self.signal, self.numbers, self.delta, self.decay, self.selectivity, self.at)
        controls = [
            row(self.signal, self.numbers, self.picture, self.line),
            row(self.delta, self.decay, self.selectivity, self.at),
        ]
        shown = [widgets.HBox([self.display, self.source])]
        self.arrange("Scan explorer: what does one state remember?", controls, shown)

    def _make_signal_controls(self) -> None:
        """Where the signal comes from."""
        self.signal = widgets.Dropdown(
            options=[*SIGNALS, ROW, OWN], value="marks in noise", description="signal", **labelled()
        )
        self.numbers = widgets.Text(
            value="4 0 0 2 0 0",
            description="numbers",
            continuous_update=False,
            disabled=True,
            **labelled("520px"),
        )
        self.picture = widgets.Dropdown(
            options=[(f"{pair.name}, {side}", getattr(pair, side)) for pair in samples() for side in "ab"],
            description="picture",
            **labelled("380px"),
        )
        self.line = widgets.IntSlider(
            value=100,
            min=0,
            max=255,
            description="row",
            **labelled(tooltip="the row that is read as a signal"),
        )

    def _make_state_controls(self) -> None:
        """Step, decay and selectivity of the state, and the token that is traced."""
        logarithmic = {"base": 10, "step": 0.05}
        self.delta = widgets.FloatLogSlider(
            value=0.1, min=-3, max=1, description="step Δ", readout_format=".3f", **logarithmic, **labelled()
        )
        self.decay = widgets.FloatLogSlider(
            value=1,
            min=-1,
            max=1.2,
            description="decay |A|",
            readout_format=".2f",
            **logarithmic,
            **labelled(),
        )
        self.selectivity = widgets.FloatSlider(
            value=0, min=0, max=20, step=0.5, description="selectivity", **labelled()
        )
        self.at = widgets.IntSlider(value=8, min=0, max=119, description="trace token", **labelled())

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
        kind = self.signal.value
        self.numbers.disabled = kind != OWN
        self.numbers.layout.display = "none" if kind == ROW else None
        for widget in (self.picture, self.line, self.source):
            widget.layout.display = None if kind == ROW else "none"
        if kind == ROW:
            return self._row()
        return signal_of(self.numbers.value) if kind == OWN else SIGNALS[kind]()

    def _row(self) -> Signal:
        """The chosen row; the picture is shown with the row marked."""
        pixels = self.pixels(self.picture.value)
        self.line.max = len(pixels) - 1
        self.source.show(marked_row(pixels, self.line.value), f"row {self.line.value}")
        return signal_of_row(pixels, self.line.value)

    def _choose_row(self) -> None:
        """Draws once: a new signal redraws the panel by itself."""
        if self.signal.value == ROW:
            self.redraw()
        self.signal.value = ROW
