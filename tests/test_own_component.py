"""The whole way of a component that is not part of the kit: 30 lines in a folder, and no line of the kit changed."""

import asyncio
import json
from dataclasses import replace

import pytest
import torch
from ablation_cases import SETTINGS, TABLE, experiment
from component_cases import MIXER, edit, forget, install
from training_cases import toy_pairs, write_folders

from mambadfuse import cli, component, load
from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare, pending_runs, read_table, run_all
from mambadfuse.ablation import experiment as one_run
from mambadfuse.training import code
from mambadfuse.training.code import RunCode


@pytest.fixture
def place(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    yield install(tmp_path, monkeypatch)
    forget(monkeypatch)


@pytest.fixture
def rows(place):
    return list(read_table(place / "rows.yaml").values())


def test_it_is_short(place):
    assert len((place / "attention.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_it_trains_is_counted_scored_stored_and_reloaded_and_other_code_is_another_run(
    place, rows, monkeypatch
):
    mine, row = experiment(place / "lab"), rows[1]
    first = mine.run(row, 0)
    assert first.config["model.mixer"] == "attention:RowAttention"
    assert first.code["classes"] == ["attention:RowAttention"]
    assert first.flops > 0
    assert first.means.keys() >= {"VIF", "Qabf"}
    assert mine.store.results() == [first]
    with monkeypatch.context() as patch:
        patch.setattr(one_run, "train", None)
        assert mine.run(row, 0) == first
    mine.run(rows[0], 0)

    edit(place / "attention.py", "HEADS = 2", "HEADS = 4")
    assert mine.stored_result(row, 0) is None
    assert mine.stored_result(rows[0], 0) is not None
    missing, said = pending_runs(mine, rows, [0])
    assert [str(run) for run in missing] == ["row-attention, seed 0"]
    assert said == [
        "results of the same code that are reused: 1",
        "row-attention, seed 0: there is a result of other code, since when this has changed: attention",
    ]
    second = mine.run(row, 0)
    assert second.curve != first.curve
    names = [line.row for line in compare(mine.store.results()).lines]
    assert names[0] == "default"
    assert sorted(names[1:]) == sorted(["row-attention", next(n for n in names if "@" in n)])
    edit(place / "attention.py", "HEADS = 4", "HEADS = 2")
    assert mine.stored_result(row, 0) == first


@pytest.mark.slow
def test_it_trains_and_is_reloaded_by_commands(place, capsys, monkeypatch):
    folders = write_folders(place / "pairs", toy_pairs(3, (50, 60)))
    train = ["train", "--pairs", *folders, "--out", "w.safetensors", "--set", *SETTINGS, MIXER]
    assert cli.main([*train, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "mixer: 'attention:RowAttention'" in printed
    assert "GFLOP for a pair of 256 x 256 pixels" in printed
    assert cli.main(train) == 0
    edit(place / "attention.py", "HEADS = 2", "HEADS = 4")
    assert cli.main(train) == 1
    assert "the code has changed since step 4: attention" in capsys.readouterr().err
    assert cli.main([*train, "--other-code"]) == 0
    forget(monkeypatch)
    component("attention:RowAttention")
    assert load(place / "w.safetensors").config.mixer == "attention:RowAttention"


@pytest.mark.slow
def test_processes_find_it(place, rows):
    mine = experiment(place / "lab")
    runs, _ = pending_runs(mine, rows, [0])
    assert run_all(mine, runs, say=lambda line: None) == []
    assert {result.row for result in mine.store.results()} == {"default", "row-attention"}


@pytest.mark.slow
def test_it_trains_in_the_panel(place):
    pytest.importorskip("ipywidgets", reason="panels need the extra notebooks")
    from mambadfuse.widgets import AblationLab

    async def scenario():
        mine = experiment(place / "lab")
        lab = AblationLab(
            mine.sets, mine.validation, out=mine.out, table=place / "rows.yaml", settings=mine.settings
        )
        try:
            lab.trainer.click()
            async with asyncio.timeout(900):
                while lab.text.count("finished, step 4 of 4") < 2:
                    assert "failed" not in lab.text, lab.text
                    await asyncio.sleep(0.1)
            assert "row-attention" in lab.table.value
            assert 'alt="row-attention"' in lab.gallery.children[3].value
        finally:
            lab.close()

    asyncio.run(scenario())
    stored = experiment(place / "lab").store.results()
    assert {tuple(result.code["classes"]) for result in stored} == {(), ("attention:RowAttention",)}


def test_results_of_another_version_of_the_kit_are_another_table(tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)
    mine, default = experiment(tmp_path), TABLE["default"]
    mine.run(default, 0)
    monkeypatch.setattr(code, "kit_code", lambda: "feedc0de")
    monkeypatch.setattr(one_run, "kit_code", lambda: "feedc0de")
    assert mine.stored_result(default, 0) is None
    assert mine.code_changes(default, 0) == "the kit"
    mine.run(default, 0)
    report = ["ablate", "--report", str(tmp_path)]
    assert cli.main(report) == 0
    printed = capsys.readouterr().out
    assert printed.count("task ivf, budget minutes") == 2
    assert "kit feedc0de" in printed
    assert cli.main([*report, "--code", "feedc0de", "--json", str(tmp_path / "t.json")]) == 0
    assert len(json.loads((tmp_path / "t.json").read_text())["lines"]) == 1


def test_shipped_results_name_the_commit_of_their_code(capsys):
    assert cli.main(["ablate", "--report", "shipped", "--rows", "gate-shared"]) == 0
    printed = capsys.readouterr().out
    [commit] = {result.code["commit"] for result in Store(SHIPPED_RESULTS).results()}
    assert f"trained by the kit of commit {commit}" in " ".join(printed.split())
    assert "gate-shared" in printed


def test_the_shipped_report_has_a_table_of_the_test_images(capsys):
    assert cli.main(["ablate", "--report", "shipped", "--split", "test", "--rows", "gate-shared"]) == 0
    assert "25 images, the test set" in " ".join(capsys.readouterr().out.split())


def test_results_that_tell_nothing_of_their_code_are_read():
    results = [replace(result, code={}) for result in Store(SHIPPED_RESULTS).results()]
    assert compare(results).commits == ()
    assert RunCode.from_dict({}).kit == ""
