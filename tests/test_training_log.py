"""The log of a run: damage costs the damaged lines and nothing else."""

import os

import pytest
from training_cases import curve, quiet

from mambadfuse.training import read_log, run_folder
from mambadfuse.training.log import RunLog

DAMAGE = {
    "a number": b"5\n",
    "an empty object": b"{}\n",
    "a step that is none": b'{"step": "1"}\n{"step": true}\n{"step": NaN}\n',
    "bytes": b"\xff\x00\xfe\n",
    "half a line": b'{"step": 1, "tot',
    "a deep list": b"[" * 100_000 + b"\n",
    "a list": b"[1]\n\n",
    "line separators": '{"step": "\u2028"}\n'.encode(),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_lines_are_skipped_and_deleted_when_the_log_is_rewound(tmp_path, caplog, kind):
    path = tmp_path / "steps.jsonl"
    log = RunLog(path)
    log.write(step=1, total=0.5)
    with path.open("ab") as file:
        file.write(DAMAGE[kind] + b"\n")
    log.write(step=2, total=0.25)
    log.write(step=3, total=0.125)
    assert [record["step"] for record in read_log(path)] == [1, 2, 3]
    log.rewind(2)
    assert path.read_bytes() == b'{"step": 1, "total": 0.5}\n{"step": 2, "total": 0.25}\n'
    assert "damaged lines are deleted" in caplog.text
    caplog.clear()
    log.rewind(2)
    assert not caplog.text


def test_a_run_with_a_damaged_log_resumes(tmp_path):
    out = quiet(tmp_path / "w.safetensors", steps=2)
    before = curve(out)
    log = run_folder(out) / "steps.jsonl"
    log.write_bytes(b"".join(DAMAGE.values()) + b"\n" + log.read_bytes())
    quiet(out, steps=2)
    assert curve(out) == before


def test_a_pipe_in_place_of_the_log_is_refused(tmp_path):
    os.mkfifo(tmp_path / "steps.jsonl")
    with pytest.raises(OSError, match=r"steps\.jsonl: .*pipe"):
        RunLog(tmp_path / "steps.jsonl").rewind(3)
