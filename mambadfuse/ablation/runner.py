"""All missing runs of an ablation, each in its own process, several in parallel."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import torch

from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.table import DEFAULT, Row


@dataclass(frozen=True)
class Run:
    """One row with one seed."""

    row: Row
    seed: int

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"


def pending_runs(
    experiment: Experiment, rows: Sequence[Row], seeds: Iterable[int]
) -> tuple[list[Run], list[str]]:
    """The runs without a stored result, seed by seed, and lines on what is left out, reused or run once more.

    Rows that change nothing at this budget are left out, such as half the depth of a single block. A result is reused
    only if the same code would run, see :mod:`mambadfuse.training.code`.

    Raises:
        ValueError: a row cannot be trained with these settings.
    """
    default = next(row for row in rows if row.name == DEFAULT)
    base = experiment.config(default, 0)
    same = [row for row in rows if row is not default and experiment.config(row, 0) == base]
    runs = [Run(row, seed) for seed in seeds for row in rows if row not in same]
    missing = [run for run in runs if experiment.stored_result(run.row, run.seed) is None]
    lines = [f"{row.name}: left out, it changes nothing at this budget" for row in same]
    if reused := len(runs) - len(missing):
        lines += [f"results of the same code that are reused: {reused}"]
    for run in missing:
        if changes := experiment.code_changes(run.row, run.seed):
            lines += [f"{run}: there is a result of other code, since when this has changed: {changes}"]
    return missing, lines


def run_all(
    experiment: Experiment,
    runs: Iterable[Run],
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Run all of them; the failure of one does not stop the others.

    Each run has its own process, so that its peak memory can be measured. When this process is stopped (Ctrl-C,
    SIGTERM) or killed, the others save a checkpoint and exit, and the same call resumes them.

    Args:
        experiment: what the runs have in common.
        runs: rows and seeds.
        jobs: how many run in parallel; they share the threads of this process.
        say: called with one line for every run that ends.

    Returns:
        One line for each run without a result, saying what went wrong.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once all runs have saved a checkpoint; it says how many had ended.
    """
    waiting, running, problems = deque(runs), list[_Child](), list[str]()
    total, threads = len(waiting), max(1, torch.get_num_threads() // jobs)
    with _sigterm_as_interrupt():
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(_Child(experiment, waiting.popleft(), threads))
                ended = wait([child.process.sentinel for child in running])
                for child in [child for child in running if child.process.sentinel in ended]:
                    running.remove(child)
                    outcome = child.outcome()
                    problems += [f"{child.run}: {outcome}"] if outcome else []
                    say(f"{total - len(waiting) - len(running)}/{total} {child.run}: {outcome or 'done'}")
        except KeyboardInterrupt:
            ended_before = total - len(waiting) - len(running)
            raise KeyboardInterrupt(
                f"{ended_before} of {total} runs had ended; the same command resumes the others"
            ) from None
        finally:
            for child in running:
                child.process.terminate()  # it saves a checkpoint first
            for child in running:
                child.process.join()
    return problems


def try_run(experiment: Experiment, run: Run) -> str:
    """Run it and return what went wrong, empty if nothing did."""
    try:
        experiment.run(run.row, run.seed)
    except Exception as error:  # whatever it is, the other runs continue
        return str(error) or type(error).__name__
    return ""


class _Child:
    """The process of one run."""

    def __init__(self, experiment: Experiment, run: Run, threads: int) -> None:
        self.run = run
        self.answer, answers = _context().Pipe(duplex=False)
        self.process = _context().Process(target=_run_in_child, args=(experiment, run, threads, answers))
        self.process.start()
        answers.close()

    def outcome(self) -> str:
        """Wait for it to end; what went wrong, empty if nothing did."""
        self.process.join()
        try:
            problem: str = self.answer.recv()
        except EOFError:
            problem = f"its process ended with code {self.process.exitcode} without a message"
        self.answer.close()
        return problem


def _run_in_child(experiment: Experiment, run: Run, threads: int, answers: Connection) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C reaches the parent alone, which terminates its children
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    answers.send(try_run(experiment, run))


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _context() -> Any:
    """Processes forked from a server that has everything imported, where the system can fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mambadfuse.ablation.preload", __name__])
    return context


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
