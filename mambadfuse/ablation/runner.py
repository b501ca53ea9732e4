"""All runs of an ablation that are missing, each in a process of its own, several side by side."""

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


def planned(experiment: Experiment, rows: Sequence[Row], seeds: Iterable[int]) -> tuple[list[Run], list[str]]:
    """The runs that have no result yet, seed by seed, and what is left out, with its reason.

    Left out are rows that change nothing at this budget, such as half the depth of a single block.

    Raises:
        ValueError: a row cannot be trained with these settings.
    """
    default = next(row for row in rows if row.name == DEFAULT)
    base = experiment.config(default, 0)
    same = [row for row in rows if row is not default and experiment.config(row, 0) == base]
    runs = [Run(row, seed) for seed in seeds for row in rows if row not in same]
    missing = [run for run in runs if experiment.kept(run.row, run.seed) is None]
    return missing, [f"{row.name}: left out, it changes nothing at this budget" for row in same]


def run_all(
    experiment: Experiment,
    runs: Iterable[Run],
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Run them all; the error of one does not stop the others.

    Each run has a process of its own, so that its memory is its own, too. When this one is stopped (Ctrl-C, SIGTERM,
    or killed), the others keep where they are, and the same call goes on from there.

    Args:
        experiment: what the runs have in common.
        runs: rows and seeds.
        jobs: how many run side by side; they share the threads of this process.
        say: is told of every run that ends.

    Returns:
        What went wrong, a line for each run that has no result.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once all runs are kept.
    """
    waiting, busy, problems = deque(runs), list[_Child](), list[str]()
    total, threads = len(waiting), max(1, torch.get_num_threads() // jobs)
    with _terminated_as_interrupted():
        try:
            while waiting or busy:
                while waiting and len(busy) < jobs:
                    busy.append(_Child(experiment, waiting.popleft(), threads))
                ended = wait([child.process.sentinel for child in busy])
                for child in [child for child in busy if child.process.sentinel in ended]:
                    busy.remove(child)
                    outcome = child.outcome()
                    problems += [f"{child.run}: {outcome}"] if outcome else []
                    say(f"{total - len(waiting) - len(busy)}/{total} {child.run}: {outcome or 'done'}")
        finally:
            for child in busy:
                child.process.terminate()  # it keeps where it is first
            for child in busy:
                child.process.join()
    return problems


def attempt(experiment: Experiment, run: Run) -> str:
    """Run it; what went wrong, or an empty word."""
    try:
        experiment.run(run.row, run.seed)
    except Exception as error:  # whatever it is, other runs go on
        return str(error) or type(error).__name__
    return ""


class _Child:
    """A process for one run."""

    def __init__(self, experiment: Experiment, run: Run, threads: int) -> None:
        self.run = run
        self.answer, answers = _context().Pipe(duplex=False)
        self.process = _context().Process(target=_run_in_child, args=(experiment, run, threads, answers))
        self.process.start()
        answers.close()

    def outcome(self) -> str:
        """What went wrong; empty if nothing did."""
        self.process.join()
        try:
            problem: str = self.answer.recv()
        except EOFError:
            problem = f"its process ended with code {self.process.exitcode} and said nothing"
        self.answer.close()
        return problem


def _run_in_child(experiment: Experiment, run: Run, threads: int, answers: Connection) -> None:
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C is for the parent, which passes it on once
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    answers.send(attempt(experiment, run))


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _context() -> Any:
    """Processes forked from one that has everything imported, where there are such."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mambadfuse.ablation.preload", __name__])
    return context


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Inside, SIGTERM is what Ctrl-C is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
