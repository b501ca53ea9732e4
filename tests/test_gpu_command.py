"""``make gpu`` without a GPU: its logic with stand-ins, and the whole command on the CPU in tiny sizes."""

import json
import math
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from gpu_cases import check, wrong_golden

from benchmarks.gpu import golden
from benchmarks.gpu.agreement import errors
from benchmarks.gpu.page import page
from benchmarks.gpu.settings import Settings, small
from benchmarks.gpu.suite import CHECKS

command = import_module("benchmarks.gpu.__main__")


def settings(folder, limit: float = 60.0) -> Settings:
    return Settings("cpu", folder, minutes=0.0, limit=limit)


def run(monkeypatch: pytest.MonkeyPatch, folder, **checks) -> tuple[int, dict, str]:
    """The exit status of the command with these checks, its report and its page."""
    monkeypatch.setattr(command, "CHECKS", checks)
    monkeypatch.setattr(command, "facts", dict)  # what the machine is takes seconds to find out
    status = command.main(["--device", "cpu", "--small", "--minutes", "0", "--out", str(folder)])
    return (
        status,
        json.loads((folder / "report.json").read_text(encoding="utf-8"))["checks"],
        (folder / "report.md").read_text(encoding="utf-8"),
    )


def test_a_case_that_fails_is_reported_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    status, report, text = run(
        monkeypatch, tmp_path, first=check("raises", "dies", "not possible", "right"), second=check("right")
    )
    raises, dies, impossible, right = report["first"]
    assert raises["state"] == dies["state"] == "FAILED"
    assert "ZeroDivisionError: an error of the library" in raises["reason"]
    assert "exit code 3" in dies["reason"]
    assert impossible == {
        "way": "not possible", "state": "not possible here", "reason": "this needs two GPUs, found 0"
    }  # fmt: skip
    assert right == {"way": "right", "state": "right", "error": 1e-7} == report["second"][0]
    assert status == 1
    assert "ZeroDivisionError: an error of the library" in text
    assert "Cases: 2 FAILED, 1 not possible here, 2 right." in text
    assert "wrong, or failed: Stand-ins" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ways", "judges", "expected"),
    [
        (("right", "not possible"), True, 0),
        (("right", "wrong"), True, 1),
        (("raises",), True, 1),
        (("raises",), False, 0),
    ],
)
def test_the_exit_status_tells_whether_a_result_is_wrong(ways, judges, expected, monkeypatch, tmp_path):
    status, _, text = run(monkeypatch, tmp_path, only=check(*ways, judges=judges))
    assert status == expected
    assert ("No result was found to be wrong" in text) == (expected == 0)


def test_a_case_that_hangs_is_given_up(tmp_path):
    (row,) = check("hangs").rows(settings(tmp_path, limit=0.5))
    assert row["state"] == "FAILED"
    assert "no result after 0" in row["reason"]


def test_what_was_found_is_written_before_the_next_case_runs(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "CHECKS", {"only": check("right", "wrong")})
    monkeypatch.setattr(command, "facts", dict)
    monkeypatch.setattr(command, "line", lambda row: seen.append((tmp_path / "report.md").read_text("utf-8")))
    command.run(settings(tmp_path), ["only"])
    assert "WRONG" not in seen[0]
    assert "WRONG" in seen[1]


def test_numbers_that_are_not_finite_are_never_within_a_bound():
    one = {"y": torch.ones(2, dtype=torch.float64)}
    assert errors({"y": torch.tensor([1.0, math.nan])}, one) == {"y": math.inf}
    assert errors({"y": torch.tensor([1.0, 0.5])}, one) == {"y": 0.5}


@pytest.mark.slow
def test_a_wrong_golden_value_is_reported(tmp_path):
    """Right ones: see the whole command."""
    spoiled = replace(golden.CHECK, cases=lambda settings: [{"backend": "torch"}], measure=wrong_golden)
    (row,) = spoiled.rows(settings(tmp_path, limit=600))
    assert row["state"] == "WRONG", row
    for value in ("output", "loss", "gradients"):
        assert row[f"{value}, error"] > golden.BOUND


def test_the_page_shows_measured_beside_expected():
    rows = [{"work": "fusing", "state": "measured", "seconds": 0.31, "seconds on paper": 0.086}]
    text = page({"torch": "2.13"}, {"speed": CHECKS["speed"]}, {"speed": rows})
    assert "| work | state | seconds | seconds on paper |" in text
    assert "| fusing | measured | 0.31 | 0.086 |" in text


def test_without_a_gpu_it_says_how_to_try_it(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    assert stopped.value.code == 2
    assert (
        "PyTorch finds no GPU. To try the command on a CPU: --device cpu --small" in capsys.readouterr().err
    )


def test_the_sizes_on_a_gpu_are_the_published_ones(tmp_path):
    full = settings(tmp_path)
    assert (full.network.dim, full.image, full.batch, full.crop, full.budget) == (
        60,
        (480, 640),
        12,
        128,
        "gpu",
    )
    assert small(full).network.dim < full.network.dim


@pytest.mark.slow
def test_the_whole_command_on_the_cpu(tmp_path):
    arguments = ["--device", "cpu", "--small", "--minutes", "0.01", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["machine"]["torch"] == torch.__version__
    assert report["checks"].keys() == CHECKS.keys()
    for name, rows in report["checks"].items():
        wanted = "right" if CHECKS[name].judges else "measured"
        assert {row["state"] for row in rows} == {wanted}, rows
    assert {row["backend"] for row in report["checks"]["agreement"]} == {"torch", "numba"}
    (recipe,) = report["checks"]["recipe"]
    assert (tmp_path / recipe["weights"]).exists()
    assert all(
        check.title in (tmp_path / "report.md").read_text(encoding="utf-8") for check in CHECKS.values()
    )
