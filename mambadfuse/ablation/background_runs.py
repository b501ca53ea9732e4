"""Runs trained in the background, each in its own process, started, paused and stopped from here."""

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
MAX_RECORDS, MAX_VALIDATIONS = 200, 40  # of a whole run
VALIDATED = 2  # pairs validated during training

State = Literal["training", "pausing", "paused", "finished", "failed"]


@dataclass(frozen=True)
class Job:
    """The task of one worker: train a row with a seed, validate during training, store the result."""

    experiment: Experiment
    row: Row
    seed: int

    @cached_property
    def config(self) -> TrainingConfig:
        """That of the experiment, so the weights are the same, but logged and validated more often."""
        config = self.experiment.config(self.row, self.seed)
        return replace(
            config,
            log_every=max(1, config.steps // MAX_RECORDS),
            validate_every=max(10, config.steps // MAX_VALIDATIONS),
            checkpoint_seconds=20.0,
            keep_checkpoints=1,
        )

    def run(self, folder: Path) -> None:
        """Train to the last step and store the result, if it is not stored yet; called again after a pause, resume."""
        experiment = self.experiment
        is_stored = experiment.stored_result(self.row, self.seed) is not None
        train(
            self.config,
            experiment.sets,
            folder / WEIGHTS,
            validation=experiment.validation[:VALIDATED],
            progress=False,
        )
        if not is_stored:
            experiment.store.append(experiment.scored(self.row, self.seed, self.config, folder / WEIGHTS))


class BackgroundRun:
    """One job in its own process, with its files in a temporary folder. Its logs can be read at any time.

    Args:
        job: what :mod:`mambadfuse.ablation.worker` will do.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        # a worker may still be writing when its folder is removed
        self._home = TemporaryDirectory(prefix="mambadfuse-lab-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._pausing = False
        (self.home / JOB).write_bytes(pickle.dumps(job))

    @property
    def home(self) -> Path:
        """The folder with all files of the job."""
        return Path(self._home.name)

    @property
    def folder(self) -> Path:
        """The folder with its logs and images, see :func:`mambadfuse.training.train`."""
        return run_folder(self.home / WEIGHTS)

    @property
    def state(self) -> State:
        """What it is doing; "paused" also before its start."""
        status = self._process.poll() if self._process else PAUSED
        if status is None:
            return "pausing" if self._pausing else "training"
        if status == 0:
            return "finished"
        # an interruption may surface as an error
        return "paused" if status == PAUSED or self._pausing else "failed"

    @property
    def error(self) -> str:
        """Why it failed: the last line of its error output."""
        said = (self.home / ERRORS).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "")
        return last or f"its process ended with status {self._process and self._process.returncode}"

    def train(self) -> None:
        """Start the process, or a new one that resumes where the last one stopped; nothing if it is running."""
        if self.state not in ("paused", "failed"):
            return
        self._pausing = False
        with (self.home / ERRORS).open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mambadfuse.ablation.worker", str(self.home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,  # interrupting a notebook cell must not interrupt training
            )

    def pause(self) -> None:
        """Ask it to save a checkpoint after the current step and exit; returns immediately."""
        if self.state == "training" and self._process and self._process.stdin:
            self._pausing = True
            with suppress(OSError):  # it has just exited
                self._process.stdin.write(b"p")
                self._process.stdin.flush()

    def close(self) -> None:
        """Kill the process and remove its files."""
        if self._process and self._process.stdin:
            self._process.kill()
            self._process.wait()
            with suppress(OSError):
                self._process.stdin.close()
        self._home.cleanup()
