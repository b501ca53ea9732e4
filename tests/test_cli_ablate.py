"""``mambadfuse ablate``: what it lists, estimates, runs and refuses."""

import json

import pytest
import torch
from ablation_cases import SETTINGS, TABLE, experiment
from training_cases import toy_pairs, write_folders

from mambadfuse import cli
from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, read_margins

SHIPPED = compare(Store(SHIPPED_RESULTS).results(), read_margins(["50%"]))


@pytest.fixture
def folders(tmp_path):
    torch.set_num_threads(1)
    trained, judged = (
        write_folders(tmp_path / "t", toy_pairs()),
        write_folders(tmp_path / "j", toy_pairs(2, (50, 60))),
    )
    return ["--pairs", *trained, "--validate", *judged]


def words(tmp_path, *more):
    return ["ablate", "--out", str(tmp_path / "out"), "--set", *SETTINGS, *more]


def failed(arguments, capsys):
    """The usage error, raised before anything is done."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_folders_become_a_table_once(tmp_path, folders, capsys):
    files = [tmp_path / "tables" / "t.json", tmp_path / "tables" / "t.csv"]
    mine = words(tmp_path, "--rows", "norm-once", "--seeds", "1", "--centre-crop", "44x48", *folders)
    assert cli.main([*mine, "--json", str(files[0]), "--csv", str(files[1])]) == 0
    printed = capsys.readouterr().out
    assert "2 runs to do" in printed
    assert "2/2 norm-once, seed 0: done" in printed
    assert "difference from default" in printed
    assert [line["row"] for line in json.loads(files[0].read_text())["lines"]] == ["default", "norm-once"]
    assert files[1].read_text().count("\n") == 1 + 2 * 8  # rows, metrics
    assert cli.main(mine) == 0
    assert "0 runs to do" in capsys.readouterr().out
    assert cli.main(words(tmp_path, "--report")) == 0
    assert "norm-once" in capsys.readouterr().out


def test_what_would_run_and_how_long(tmp_path, folders, capsys):
    assert cli.main(words(tmp_path, "--rows", "depth-half", "norm-once", "--dry-run", *folders)) == 0
    printed = capsys.readouterr().out
    assert "6 runs to do" in printed
    assert "depth-half: left out, it changes nothing at this budget" in printed
    assert "norm-once, seed 2" in printed
    assert "in total with --jobs 1" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_row_that_fails_is_named_and_the_others_are_shown(tmp_path, folders, capsys):
    table = tmp_path / "mine.yaml"
    table.write_text(
        'default: {question: "?", changes: {}}\ntoo-large: {question: "?", changes: {crop_sizes: 64x64}}\n'
    )
    assert cli.main(words(tmp_path, "--table", str(table), "--seeds", "1", *folders)) == 1
    printed = capsys.readouterr()
    assert "default" in printed.out
    assert "too-large, seed 0: none of 3 pairs" in printed.err


def test_every_row_is_listed_with_its_question(capsys):
    assert cli.main(["ablate", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "does each branch need its own gate" in printed
    assert "model.gate=shared" in printed


@pytest.mark.slow
def test_results_of_different_settings_are_different_tables(tmp_path, capsys):
    torch.set_num_threads(1)
    for settings in (SETTINGS, (*SETTINGS, "steps=5")):
        experiment(tmp_path, settings=settings).run(TABLE["default"], 0)
    results = str(tmp_path / "results.jsonl")
    assert cli.main(["ablate", "--report", results]) == 0
    one = capsys.readouterr().out
    assert cli.main(["ablate", "--report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == one
    assert one.count("task ivf, budget minutes with") == 2
    assert cli.main(["ablate", "--report", results, "--csv", str(tmp_path / "t.csv")]) == 1
    assert "cannot hold 2 tables" in capsys.readouterr().err


def test_the_shipped_report_in_every_format(tmp_path, capsys):
    names = {
        "--json": '"lines"',
        "--csv": "effect_size",
        "--html": "data:image/png;base64",
        "--markdown": "| :---",
        "--latex": "\\toprule",
        "--picture-csv": "row,seed,picture",
    }
    files = {option: tmp_path / "report" / option.strip("-") for option in names}
    written = [word for option, path in files.items() for word in (option, str(path))]
    mine = ["ablate", "--report", "shipped", "--rows", "gate-shared", "--figures", str(tmp_path / "figures")]
    assert cli.main([*mine, "--margin", "50%", "--primary", "SSIM", *written]) == 0
    printed = capsys.readouterr().out
    [margin] = {line.effects["SSIM"].margin for line in SHIPPED.lines[1:]}
    assert f"verdicts by SSIM, margin {margin:.3g};" in printed
    assert max(map(len, printed.splitlines()[:30])) <= 100
    for option, path in files.items():
        assert names[option] in path.read_text(), option
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "forest.png",
        "curves.png",
        "cost.png",
    }


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_rows_of_the_shipped_results_are_those_of_their_own_table(split, capsys):
    rows = [line.row for line in SHIPPED.lines[1:]]
    assert "row-attention" in rows
    for row in rows:
        assert cli.main(["ablate", "--report", "shipped", "--split", split, "--rows", row]) == 0
        assert row in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, found 0"),
        (["--jobs", "0"], "--jobs must be at least 1, found 0"),
        (["--pairs", "a", "b"], "--pairs and --validate must be given together"),
        (["--task", "ct-mri"], "--task ct-mri: needs --pairs and --validate"),
        (["--centre-crop", "big"], "--centre-crop big: expected a size such as 160x224"),
    ],
)
def test_wrong_options_are_refused(arguments, message, capsys):
    assert message in failed(["ablate", *arguments], capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "gate"], "unknown row 'gate'"),
        (["--set", "model.gates=own"], "unknown setting 'model.gates'"),
        (["--report", "shipped", "--margin", "small"], "margin 'small': expected a number above 0"),
        (["--report", "shipped", "--primary", "MSE"], "primary metric 'MSE': expected one of EN"),
        (["--report", "nowhere.jsonl"], "nowhere.jsonl: no such file of results"),
    ],
)
def test_errors_are_reported(arguments, message, capsys):
    assert cli.main(["ablate", *arguments]) == 1
    assert message in capsys.readouterr().err
