"""The ablation lab: rows of the ablation table trained in parallel, in the background of a notebook."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as widgets

from mambadfuse.ablation import Experiment, Row, bundled_pairs, compare, read_table
from mambadfuse.ablation.background_runs import BackgroundRun, Job, State
from mambadfuse.ablation.forecast import TOO_LONG, seconds_of_all, seconds_per_operation
from mambadfuse.ablation.table import DEFAULT
from mambadfuse.analysis.colormap import Picture
from mambadfuse.analysis.training_runs import (
    STYLES,
    Progress,
    common_step,
    progress,
    variant_curves,
    variant_pictures,
    variant_scores,
)
from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.metrics import EIGHT
from mambadfuse.training import BUDGETS
from mambadfuse.training.estimate import format_duration
from mambadfuse.widgets.displays import Display, Gallery
from mambadfuse.widgets.panel import HTML, SMALL, Panel, labelled, row
from mambadfuse.widgets.scores import results_table, scores_table

RUNNING: set[State] = {"training", "pausing"}
PERIOD = 1.0  # seconds between two readings of the logs
CURVES, PICTURES = "curves and results", "fused images"
SIDE = "clamp(240px, 18vw, 360px)"  # width of the side with the controls
AROUND = "305px"  # height of all that stands above and below the fused images
FIGURE = "max(820px, 110vh)"  # leaves room for the results below it, in a window of 1366 x 768 pixels too


class AblationLab(Panel):
    """Trains the ticked rows of the ablation table in parallel, each in a process of its own, one seed after the other.

    Results that are stored already are not trained again. The notebook stays free meanwhile. Training ends when the
    panel is closed, when another lab is opened, or when the kernel ends.

    Args:
        sets: groups of pairs to train on; the samples and synthetic pairs of the kit if neither ``sets`` nor
            ``validation`` is given.
        validation: the validation pairs; the first is shown.
        out: a folder; results are added to the same file as those of ``mambadfuse ablate --out``.
        table: a YAML file of rows; None for the table of the kit.
        task: what the pairs show.
        settings: overrides for every row, such as ``steps=300``.

    Raises:
        ValueError: the table or the pairs cannot be used.
    """

    last: ClassVar["AblationLab | None"] = None
    """The one that is open."""

    def __init__(
        self,
        sets: Sequence[Sequence[TrainingPair]] = (),
        validation: Sequence[TrainingPair] = (),
        *,
        out: str | Path = "outputs/ablation",
        table: str | Path | None = None,
        task: str = "ivf",
        settings: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.runs: list[BackgroundRun] = []
        """Those of one seed, of every ticked row."""
        self.later: list[list[Job]] = []
        """What follows, seed by seed."""
        self.pace: float | None = None
        """Measured seconds for one operation of training; None until it is needed, NaN if it cannot be measured."""
        self.clock = Clock()
        self.running = False
        """Whether anything was training at the last update."""
        self.shown: tuple[Any, ...] | None = None
        """What the displays show; they are redrawn only when it changes."""
        self.watching: asyncio.Task[None] | None = None
        if not sets and not validation:
            sets, validation = bundled_pairs()
        self.experiment = Experiment(sets, validation, Path(out), task=task, settings=tuple(settings))
        self.experiments = {self.experiment.budget: self.experiment}
        self.sources = dict(zip(("a", "b"), self.experiment.validation[0].pictures(), strict=True))
        self.rows = read_table(table)
        self.ticks = {
            name: self._tick(entry, number < 2) for number, (name, entry) in enumerate(self.rows.items())
        }
        self.budget = widgets.Dropdown(options=BUDGETS, description="budget", **_short())
        self.seeds = widgets.IntSlider(value=1, min=1, max=10, description="seeds", **_short())
        self.metric = widgets.Dropdown(options=EIGHT, value="Qabf", description="score", **_short())
        self.view = widgets.ToggleButtons(
            options=(CURVES, PICTURES), value=PICTURES, description="show", **labelled("auto")
        )
        self.trainer = self._button("Train", "train the ticked rows, or resume them", self.train)
        self.pauser = self._button(
            "Pause", "save a checkpoint of every row and free the processor", self.pause
        )
        self.stopper = self._button("Stop", "end the training and discard it", self.stop)
        self.questions, self.forecast, self.results, self.table = (HTML() for _ in range(4))
        self.display, self.gallery = Display(), Gallery()
        self._show_pictures(self.sources)
        self.redraw_on(*self.ticks.values(), self.budget, self.seeds, self.metric, self.view)
        self._take_over()
        self.arrange("Ablation lab: does it matter?", [self._arranged()], [])

    def _arranged(self) -> widgets.HBox:
        """The controls, and beside them either curves and results or the fused images."""
        scrolled = widgets.Layout(
            height="26vh", border="1px solid #ccc", overflow="auto", flex="0 0 auto", display="block"
        )
        rows = widgets.VBox(list(self.ticks.values()), layout=scrolled)
        controls = [self.budget, self.seeds, self.metric, rows, self.questions]
        side = [*controls, row(self.trainer, self.pauser, self.stopper), self.forecast]
        self.display.layout.flex, self.display.layout.max_width = "1 1 540px", FIGURE
        self.numbers = row(self.display, self.table, self.results)
        beside = widgets.VBox(side, layout=widgets.Layout(flex=f"0 0 {SIDE}", overflow="hidden"))
        beside.add_class("mdf-side")
        return widgets.HBox(
            [
                beside,
                widgets.VBox(
                    [self.view, self.numbers, self.gallery],
                    layout=widgets.Layout(flex="1 1 0", min_width="0"),
                ),
            ]
        )

    @property
    def ticked(self) -> list[Row]:
        """The rows to be trained, in the order of the table."""
        return [self.rows[name] for name, tick in self.ticks.items() if tick.value]

    def train(self) -> str:
        """Starts the ticked rows, or resumes those that were paused."""
        if not any(run.state == "paused" for run in self.runs):
            self._begin()
        for run in self.runs:
            run.train()
        self.view.value = CURVES
        return self.draw()

    def pause(self) -> str:
        """Asks every run to save a checkpoint after the current step and stop."""
        for run in self.runs:
            run.pause()
        return self.draw()

    def stop(self) -> str:
        """Ends and discards all runs; the displays keep their content."""
        self._end()
        return f"Stopped. {self.draw()}"

    def close(self) -> None:
        """Ends all processes, then closes as every panel does."""
        self._end()
        if AblationLab.last is self:
            AblationLab.last = None
        super().close()

    def draw(self) -> str:
        """Shows the current curves, images and scores; the message gives the state of every variant."""
        self._next_seed()
        states = [run.state for run in self.runs]
        self._enable_controls(states)
        self._choose_view()
        if self.running:
            self._keep_watching()
        if not self.runs:
            self._show_results()
            self.forecast.value = self._expected()
            seeds = f"{self.seeds.value} seed{'s' if self.seeds.value > 1 else ''}"
            return f"{len(self.ticked)} rows to train, with the budget {self.budget.value} and {seeds}."
        seen = [progress(run.job.row.name, run.job.config.steps, run.folder) for run in self.runs]
        left = self.clock.left(min(p.part for p in seen), self.running)
        self.forecast.value = f"{self.clock.which} {left}".strip()
        state = (self.metric.value, states, self.clock.done, [(p.curve.shape, len(p.scores)) for p in seen])
        if state != self.shown:
            self._show(
                seen, [p for p, state in zip(seen, states, strict=True) if p.scores or state != "failed"]
            )
            self.shown = state
        return "; ".join(map(_said, self.runs, states, seen))

    def _show(self, seen: Sequence[Progress], compared: Sequence[Progress]) -> None:
        self.display.show(variant_curves(seen, self.metric.value), "loss and score of every variant")
        step = common_step(compared)
        if step is not None:
            pictures = self.sources | variant_pictures(compared)
            self._show_pictures(pictures)
            self.table.value = scores_table(variant_scores(compared), f"after step {step}")
        self._show_results()

    def _show_pictures(self, pictures: Mapping[str, Picture]) -> None:
        """In at most two lines, unless there are many, and as large as that allows without scrolling the page."""
        columns = min(max(2, math.ceil(len(pictures) / 2)), 4)
        self.gallery.show(pictures, columns)
        height, width = self.sources["a"].shape[:2]
        highest = f"(100vh - {AROUND}) / {math.ceil(len(pictures) / columns)} - 1.8em"  # less the title
        self.gallery.layout.max_width = f"max(480px, calc(({highest}) * {columns * width / height:.3f}))"

    def _show_results(self) -> None:
        """Shows what is stored of the ticked rows: differences from ``default`` with their intervals."""
        names = {DEFAULT, *(entry.name for entry in self.ticked)}
        stored = [result for result in self._experiment().results() if result.row in names]
        if any(result.row == DEFAULT for result in stored):
            self.results.value = results_table(compare(stored, primary=self.metric.value))
        else:
            self.results.value = ""

    def _choose_view(self) -> None:
        curves = self.view.value == CURVES
        self.numbers.layout.display = None if curves else "none"
        self.gallery.layout.display = "none" if curves else None

    def _experiment(self) -> Experiment:
        """That of the chosen budget; kept, since it knows the fingerprint of its pairs."""
        budget = self.budget.value
        return self.experiments.setdefault(budget, replace(self.experiment, budget=budget))

    def _expected(self) -> str:
        """How long the ticked rows will train, with a warning if that is too long for this device."""
        if not self.ticked:
            return "Tick the rows to train."
        experiment = self._experiment()
        configs = [experiment.config(entry, 0) for entry in self.ticked]
        at_once = min(len(configs), os.cpu_count() or 1)
        longest = max(seconds_of_all(self._pace(), [config], 1) for config in configs)
        seconds = self.seeds.value * seconds_of_all(self._pace(), configs, at_once)
        if math.isnan(seconds):
            return "How long this takes is unknown."
        text = f"About {format_duration(seconds)} for {self.seeds.value * len(configs)} runs."
        if longest <= TOO_LONG:
            return text
        return f'<b role="alert">{text} This budget is too large for this device: choose a smaller one.</b>'

    def _pace(self) -> float:
        if self.pace is None:
            try:
                self.pace = seconds_per_operation(self.experiment, self.rows[DEFAULT])
            except Exception:  # whatever it is, the training itself will report it
                self.pace = math.nan
        return self.pace

    def _enable_controls(self, states: Sequence[State]) -> None:
        """Enables the controls that make sense in these states, and disables the others."""
        self.running = bool(RUNNING & set(states))
        for control in (*self.ticks.values(), self.budget, self.seeds):
            control.disabled = self.running or "paused" in states
        self.questions.value = _questions(self.ticked)
        self.trainer.disabled = self.running or not self.ticked
        self.pauser.disabled = "training" not in states
        self.stopper.disabled = not states

    def _begin(self) -> None:
        rows = self.ticked
        if not 2 <= len(rows) <= len(STYLES):
            raise ValueError(f"tick 2 to {len(STYLES)} rows, found {len(rows)}")
        experiment = self._experiment()
        jobs = [[Job(experiment, entry, seed) for entry in rows] for seed in range(self.seeds.value)]
        plain = Job(experiment, self.rows[DEFAULT], 0).config
        if same := [job.row.name for job in jobs[0] if job.row.changes and job.config == plain]:
            raise ValueError(f"{same[0]} changes nothing at the budget {self.budget.value}")
        missing = [
            of_seed
            for of_seed in jobs
            if any(experiment.stored_result(job.row, job.seed) is None for job in of_seed)
        ]
        if not missing:
            raise ValueError("all of these results are stored already: choose more seeds or other rows")
        self._end()
        self.clock = Clock(len(missing))
        self.runs, self.later = [BackgroundRun(job) for job in missing[0]], missing[1:]

    def _next_seed(self) -> None:
        """Starts the next seed once every row has finished one."""
        if not self.later or not self.runs or any(run.state != "finished" for run in self.runs):
            return
        for run in self.runs:
            run.close()
        self.runs = [BackgroundRun(job) for job in self.later.pop(0)]
        self.clock.done += 1
        for run in self.runs:
            run.train()

    def _end(self) -> None:
        self.running, self.shown, self.later = False, None, []
        while self.runs:
            self.runs.pop().close()

    def _keep_watching(self) -> None:
        """Watches on the calling event loop: a page that is opened again brings a new one."""
        loop = asyncio.get_running_loop()
        if self.watching is None or self.watching.done() or self.watching.get_loop() is not loop:
            self.watching = loop.create_task(self._watch())

    async def _watch(self) -> None:
        """Redraws periodically while anything is training; the message of a stop in between is kept."""
        await asyncio.sleep(PERIOD)
        while self.running:
            self.redraw()
            await asyncio.sleep(PERIOD)

    def _take_over(self) -> None:
        """Stops the previous lab: a cell that is run again must not leave one training unseen."""
        if AblationLab.last is not None and AblationLab.last.runs:
            AblationLab.last._end()
            AblationLab.last.tell("Stopped: another lab was opened.")
        AblationLab.last = self

    def _button(self, description: str, tooltip: str, action: Callable[[], str]) -> widgets.Button:
        button = widgets.Button(description=description, tooltip=tooltip, layout=widgets.Layout(width="72px"))
        button.on_click(lambda _: self.attempt(action))
        return button

    def _tick(self, entry: Row, ticked: bool) -> widgets.Checkbox:
        return widgets.Checkbox(
            value=ticked,
            description=entry.name,
            tooltip=entry.question,
            indent=False,
            layout=widgets.Layout(width="160px"),
        )


class Clock:
    """The time that a training has taken, pauses aside, and will take.

    Attributes:
        seeds: how many are trained, one after the other.
        done: how many of them have ended.
    """

    def __init__(self, seeds: int = 1) -> None:
        self.seeds, self.done = seeds, 0
        self._seconds, self._last = 0.0, time.monotonic()

    def left(self, part: float, running: bool) -> str:
        """The time left, in words.

        Args:
            part: of the present seed that its slowest row has trained, 0 to 1.
            running: whether it is training.
        """
        now = time.monotonic()
        self._seconds += (now - self._last) * running
        self._last = now
        trained = (self.done + part) / self.seeds
        if not running or not 0 < trained < 1:
            return ""
        return f"About {format_duration(self._seconds * (1 / trained - 1))} left."

    @property
    def which(self) -> str:
        """Which of several seeds is trained, in words; empty for a single one."""
        return f"Seed {self.done + 1} of {self.seeds}." if self.seeds > 1 else ""


def _short() -> dict[str, Any]:
    """Keyword arguments of a control with a short label."""
    return {**labelled("97%"), "style": {"description_width": "3.6em"}}


def _questions(rows: Sequence[Row]) -> str:
    lines = "".join(f"<li>{escape(entry.name)}: {escape(entry.question)}</li>" for entry in rows)
    scrolled = "height: 104px; overflow: auto; margin: 0"  # by keyboard too, since it takes the focus
    return f'<ul tabindex="0" style="{scrolled}; {SMALL}">{lines}</ul>'


def _said(run: BackgroundRun, state: State, seen: Progress) -> str:
    if state == "failed":
        return f"{seen.name} failed: {run.error}"
    if not seen.curve.size:
        return f"{seen.name}: {'starting' if state == 'training' else state}"
    return f"{seen.name}: {state}, step {seen.curve[0, -1]:.0f} of {seen.steps}"
