"""A run that two processes share, stopped or killed in the middle: its weights are those of one that never was."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_cases import kept_steps, same_weights

pytest.importorskip("resource")  # not on Windows, which has no SIGKILL


def launched(out, *number):
    """The exit status of a run by ``torchrun``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               "training_two.py", str(out), *map(str, map(int, number))]  # fmt: skip
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, timeout=600).returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "w.safetensors"
    assert launched(out) == 0
    return out


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_two_processes_go_on_where_they_were_ended(tmp_path, whole, name):
    out = tmp_path / "w.safetensors"
    assert launched(out, signal.Signals[name]) != 0
    assert 0 < kept_steps(out)[-1] < 30
    assert not out.exists()
    assert launched(out) == 0
    assert same_weights(out, whole)
