"""Validation and test stay apart: test pairs are scored once, by a command of their own, and never mixed in."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ablation_cases import SETTINGS, TABLE, experiment
from training_cases import toy_pairs, write_folders

from mambadfuse import cli
from mambadfuse.ablation import Experiment, compare, read_table, score_test
from mambadfuse.ablation import testing as one_test
from mambadfuse.ablation.scoring import score
from mambadfuse.models.checkpoints import load

ROOT = Path(__file__).parents[1]
TEST = toy_pairs(3, (46, 52))
ROWS = ("default", "norm-once")


@pytest.fixture
def trained(tmp_path) -> Experiment:
    torch.set_num_threads(1)
    mine = experiment(tmp_path, keep_weights=True, metrics=("Qabf", "halo"))
    for row in ROWS:
        mine.run(TABLE[row], 0)
    return mine


def test_the_kept_weights_are_scored_once_by_the_same_metrics(trained, monkeypatch):
    said = []
    found = score_test(trained.store, TEST, said.append)
    assert said == ["1/2 default, seed 0: tested", "2/2 norm-once, seed 0: tested"]
    assert [result.split for result in found] == ["test", "test"]
    assert list(found[0].scores) == [pair.name for pair in TEST]
    network = load(trained.out / found[1].weights)
    assert found[1].means["Qabf"] == pytest.approx(
        sum(one["Qabf"] for one in score(network, TEST, ["Qabf"]).scores.values()) / 3, rel=1e-4
    )
    monkeypatch.setattr(one_test, "score", None)
    assert score_test(trained.store, TEST, said.append)[0].means["Qabf"] == found[0].means["Qabf"]
    assert len(said) == 2


def test_a_run_that_came_later_is_tested_and_the_others_are_not_again(trained):
    score_test(trained.store, TEST, str)
    trained.run(TABLE["default"], 1)
    said = []
    assert len(score_test(trained.store, TEST, said.append)) == 3
    assert said == ["3/3 default, seed 1: tested"]


def test_a_second_test_set_is_refused(trained):
    score_test(trained.store, TEST, str)
    with pytest.raises(ValueError, match="was tested on other pairs"):
        score_test(trained.store, TEST[:2], str)


def test_a_table_says_whose_numbers_it_shows_and_never_mixes_them(trained):
    tested = score_test(trained.store, TEST, str)
    assert "2 images, the validation set" in str(compare(trained.results()))
    assert "3 images, the test set" in str(compare(tested))
    with pytest.raises(ValueError, match="on test and validation images cannot be compared: choose one set"):
        compare([*trained.results(), *tested])
    assert trained.stored_result(TABLE["default"], 0).split == "validation"
    assert len(trained.results()) == 2


def test_runs_without_weights_cannot_be_tested(tmp_path):
    mine = experiment(tmp_path)
    with pytest.raises(ValueError, match="there are no results to test"):
        score_test(mine.store, TEST)
    mine.run(TABLE["default"], 0)
    with pytest.raises(
        ValueError, match=r"results\.jsonl: 1 of 1 runs have not kept their weights; --keep-weights"
    ):
        score_test(mine.store, TEST)
    with pytest.raises(ValueError, match="found none"):
        score_test(mine.store, [])


def test_runs_without_weights_are_left_out_and_counted(trained):
    """As of an ablation whose first seeds were trained before weights were kept, or were deleted."""
    forgetful = experiment(trained.out, metrics=("Qabf", "halo"))
    for row in ROWS:
        forgetful.run(TABLE[row], 1)
    trained.run(TABLE["default"], 2)
    (trained.out / trained.stored_result(TABLE["default"], 2).weights).unlink()
    said = []
    tested = score_test(trained.store, TEST, said.append)
    assert said[0].startswith("left out: 3 of 5 runs have not kept their weights")
    assert [(one.row, one.seed) for one in tested] == [("default", 0), ("norm-once", 0)]
    assert [line.seeds for line in compare(tested).lines] == [(0,), (0,)]
    forgetful = experiment(trained.out, keep_weights=True, metrics=("Qabf", "halo"))
    forgetful.run(TABLE["norm-once"], 1)
    score_test(trained.store, TEST, said.append)
    assert said[3].startswith("left out: 2 of 5 runs")


def test_weights_that_were_deleted_after_the_test_are_not_missed(trained):
    found = score_test(trained.store, TEST, str)
    for one in found:
        (trained.out / one.weights).unlink()
    said = []
    assert score_test(trained.store, TEST, said.append) == found
    assert said == []


def test_the_command_tests_and_reports_each_set_by_itself(trained, tmp_path, capsys):
    sides = write_folders(tmp_path / "judged", TEST)
    command = ["ablate", "--out", str(trained.out)]
    assert cli.main([*command, "--test", *sides]) == 0
    printed = capsys.readouterr().out
    assert "3 images, the test set" in printed
    assert "validation set" not in printed
    assert cli.main([*command, "--report"]) == 0
    printed = capsys.readouterr().out
    assert "2 images, the validation set" in printed
    assert "3 images, the test set" in printed
    table = tmp_path / "t.csv"
    assert cli.main([*command, "--report", "--csv", str(table)]) == 1
    assert "see --split" in capsys.readouterr().err
    assert cli.main([*command, "--report", "--csv", str(table), "--split", "test"]) == 0
    assert "norm-once" in table.read_text()


def test_a_test_is_not_a_training(capsys):
    with pytest.raises(SystemExit):
        cli.main(["ablate", "--test", "a", "b", "--pairs", "a", "b", "--set", *SETTINGS])
    assert "--test takes no --pairs, --validate or --metrics" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_with_a_component_of_ones_own_are_tested_once_it_is_named(tmp_path):
    """In a new process, as a file of weights imports no code."""
    torch.set_num_threads(1)
    table, sides = tmp_path / "rows.yaml", write_folders(tmp_path / "judged", TEST[:1])
    table.write_text(
        'default: {question: "?", changes: {}}\n'
        'attention: {question: "?", changes: {model.mixer: "benchmarks.attention:RowAttention"}}\n'
    )
    mine = experiment(tmp_path / "out", keep_weights=True, metrics=("Qabf",))
    for row in read_table(table).values():
        mine.run(row, 0)
    command = [sys.executable, "-m", "mambadfuse", "ablate", "--out", str(mine.out), "--test", *sides]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert refused.returncode == 1
    assert "needs the component benchmarks.attention:RowAttention" in refused.stderr
    named = [*command, "--component", "benchmarks.attention:RowAttention"]
    assert (
        "2/2 attention, seed 0: tested"
        in subprocess.run(named, capture_output=True, encoding="utf-8", check=True).stdout
    )
