"""A run shared by two processes, stopped or killed midway, ends with the weights of one that never was."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_cases import checkpoint_steps, same_weights

pytest.importorskip("resource", reason="Windows has neither this module nor SIGKILL")
pytestmark = pytest.mark.slow


def launch(out, *number):
    """A run by ``torchrun``."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "training_two.py",
        str(out),
        *map(str, map(int, number)),
    ]
    folder = Path(__file__).parent
    return subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=600, check=False
    )


def finish(out):
    done = launch(out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return finish(tmp_path_factory.mktemp("whole") / "w.safetensors")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_two_processes_resume_where_they_were_stopped(tmp_path, whole, name):
    out = tmp_path / "w.safetensors"
    assert launch(out, signal.Signals[name]).returncode != 0
    assert 0 < checkpoint_steps(out)[-1] < 30
    assert not out.exists()
    assert same_weights(finish(out), whole)
