"""Results stay complete through kills, incomplete lines and several processes that write at once."""

import json
import multiprocessing
from dataclasses import replace

import pytest

from mambadfuse.ablation import Result, Store

RESULT = Result(
    row="default",
    seed=0,
    task="ivf",
    budget="minutes",
    settings=["steps=2"],
    pairs="abc",
    config={"steps": 2, "crop_sizes": [[8, 8]]},
    versions={"torch": "2"},
    parameters=10,
    seconds=1.5,
    memory=None,
    means={"EN": 7.0},
    scores={"première": {"EN": 7.0}},
    curve=[[1, 3.0], [2, 2.5]],
)

context = multiprocessing.get_context("spawn")


def test_results_come_back_as_they_were(tmp_path):
    store = Store(tmp_path / "deep" / "results.jsonl")
    assert store.results() == []
    for seed in range(3):
        store.append(replace(RESULT, seed=seed))
    assert store.results() == [replace(RESULT, seed=seed) for seed in range(3)]


@pytest.mark.parametrize("torn", [b'{"row": "default", "se', b"{}{", b"\xff\xfe"])
def test_a_torn_line_costs_itself_alone(tmp_path, caplog, torn):
    store = Store(tmp_path / "results.jsonl")
    store.append(RESULT)
    with store.path.open("ab") as file:
        file.write(torn)
    assert store.results() == [RESULT]
    assert "line 2 is incomplete and skipped" in caplog.text
    store.append(replace(RESULT, seed=1))
    assert [result.seed for result in store.results()] == [0, 1]


def test_what_is_whole_but_no_result_is_named(tmp_path):
    store = Store(tmp_path / "results.jsonl")
    store.path.write_text(json.dumps({"row": "default"}) + "\n")
    with pytest.raises(ValueError, match=r"results.jsonl: line 1 is not a result of this version: .*seed"):
        store.results()


def write_many(path, row):
    for seed in range(40):
        Store(path).append(replace(RESULT, row=row, seed=seed, versions={"long": "x" * 20_000}))


@pytest.mark.slow
def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "results.jsonl"
    writers = [context.Process(target=write_many, args=(path, row)) for row in ("one", "other")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = Store(path).results()
    for row in ("one", "other"):
        assert [result.seed for result in found if result.row == row] == list(range(40))
