"""Rows in training while one watches: each in a process of its own, started, paused and stopped from here."""

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.table import Row
from mambadfuse.training import TrainingConfig, run_folder, train

JOB, WEIGHTS, ERRORS = "job.pickle", "variant.safetensors", "errors.txt"  # in the folder of a run
PAUSED = 3  # exit status of a worker that was asked to pause
LOGGED, SEEN = 200, 40  # most lines of the log and most validations of a whole run
SHOWN = 2  # pairs that are validated on the way

State = Literal["training", "pausing", "paused", "finished", "failed"]


@dataclass(frozen=True)
class Job:
    """What a worker does: one row with one seed, scored on its way and stored at its end."""

    experiment: Experiment
    row: Row
    seed: int

    @cached_property
    def config(self) -> TrainingConfig:
        """As the experiment's, so that the weights are the same, with more to be seen on the way."""
        config = self.experiment.config(self.row, self.seed)
        return replace(
            config,
            log_every=max(1, config.steps // LOGGED),
            validate_every=max(10, config.steps // SEEN),
            keep_seconds=20.0,
            keep_last=1,
        )

    def run(self, folder: Path) -> None:
        """Trains to the end and stores the result, unless it is there already; called again after a pause, goes on."""
        experiment = self.experiment
        train(
            self.config,
            experiment.sets,
            folder / WEIGHTS,
            validation=experiment.validation[:SHOWN],
            progress=False,
        )
        if experiment.kept(self.row, self.seed) is None:
            experiment.store.append(experiment.finish(self.row, self.seed, folder / WEIGHTS))


class LiveRun:
    """One job in a process of its own, with its files in a temporary folder. Its logs can be read at any time.

    Args:
        job: to be done by :mod:`mambadfuse.ablation.worker`.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._home = TemporaryDirectory(
            prefix="mambadfuse-lab-", ignore_cleanup_errors=True
        )  # a run may be writing
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False
        (self.home / JOB).write_bytes(pickle.dumps(job))

    @property
    def home(self) -> Path:
        """The folder of all its files."""
        return Path(self._home.name)

    @property
    def folder(self) -> Path:
        """Where its logs and pictures lie, as :func:`mambadfuse.training.train` says."""
        return run_folder(self.home / WEIGHTS)

    @property
    def state(self) -> State:
        """What it does now; "paused" before its start, too."""
        status = self._process.poll() if self._process else PAUSED
        if status is None:
            return "pausing" if self._asked else "training"
        if status == 0:
            return "finished"
        return (
            "paused" if status == PAUSED or self._asked else "failed"
        )  # an interruption may look like an error

    @property
    def error(self) -> str:
        """Why it failed."""
        said = (self.home / ERRORS).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "")
        return last or f"its process ended with status {self._process and self._process.returncode}"

    def train(self) -> None:
        """Starts the process, or a new one that goes on where the last one stopped; nothing if it is at work."""
        if self.state not in ("paused", "failed"):
            return
        self._asked = False
        with (self.home / ERRORS).open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mambadfuse.ablation.worker", str(self.home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # an interrupted cell interrupts no training
            )

    def pause(self) -> None:
        """Asks it to keep its state between two steps and to end; returns at once."""
        if self.state == "training" and self._process and self._process.stdin:
            self._asked = True
            with suppress(OSError):  # it has ended in this moment
                self._process.stdin.write(b"p")
                self._process.stdin.flush()

    def close(self) -> None:
        """Ends it in whatever it does, and removes its files."""
        if self._process and self._process.stdin:
            self._process.kill()
            self._process.wait()
            with suppress(OSError):
                self._process.stdin.close()
        self._home.cleanup()
