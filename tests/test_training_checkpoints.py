"""Runs that are killed, damaged, or out of disk space end with the weights of a run that never was interrupted.

Child processes are forked from a server that has PyTorch loaded; each kills itself, or is killed.
"""

import multiprocessing
import os
import random
import shutil
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from torch.optim.swa_utils import AveragedModel
from training_cases import CONFIG, TINY, checkpoint_steps, checkpoints, curve, quiet, same_weights, toy_pairs

from mambadfuse import MambaDFuse, save
from mambadfuse.data.training_pairs import ArrayPair
from mambadfuse.files import atomic_write
from mambadfuse.training import BusyError, checkpointing, loop, run_folder, train
from mambadfuse.training.log import RunLog

resource = pytest.importorskip(
    "resource", reason="Windows, where processes are not forked either, has no such module"
)
pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "2"))  # at random moments
SETTINGS = {"steps": 10, "checkpoint_seconds": 0, "keep_checkpoints": 2}
JUDGED = SETTINGS | {"validation": toy_pairs(1, (48, 48)), "validate_every": 2}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["training_preload"])


def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)


class DiesHalfway:
    """A file in the middle of whose content the process is killed."""

    def __init__(self, file):
        self.file = file

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()


@contextmanager
def half_written(path, durable):
    with atomic_write(path, durable) as file:
        yield DiesHalfway(file)


MOMENTS = {
    "in a step": (torch.optim.Adam, "step", die),
    "before the average": (AveragedModel, "update_parameters", die),
    "in the log": (RunLog, "write", die),
    "half-written": (checkpointing, "atomic_write", half_written),
    "written but without a name": (os, "fsync", die),
    "before old checkpoints are deleted": (Path, "unlink", die),
    "at the weights": (loop, "save", die),
}


def run_until(moment, count, out, settings=SETTINGS):
    """A run whose ``count``-th call at a moment is its last; it ends if there are fewer."""
    # Readers of crops that a server starts would outlive a process that is killed.
    multiprocessing.set_start_method("fork", force=True)
    if moment is not None:
        place, name, instead = MOMENTS[moment]
        function, calls = getattr(place, name), iter(range(1, count))
        setattr(place, name, lambda *a, **k: (function if next(calls, None) else instead)(*a, **k))
    quiet(out, **settings)


def run_without_disk(out, connection):
    """A run on a disk that takes no file of more than 10 kB; it sends what it says."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        quiet(out, **SETTINGS)
    except OSError as error:
        connection.send(str(error))


def child(function, *arguments):
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def ended(process):
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "w.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", str(Path(__file__).parent)
        )  # for the server, which begins with the first child
        assert ended(child(run_until, None, 0, out)) == 0
    return out


@pytest.fixture
def stopped(tmp_path, whole):
    """The name of the weights of a run that was killed in its sixth step."""
    out = tmp_path / "w.safetensors"
    assert ended(child(run_until, "in a step", 6, out)) == -signal.SIGKILL
    assert checkpoint_steps(out) == [4, 5]
    return out


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment != "at the weights"])
def test_killed_at_any_moment_a_run_ends_with_the_same_weights(tmp_path, whole, moment):
    out = tmp_path / "w.safetensors"
    counts = random.Random(moment)
    kills = 0
    while ended(child(run_until, moment if kills < 2 else None, counts.randint(1, 4), out)):
        kills += 1
        assert kills <= 2
    assert kills >= 1
    assert same_weights(out, whole)
    assert curve(out) == curve(whole)
    assert {path.name for path in run_folder(out).iterdir()} == {
        ".lock",
        "config.yaml",
        "steps.jsonl",
        *(path.name for path in checkpoints(out)),
    }


def test_killed_from_outside_at_random_times_a_run_ends_with_the_same_weights(tmp_path, whole):
    out = tmp_path / "w.safetensors"
    times, steps = random.Random(0), [0]
    for _ in range(4):
        process = child(run_until, None, 0, out)
        while process.exitcode is None and max(checkpoint_steps(out), default=0) == steps[-1]:
            process.join(0.001)
        process.join(times.uniform(0, 0.1))
        process.kill()
        process.join()
        steps.append(max(checkpoint_steps(out)))
    assert any(0 < step < SETTINGS["steps"] for step in steps)
    quiet(out, **SETTINGS)
    assert same_weights(out, whole)
    assert curve(out) == curve(whole)


def killed(moment, count, out):
    """Whether a run was killed: by itself at the ``count``-th call at a moment, or from outside after so many steps."""
    process = child(run_until, None if moment == "from outside" else moment, count, out)
    if moment == "from outside":
        while process.exitcode is None and max(checkpoint_steps(out), default=0) < count:
            process.join(0.001)
        process.join(random.Random(count).uniform(0, 0.1))
        process.kill()
    return ended(process) == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_a_random_moment_a_run_ends_with_the_same_weights(tmp_path, whole, seed):
    draw = random.Random(seed)
    moment = draw.choice([*MOMENTS, "from outside"])
    latest = draw.randint(0 if moment == "from outside" else 1, SETTINGS["steps"])
    names = [tmp_path / f"{count}.safetensors" for count in range(latest + 1)]
    out = next(names[count] for count in reversed(range(latest + 1)) if killed(moment, count, names[count]))
    quiet(out, **SETTINGS)
    assert same_weights(out, whole)
    assert curve(out) == curve(whole)


def test_killed_between_validations_a_run_ends_with_the_same_scores(tmp_path, whole):
    out = tmp_path / "w.safetensors"
    assert ended(child(run_until, "in a step", 6, out, JUDGED)) == -signal.SIGKILL
    with (run_folder(out) / "validation.jsonl").open("a") as log:
        log.write('{"step": 6}\n')  # of a step without a checkpoint
    quiet(out, **JUDGED)
    assert same_weights(out, whole)
    assert curve(out, "validation") == curve(quiet(tmp_path / "judged.safetensors", **JUDGED), "validation")


def test_killed_with_workers_a_run_resumes_at_once(tmp_path, whole):
    """Orphaned workers exit within seconds, and with them goes the lock they inherited."""
    out, settings = tmp_path / "w.safetensors", SETTINGS | {"workers": 1}
    assert ended(child(run_until, "in a step", 6, out, settings)) == -signal.SIGKILL
    assert same_weights(quiet(out, **settings), whole)


@pytest.mark.parametrize("there", ["of another run", "torn"])
def test_killed_while_the_weights_are_written_it_is_they_that_end_there(tmp_path, whole, there):
    out = tmp_path / "w.safetensors"
    assert ended(child(run_until, "in a step", 6, out)) == -signal.SIGKILL
    other = quiet(tmp_path / "other.safetensors", **SETTINGS, seed=1).read_bytes()
    out.write_bytes(other if there == "of another run" else other[:-100])
    assert ended(child(run_until, "at the weights", 1, out)) == -signal.SIGKILL
    quiet(out, **SETTINGS)
    assert same_weights(out, whole)


def test_a_run_that_another_process_is_using_is_not_touched(stopped, whole, monkeypatch):
    monkeypatch.setattr(checkpointing, "_LOCK_TIMEOUT", 0)
    before = {path: path.read_bytes() for path in run_folder(stopped).iterdir()}
    with (
        FileLock(run_folder(stopped) / ".lock"),
        pytest.raises(BusyError, match=r"w\.run: is being trained by another process"),
    ):
        quiet(stopped, **SETTINGS)
    assert {path: path.read_bytes() for path in run_folder(stopped).iterdir()} == before
    quiet(stopped, **SETTINGS)
    assert same_weights(stopped, whole)


def test_initial_weights_are_recognised_by_their_content(tmp_path):
    start, out = tmp_path / "start.safetensors", tmp_path / "w.safetensors"
    torch.manual_seed(0)
    save(MambaDFuse(TINY), start)
    quiet(out, init_from=str(start), steps=2)
    moved = start.rename(tmp_path / "moved.safetensors")
    quiet(out, init_from=str(moved), steps=2)
    torch.manual_seed(1)
    save(MambaDFuse(TINY), start)
    with pytest.raises(ValueError, match="belongs to another run: init_from was"):
        quiet(out, init_from=str(start), steps=2)


def test_a_torn_line_of_the_log_costs_no_other_line(stopped, whole):
    log = run_folder(stopped) / "steps.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text(first + '{"step": \n' + "".join(rest))
    quiet(stopped, **SETTINGS)
    assert curve(stopped) == curve(whole)


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"there.*steps\.jsonl: cannot be written"):
        RunLog(tmp_path / "there" / "steps.jsonl").write(step=1)


@pytest.mark.parametrize(
    "tear", [lambda content: content[:-100], lambda content: b"", lambda content: b"\0" + content[1:]]
)
def test_a_damaged_checkpoint_is_set_aside_and_the_run_resumes_from_the_one_before(
    stopped, whole, caplog, tear
):
    newest = checkpoints(stopped)[-1]
    newest.write_bytes(tear(newest.read_bytes()))
    quiet(stopped, **SETTINGS)
    assert f"{newest} is damaged: the run resumes from the checkpoint before it" in caplog.text
    assert newest.with_name(newest.name + ".damaged").exists()
    assert same_weights(stopped, whole)
    assert curve(stopped) == curve(whole)


@pytest.mark.parametrize("name", ["best-one.safetensors", "0-0.safetensors", "99999999-copy.safetensors"])
def test_weights_that_were_put_into_the_folder_of_a_run_are_left_alone(stopped, whole, name):
    """They are neither taken for its latest checkpoint, nor for a damaged one."""
    other = run_folder(stopped) / name
    shutil.copy(whole, other)
    quiet(stopped, **SETTINGS | {"keep_checkpoints": 1})
    assert same_weights(stopped, whole)
    assert other.read_bytes() == whole.read_bytes()
    assert [path.name[:9] for path in checkpoints(stopped) if path != other] == ["00000010-"]


def test_if_all_checkpoints_are_damaged_nothing_is_started_over(stopped):
    for path in checkpoints(stopped):
        path.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"the run is damaged, none of its 2 checkpoints can be read"):
        quiet(stopped, **SETTINGS)
    assert [path.read_bytes() for path in checkpoints(stopped)] == [b"torn", b"torn"]


def test_a_full_disk_is_reported_and_costs_no_earlier_checkpoint(stopped, whole):
    before = {path: path.read_bytes() for path in checkpoints(stopped)}
    here, there = context.Pipe()
    assert ended(child(run_without_disk, stopped, there)) == 0
    message = here.recv()
    assert "step 6 could not be saved" in message
    assert "File too large" in message
    assert f"the run can resume from {checkpoints(stopped)[-1].name}" in message
    assert {path: path.read_bytes() for path in checkpoints(stopped)} == before
    assert not list(run_folder(stopped).glob(".*.part"))
    quiet(stopped, **SETTINGS)
    assert same_weights(stopped, whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"steps": 20}, "steps was 10, is 20"),
        ({"crop_sizes": ((8, 8),)}, r"crop_sizes was \[\[16, 16\], \[8, 32\]\], is \[\[8, 8\]\]"),
        ({"pairs": [ArrayPair(p.name, p.b, p.a) for p in toy_pairs()]}, "pairs was"),
    ],
)
def test_another_run_is_not_continued_and_not_touched(stopped, changes, message):
    before = {path: path.read_bytes() for path in run_folder(stopped).iterdir()}
    with pytest.raises(ValueError, match=f"belongs to another run: {message}"):
        quiet(stopped, **{**SETTINGS, **changes})
    assert {path: path.read_bytes() for path in run_folder(stopped).iterdir()} == before


def test_a_run_resumes_with_other_settings_of_how_it_is_saved(stopped, whole):
    quiet(stopped, **{**SETTINGS, "keep_checkpoints": 5, "checkpoint_seconds": 1000, "log_every": 3})
    assert checkpoint_steps(stopped) == [4, 5, 10]
    assert same_weights(stopped, whole)


def test_a_run_can_be_moved(stopped, whole, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(run_folder(stopped), tmp_path / "elsewhere" / "other.run")
    assert same_weights(quiet(tmp_path / "elsewhere" / "other.safetensors", **SETTINGS), whole)


def test_other_versions_are_mentioned(stopped, capsys, monkeypatch):
    monkeypatch.setattr(loop, "versions", lambda: {"torch": "99"})
    train(replace(CONFIG, **SETTINGS), [toy_pairs()], stopped)
    assert "is 99: last bits may differ" in capsys.readouterr().err
