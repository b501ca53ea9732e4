"""``mambadfuse train`` from folders to a file of weights that fuses, also in two processes."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from training_cases import TINY, checkpoint_steps, curve, same_weights, toy_pairs, write_folders

from mambadfuse import cli, load
from mambadfuse.cli import train as command
from mambadfuse.training import BUDGETS, TASKS, configure, read_log, run_folder

SMALL = [
    f"model.{name}={value}"
    for name, value in TINY.to_dict().items()
    if name in ("dim", "state") or name.endswith("_depth")
]
WORDS = [*SMALL, "crop_sizes=16x16,8x32", "batch=4", "warmup=2", "ema_decay=0"]


@pytest.fixture
def folders(tmp_path):
    return write_folders(tmp_path, toy_pairs())


def words(folders, out, *more):
    return ["train", "--pairs", *folders, "--out", str(out), "--steps", "2", "--set", *WORDS, *more]


def test_folders_become_weights_that_fuse(tmp_path, folders, capsys):
    out = tmp_path / "mine.safetensors"
    assert cli.main(words(folders, out)) == 0
    printed = capsys.readouterr().out
    assert "3 pairs, 2 steps of 4 crops" in printed
    assert f"wrote {out}" in printed
    pair = [f"{folder}/toy_0.png" for folder in folders]
    fused = tmp_path / "fused.png"
    assert cli.main(["fuse", "--a", pair[0], "--b", pair[1], "--model", str(out), "--out", str(fused)]) == 0
    assert Image.open(fused).size == (34, 20)
    assert cli.main(words(folders, out)) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_the_settings_lie_beside_the_weights_and_make_the_same_run(tmp_path, folders):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    assert cli.main(words(folders, one, "--task", "ct-mri", "--budget", "minutes")) == 0
    settings = run_folder(one) / "config.yaml"
    assert configure(file=settings).loss.gradient == 100
    again = ["train", "--pairs", *folders, "--out", str(other), "--config", str(settings)]
    assert cli.main(again) == 0
    assert same_weights(one, other)


def test_several_sets_with_sampling_weights_and_a_validation(tmp_path, folders, capsys):
    judged = write_folders(tmp_path / "judged", toy_pairs(1, (48, 48)))
    out = tmp_path / "mine.safetensors"
    more = ["--pairs", *judged, "--sampling-weights", "0.9", "0.1", "--validate", *judged]
    assert cli.main(words(folders, out, *more)) == 0
    assert "4 pairs" in capsys.readouterr().out
    assert (run_folder(out) / "validation.jsonl").exists()


def test_one_folder_that_holds_both_sides_is_paired_as_fuse_pairs_it(tmp_path, capsys):
    for pair in toy_pairs():
        for side, picture in (("IR", pair.a), ("VIS", pair.b)):
            (tmp_path / "one").mkdir(exist_ok=True)
            Image.fromarray(np.kron(picture, np.ones((3, 3), np.uint8))).save(
                tmp_path / "one" / f"{side}_{pair.name}.png"
            )
    one = [str(tmp_path / "one")] * 2
    out = tmp_path / "mine.safetensors"
    assert cli.main(words(one, out, "--validate", *one)) == 0
    assert "3 pairs, 2 steps of 4 crops" in capsys.readouterr().out
    (record,) = curve(out, "validation")[-1:]
    assert record


def test_a_dry_run_shows_settings_steps_time_and_memory_and_writes_nothing(tmp_path, folders, capsys):
    out = tmp_path / "new" / "mine.safetensors"
    assert cli.main([*words(folders, out), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for expected in (
        "learning_rate: 0.001",
        "steps        2",
        "time",
        "s per step",
        "memory",
        "parameters   2,543",
    ):
        assert expected in printed
    assert not out.parent.exists()


def test_damaged_checkpoints_are_named_and_left_alone(tmp_path, folders, capsys):
    state = tmp_path / "mine.run" / "00000001-00000000.safetensors"
    state.parent.mkdir()
    state.write_bytes(b"torn")
    assert cli.main(words(folders, tmp_path / "mine.safetensors")) == 1
    assert "mine.run: the run is damaged" in capsys.readouterr().err
    assert state.read_bytes() == b"torn"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "learning_rat=1"], "did you mean 'learning_rate'"),
        (
            ["--set", "crop_sizes=64x64"],
            "none of 3 pairs (toy_0 and 2 more) is as large as a crop of 64 x 64",
        ),
        (["--set", "learning_rate=1e30", "--steps", "9"], "whose crops are from toy_"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--validate", "nowhere", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_errors_are_reported_in_one_line(tmp_path, folders, capsys, more, message):
    assert cli.main([*words(folders, tmp_path / "w.safetensors"), *more]) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("mambadfuse: ")
    assert message in said


def test_a_dry_run_finds_what_validation_lacks(tmp_path, folders, capsys):
    judged = write_folders(tmp_path / "judged", toy_pairs(1, (8, 48)))
    assert cli.main([*words(folders, tmp_path / "w.safetensors"), "--validate", *judged, "--dry-run"]) == 1
    assert "toy_0" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [[], ["--dry-run"]])
def test_a_run_too_short_for_its_settings_says_so(tmp_path, folders, extra, capsys):
    assert cli.main([*words(folders, tmp_path / "w.safetensors"), *extra]) == 0
    assert "warning: warmup is 2, the run ends after 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    "extra",
    [["--sampling-weights", "1", "2"], ["--out", "weights.pth"], ["--budget", "week"], ["--task", "xray"]],
)
def test_wrong_options_are_usage_errors(tmp_path, folders, extra):
    with pytest.raises(SystemExit) as stop:
        cli.main([*words(folders, tmp_path / "w.safetensors"), *extra])
    assert stop.value.code == 2


def test_the_choices_are_those_of_the_presets():
    assert command.TASKS == TASKS
    assert command.BUDGETS == BUDGETS


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
ACCELERATE = [
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_machines",
    "1",
    "--main_process_port",
    "0",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
    "-m",
]  # with --cpu it starts but one
NOTEBOOK = [
    "-c",
    "import sys; from accelerate import notebook_launcher; from mambadfuse import cli;"
    "notebook_launcher(cli.main, (sys.argv[2:],), num_processes=2)",
]
LAUNCHERS = {
    "torchrun": ["-m", *TORCHRUN],
    "accelerate launch": ["-m", *ACCELERATE],
    "notebook_launcher": NOTEBOOK,
}


def launched(launcher, arguments):
    return subprocess.run(
        [sys.executable, *LAUNCHERS[launcher], "mambadfuse", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


FORKING = pytest.param(
    "notebook_launcher",
    marks=pytest.mark.skipif(sys.platform != "linux", reason="it forks, safe on Linux alone"),
)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate launch", FORKING])
def test_a_batch_that_two_processes_cannot_share_is_refused(tmp_path, folders, launcher):
    """And so there are two."""
    done = launched(launcher, words(folders, tmp_path / "w.safetensors", "batch=3"))
    assert done.returncode != 0 or launcher == "notebook_launcher"  # which hands no status on
    assert "a batch of 3 cannot be shared evenly: accumulate is 1, processes are 2" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("extra", [[], ["accumulate=2"]], ids=["", "accumulated"])
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate launch", FORKING])
def test_two_processes_give_the_weights_of_one(tmp_path, folders, launcher, extra):
    """The published infrared-visible loss, whose α is taken over the whole batch, however it is shared."""
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    more = [*extra, "log_every=1", "--validate", *write_folders(tmp_path / "judged", toy_pairs(3, (48, 48)))]
    assert cli.main(words(folders, one, *more)) == 0
    done = launched(launcher, words(folders, two, *more))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    assert checkpoint_steps(two) == [2]
    alone, shared = load(one).state_dict(), load(two).state_dict()
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-5, atol=1e-6)
    # Adam forgets a gradient's scale, the log does not.
    for here, there in zip(curve(one), curve(two), strict=True):
        assert there == pytest.approx(here, rel=1e-4)
    (scores,), (same,) = (read_log(run_folder(out) / "validation.jsonl") for out in (one, two))
    assert same == pytest.approx(scores, rel=0.01)
