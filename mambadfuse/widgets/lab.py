"""The ablation lab: rows of the ablation table trained in parallel, in the background of a notebook."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as widgets

from mambadfuse.ablation import Experiment, Row, bundled_pairs, read_table
from mambadfuse.ablation.background_runs import BackgroundRun, Job, State
from mambadfuse.ablation.table import DEFAULT
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
from mambadfuse.widgets.displays import Display, Gallery
from mambadfuse.widgets.panel import Panel, labelled, row
from mambadfuse.widgets.scores import scores_table

RUNNING: set[State] = {"training", "pausing"}
PERIOD = 1.0  # seconds between two readings of the logs


class AblationLab(Panel):
    """Trains the ticked rows of the ablation table in parallel, each in a process of its own.

    The notebook stays free meanwhile. Training ends when the panel is closed, when another lab is opened, or when the
    kernel ends.

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
        self.running = False
        """Whether anything was training at the last update."""
        self.shown: tuple[Any, ...] | None = None
        """What the displays show; they are redrawn only when it changes."""
        self.watching: asyncio.Task[None] | None = None
        if not sets and not validation:
            sets, validation = bundled_pairs()
        self.experiment = Experiment(sets, validation, Path(out), task=task, settings=tuple(settings))
        self.sources = dict(zip(("a", "b"), self.experiment.validation[0].pictures(), strict=True))
        self.rows = read_table(table)
        self.ticks = {
            name: self._tick(entry, number < 2) for number, (name, entry) in enumerate(self.rows.items())
        }
        self.budget = widgets.Dropdown(options=BUDGETS, description="budget", **labelled())
        self.seed = widgets.IntSlider(value=0, max=9, description="seed", **labelled())
        self.metric = widgets.Dropdown(options=EIGHT, value="Qabf", description="score", **labelled())
        self.trainer = widgets.Button(description="Train", tooltip="train the ticked rows, or resume them")
        self.pauser = widgets.Button(
            description="Pause", tooltip="save a checkpoint of every row and free the processor"
        )
        self.stopper = widgets.Button(description="Stop", tooltip="end the training and discard it")
        for button, action in (
            (self.trainer, self.train),
            (self.pauser, self.pause),
            (self.stopper, self.stop),
        ):
            button.on_click(lambda _, action=action: self.attempt(action))
        self.questions, self.table = widgets.HTML(), widgets.HTML()
        self.display, self.gallery = Display(), Gallery()
        self.gallery.show(self.sources)
        self.redraw_on(*self.ticks.values(), self.budget, self.seed, self.metric)
        self._take_over()
        controls = [
            widgets.GridBox(
                list(self.ticks.values()),
                layout=widgets.Layout(grid_template_columns="repeat(auto-fill, 164px)", width="100%"),
            ),
            self.questions,
            row(self.budget, self.seed, self.metric),
            row(self.trainer, self.pauser, self.stopper),
        ]
        self.arrange("Ablation lab: does it matter?", controls, [self.display, self.gallery, self.table])

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
        super().close()

    def draw(self) -> str:
        """Shows the current curves, images and scores; the message gives the state of every variant."""
        states = [run.state for run in self.runs]
        self._enable_controls(states)
        if self.running:
            self._keep_watching()
        if not self.runs:
            return f"{len(self.ticked)} rows to train, with the budget {self.budget.value} and seed {self.seed.value}."
        seen = [progress(run.job.row.name, run.job.config.steps, run.folder) for run in self.runs]
        state = (self.metric.value, states, [(p.curve.shape, len(p.scores)) for p in seen])
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
            self.gallery.show(self.sources | variant_pictures(compared))
            self.table.value = scores_table(variant_scores(compared), f"after step {step}")

    def _enable_controls(self, states: Sequence[State]) -> None:
        """Enables the controls that make sense in these states, and disables the others."""
        self.running = bool(RUNNING & set(states))
        for control in (*self.ticks.values(), self.budget, self.seed):
            control.disabled = self.running or "paused" in states
        self.questions.value = _questions(self.ticked)
        self.trainer.disabled = self.running
        self.pauser.disabled = "training" not in states
        self.stopper.disabled = not states

    def _begin(self) -> None:
        rows = self.ticked
        if not 2 <= len(rows) <= len(STYLES):
            raise ValueError(f"tick 2 to {len(STYLES)} rows, found {len(rows)}")
        experiment = replace(self.experiment, budget=self.budget.value)
        jobs = [Job(experiment, entry, self.seed.value) for entry in rows]
        plain = Job(experiment, self.rows[DEFAULT], self.seed.value).config
        if same := [job.row.name for job in jobs if job.row.changes and job.config == plain]:
            raise ValueError(f"{same[0]} changes nothing at the budget {self.budget.value}")
        self._end()
        self.runs = [BackgroundRun(job) for job in jobs]

    def _end(self) -> None:
        self.running, self.shown = False, None
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

    def _tick(self, entry: Row, ticked: bool) -> widgets.Checkbox:
        return widgets.Checkbox(
            value=ticked,
            description=entry.name,
            tooltip=entry.question,
            indent=False,
            layout=widgets.Layout(width="160px"),
        )


def _questions(rows: Sequence[Row]) -> str:
    lines = "".join(f"<li>{escape(entry.name)}: {escape(entry.question)}</li>" for entry in rows)
    return f'<ul style="margin: 0; line-height: 1.4; font-size: 12px">{lines}</ul>'


def _said(run: BackgroundRun, state: State, seen: Progress) -> str:
    if state == "failed":
        return f"{seen.name} failed: {run.error}"
    if not seen.curve.size:
        return f"{seen.name}: {'starting' if state == 'training' else state}"
    return f"{seen.name}: {state}, step {seen.curve[0, -1]:.0f} of {seen.steps}"
