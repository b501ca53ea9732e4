"""Runs of an ablation: the same results however often they are killed, and a failure stops no other run."""

import multiprocessing
import os
import signal

import pytest
import torch
from ablation_cases import SETTINGS, TABLE, comparable, experiment
from filelock import FileLock
from training_cases import toy_pairs

from mambadfuse.ablation import (
    BusyError,
    Row,
    Store,
    bundled_pairs,
    centre_crop,
    pending_runs,
    run_all,
    runner,
)
from mambadfuse.ablation import experiment as one_run
from mambadfuse.ablation.experiment import downsample
from mambadfuse.training import loop

LONG = (*SETTINGS, "steps=100000")
DEFAULT, ONCE = TABLE["default"], TABLE["norm-once"]

posix = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has neither fork nor SIGKILL")
context = multiprocessing.get_context("forkserver" if hasattr(signal, "SIGKILL") else "spawn")
context.set_forkserver_preload(["ablation_preload"])


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a run that was never stopped."""
    torch.set_num_threads(1)
    return experiment(tmp_path_factory.mktemp("whole")).run(ONCE, 1)


def test_a_result_records_its_run(whole):
    assert (whole.row, whole.seed, whole.task, whole.budget) == ("norm-once", 1, "ivf", "minutes")
    assert (whole.config["model.norm_passes"], whole.config["seed"], whole.config["steps"]) == (1, 1, 4)
    assert set(whole.versions) >= {"mambadfuse", "torch", "python"}
    assert list(whole.scores) == ["toy_0", "toy_1"]
    assert whole.means["VIF"] == pytest.approx(sum(one["VIF"] for one in whole.scores.values()) / 2, rel=1e-4)
    assert [step for step, _ in whole.curve] == [1, 2, 3, 4]
    assert whole.seconds > 0


def test_a_stored_result_is_not_run_again_and_leaves_no_run(tmp_path, monkeypatch):
    mine = experiment(tmp_path)
    first = mine.run(DEFAULT, 0)
    monkeypatch.setattr(one_run, "train", None)
    assert mine.run(DEFAULT, 0) == first
    assert mine.store.results() == [first]
    assert not [path for path in tmp_path.glob("runs/*") if path.is_dir()]


def test_another_setting_or_other_pairs_make_another_run(tmp_path):
    mine = experiment(tmp_path)
    mine.run(DEFAULT, 0)
    for other in (
        experiment(tmp_path, settings=(*SETTINGS, "steps=5")),
        experiment(tmp_path, validation=toy_pairs(1, (44, 48))),
        experiment(tmp_path, sets=[toy_pairs(2)]),
    ):
        assert other.stored_result(DEFAULT, 0) is None
        assert other.weights_path(DEFAULT, 0) != mine.weights_path(DEFAULT, 0)


def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def run_until(moment, out):
    """A run that is killed at a moment."""
    torch.set_num_threads(1)
    if moment == "training":
        save, calls = loop._Run._save_checkpoint, iter(range(2))
        loop._Run._save_checkpoint = lambda self: save(self) if next(calls, None) is not None else die()
    elif moment == "scoring":
        one_run.score = die
    elif moment == "storing":
        Store.append = die
    elif moment == "tidying":
        one_run.shutil.rmtree = die
    experiment(out).run(ONCE, 1)


@pytest.mark.slow
@posix
@pytest.mark.parametrize("moment", ["training", "scoring", "storing", "tidying"])
def test_killed_at_any_moment_the_result_is_the_same(tmp_path, whole, moment):
    process = context.Process(target=run_until, args=(moment, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    mine = experiment(tmp_path)
    assert len(mine.store.results()) == (moment == "tidying")
    assert mine.weights_path(ONCE, 1).parent.is_dir()
    assert comparable(mine.run(ONCE, 1)) == comparable(whole)
    assert len(mine.store.results()) == 1
    assert not mine.weights_path(ONCE, 1).parent.exists()


@pytest.mark.slow
def test_a_run_that_another_process_is_using_is_left_to_it(tmp_path):
    mine = experiment(tmp_path)
    folder = mine.weights_path(DEFAULT, 0).parent
    folder.parent.mkdir()
    with (
        FileLock(folder.with_name(f".{folder.name}.lock")),
        pytest.raises(BusyError, match=r"default, seed 0: is being trained by another process"),
    ):
        mine.run(DEFAULT, 0)
    assert mine.run(DEFAULT, 0).row == "default"


def test_pending_runs_are_ordered_by_seed(tmp_path):
    mine = experiment(tmp_path)
    mine.run(ONCE, 0)
    rows = [DEFAULT, TABLE["depth-half"], ONCE]
    runs, left_out = pending_runs(mine, rows, range(2))
    assert [str(run) for run in runs] == ["default, seed 0", "default, seed 1", "norm-once, seed 1"]
    assert left_out == [
        "depth-half: left out, it changes nothing at this budget",
        "results of the same code that are reused: 1",
    ]


@pytest.mark.slow
def test_parallel_processes_find_what_one_finds_and_an_error_stops_no_other(tmp_path, whole):
    wrong = Row("too-large", "?", {"crop_sizes": "64x64"})  # no toy is as large
    mine, said = experiment(tmp_path), []
    runs, _ = pending_runs(mine, [DEFAULT, wrong, ONCE], [1])
    problems = run_all(mine, runs, jobs=2, say=said.append)
    assert len(problems) == 1
    assert problems[0].startswith("too-large, seed 1: none of 3 pairs")
    assert len(said) == 3
    found = {result.row: result for result in mine.store.results()}
    assert set(found) == {"default", "norm-once"}
    assert comparable(found["norm-once"]) == comparable(whole)


def run_long(out):
    """A command with one long run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits an ignored SIGINT
    torch.set_num_threads(1)
    mine = experiment(out, settings=LONG)
    run_all(mine, pending_runs(mine, [DEFAULT], [0])[0], say=str)


@pytest.mark.slow
@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_leaves_a_checkpoint_and_no_process(tmp_path, number):
    mine = experiment(tmp_path, settings=LONG)
    folder = mine.weights_path(DEFAULT, 0).parent
    command = context.Process(target=run_long, args=(tmp_path,))
    command.start()
    while not list(folder.glob("*.run/*.safetensors")):  # the first checkpoint
        assert command.is_alive()
    os.kill(command.pid, number)
    command.join()
    assert command.exitcode != 0
    with FileLock(
        folder.with_name(f".{folder.name}.lock"), timeout=60
    ):  # free once the run's process has ended
        assert list(folder.glob("*.run/*.safetensors"))
    assert mine.store.results() == []


def test_a_stopped_command_says_how_many_runs_had_ended(tmp_path, monkeypatch):
    class Finished:
        """Stands for the process of a run, and for that run in it."""

        def __init__(self, experiment, run, threads):
            self.run, self.process, self.sentinel, self.stopped = run, self, object(), False
            children.append(self)

        def outcome(self):
            return ""

        def terminate(self):
            self.stopped = True

        def join(self):
            pass

    def first_then_ctrl_c(sentinels):
        if len(children) == 3:
            raise KeyboardInterrupt
        return sentinels[:1]

    children = []
    monkeypatch.setattr(runner, "_Child", Finished)
    monkeypatch.setattr(runner, "wait", first_then_ctrl_c)
    runs = [runner.Run(DEFAULT, seed) for seed in range(5)]
    with pytest.raises(KeyboardInterrupt, match="1 of 5 runs had ended; the same command resumes the others"):
        run_all(experiment(tmp_path), runs, jobs=2, say=lambda _: None)
    assert [child.stopped for child in children] == [False, True, True]


def test_no_pairs_or_small_ones_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs validation pairs"):
        experiment(tmp_path, validation=[])
    with pytest.raises(ValueError, match="need at least 41 pixels per side"):
        experiment(tmp_path, validation=toy_pairs(1, (44, 40)))


def test_a_downsampled_curve_keeps_its_mean_and_its_last_step():
    curve = downsample([(step, float(step)) for step in range(1, 101)], points=10)
    assert [step for step, _ in curve] == list(range(10, 101, 10))
    assert curve[0] == [10, 5.5]
    assert downsample([(1, 3.0)]) == [[1, 3.0]]


def test_the_centre_of_an_image():
    [pair] = toy_pairs(1, (20, 34))
    [cut] = centre_crop([pair], (10, 50))
    assert cut.shape == (10, 34)
    assert (cut.a == pair.a[5:15]).all()
    assert cut.name == pair.name


def test_bundled_pairs_for_training_and_validation_are_disjoint():
    (real, toys), judged = bundled_pairs((48, 64))
    assert real
    assert {pair.name for pair in toys}.isdisjoint(pair.name for pair in judged)
    assert {pair.shape for pair in judged} == {(48, 64)}
