"""Shards: a folder fused and scored in parts gives what it gives in one go."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.images import write_image
from mambadfuse.evaluation.shards import join_tables
from mambadfuse.fusion.manifest import manifest
from mambadfuse.models import checkpoints

RNG = np.random.default_rng(0)
NAMES = [str(k) for k in (1, 2, 3, 4, 10, 11, 12)]


class Share(nn.Module):
    def __init__(self, share):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def forward(self, a, b):
        return self.share * a + (1 - self.share) * b


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Seven pairs; results of two methods, one of which lacks an image and adds a word to its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: Share(0.25 if str(source) == "ivf" else 0.75))
    for folder in ("a", "b", "ours", "theirs"):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            added = "_net_2" if folder == "theirs" else ""
            if (folder, name) != ("theirs", "3"):
                picture = RNG.integers(0, 256, (40, 44)).astype(np.uint8)
                write_image(tmp_path / folder / f"{name}{added}.png", picture)
    return tmp_path


EVALUATE = "evaluate --fused ours theirs --a a --b b --metrics EN SD MSE MI"


def run(words):
    return main(words.split())


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_joined_table_is_that_of_the_whole(place, capsys, count):
    assert run(f"{EVALUATE} --json whole.json --csv whole.csv") == 1
    whole = capsys.readouterr()
    for part in range(1, count + 1):
        run(f"{EVALUATE} --shard {part}/{count} --json {part}.json")
    capsys.readouterr()
    files = " ".join(f"{part}.json" for part in range(count, 0, -1))
    assert run(f"evaluate --join {files} --json joined.json --csv joined.csv") == 1
    joined = capsys.readouterr()
    assert joined.out.replace("joined", "whole") == whole.out
    assert joined.err == whole.err
    assert Path("joined.csv").read_text() == Path("whole.csv").read_text()
    assert Path("joined.json").read_text() == Path("whole.json").read_text()


def test_shards_join_in_any_order(place):
    tables = []
    for part in (1, 2, 3):
        table = mdf.evaluate_folders(
            ["ours"], "a", "b", metrics=["EN", "PSNR"], shard=(part, 3), progress=False
        )
        Path(f"{part}.json").write_text(table.to_json())
    for order in permutations((1, 2, 3)):
        tables.append(join_tables([f"{part}.json" for part in order]))
    assert all(table == tables[0] for table in tables)
    assert set(tables[0].pictures) == set(NAMES)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("1.json", "1.json: these shards are missing: 2/2"),
        ("1.json 2.json 1.json", None),
        ("1.json copy.json", "copy.json: is shard 1/2, and so is 1.json"),
        ("1.json of3.json", "of3.json: is shard 1/3, 1.json is one of 2"),
        ("1.json strict.json", "strict.json: its convention is strict, that of 1.json is literature"),
        ("1.json whole.json", "whole.json: is not the table of a shard"),
        ("1.json a/1.png", "1.png: is not JSON"),
        ("1.json deep.json", "deep.json: is not JSON"),
        ("1.json list.json", "list.json: is not the table of a shard"),
        ("1.json none.json", "none.json"),
    ],
)
def test_tables_that_do_not_belong_together_are_named(place, capsys, files, message):
    run(f"{EVALUATE} --shard 1/2 --json 1.json")
    run(f"{EVALUATE} --shard 2/2 --json 2.json")
    run(f"{EVALUATE} --shard 1/2 --json copy.json")
    run(f"{EVALUATE} --shard 1/3 --json of3.json")
    run(f"{EVALUATE} --shard 2/2 --convention strict --json strict.json")
    run(f"{EVALUATE} --json whole.json")
    Path("list.json").write_text("[]")
    Path("deep.json").write_text("[" * 100_000)
    capsys.readouterr()
    assert run(f"evaluate --join {files}") == 1
    error = capsys.readouterr().err
    assert message is None or message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("evaluate --join 1.json --fused ours", "--join takes everything from the tables of the shards"),
        ("evaluate --join 1.json --json 1.json", "1.json: would replace its own source"),
        ("evaluate --a a --b b", "required: --fused, or --join"),
        (f"{EVALUATE} --shard 0/3", "--shard: expected a part such as 3/16, found '0/3'"),
        (f"{EVALUATE} --shard 4/3", "--shard: expected a part such as 3/16, found '4/3'"),
        ("fuse --a a/1.png --b b/1.png --out f.png --shard 1/2", "--shard is for folders, or --pairs-file"),
        ("fuse --samples --out f --shard 1/2", "--samples brings its own images"),
    ],
)
def test_wrong_usage(place, capsys, words, message):
    Path("1.json").touch()
    with pytest.raises(SystemExit) as stop:
        run(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_more_shards_than_pairs_are_refused(place, capsys):
    assert run("fuse --a a --b b --out out --shard 2/8") == 1
    assert "shard 2/8: there are only 7 pairs, choose fewer shards" in capsys.readouterr().err
    assert run(f"{EVALUATE} --shard 8/8") == 1


def results():
    return {path.name: path.read_bytes() for path in Path("out").glob("*.png")}


def test_shards_fuse_each_pair_once_and_the_whole_keeps_them(place, capsys):
    for part in (3, 1, 2):
        assert run(f"fuse --a a --b b --out out --shard {part}/3") == 0
        assert f"{2 + (part == 1)} fused, 0 kept" in capsys.readouterr().out
    in_parts = results()
    assert run("fuse --a a --b b --out out") == 0
    assert "0 fused, 7 kept" in capsys.readouterr().out
    assert run("fuse --a a --b b --out out --overwrite") == 0
    assert results() == in_parts
    assert run("fuse --a a --b b --out out --shard 2/3") == 0
    assert "0 fused, 2 kept" in capsys.readouterr().out


def test_results_of_other_settings_are_known_across_shards(place, capsys):
    for part in (1, 2):
        assert run(f"fuse --a a --b b --out out --shard {part}/2") == 0
    assert run("fuse --a a --b b --out out --model pet-mri") == 1
    assert "7 of 7 results exist already, made with other or unknown settings" in capsys.readouterr().err
    assert run("fuse --a a --b b --out out --model pet-mri --overwrite --shard 1/2") == 0
    assert run("fuse --a a --b b --out out") == 1
    assert "4 of 7 results exist already" in capsys.readouterr().err
    assert run("fuse --a a --b b --out out --overwrite") == 0
    assert run("fuse --a a --b b --out out --shard 1/2") == 0
    assert "0 fused, 4 kept" in capsys.readouterr().out.splitlines()[-1]


def test_shards_of_another_count_take_what_is_there(place, capsys):
    assert run("fuse --a a --b b --out out --shard 1/3") == 0  # the pairs 1, 4, 12
    assert run("fuse --a a --b b --out out --shard 2/2") == 0  # the pairs 2, 4, 11
    assert "2 fused, 1 kept" in capsys.readouterr().out
    assert run("fuse --a a --b b --out out") == 0
    assert "2 fused, 5 kept" in capsys.readouterr().out


def write(record, file):
    write_image(file, RNG.integers(0, 256, (4, 5)).astype(np.uint8), record.of(file))


def test_shards_that_run_at_once_do_not_lose_each_others_records(tmp_path):
    """Each is open while the other begins and ends."""
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    settings = {"bits": 8}
    with manifest(tmp_path, [first], settings, False, (1, 2)) as record:
        with manifest(tmp_path, [second], settings, False, (2, 2)) as record_of_second:
            write(record_of_second, second)
        write(record, first)
    with manifest(tmp_path, [first, second], settings, False):
        pass
    with (
        pytest.raises(ValueError, match="2 of 2 results exist already"),
        manifest(tmp_path, [first, second], {}, False),
    ):
        pass


def test_results_that_an_overwriting_run_does_not_reach_stay_on_record(tmp_path):
    files = [tmp_path / f"{name}.png" for name in "123"]
    with manifest(tmp_path, files, {"model": "x", "bits": 8}, True) as record:
        for file in files:
            write(record, file)
    with manifest(tmp_path, files[:2], {"bits": 16}, True, (1, 2)) as record:
        write(record, files[0])
    for settings, there in ({"bits": 8}, files[:1]), ({"bits": 16}, files[1:]):
        message = rf"{len(there)} of 3 results .* \({there[0].name} was made with bits"
        with pytest.raises(ValueError, match=message):
            manifest(tmp_path, files, settings, False).__enter__()


def test_infinite_scores_survive_the_join(place):
    for name in NAMES:
        write_image(f"ours/{name}.png", (mdf.read_image(f"a/{name}.png") * 255).round().astype(np.uint8))
        write_image(f"b/{name}.png", (mdf.read_image(f"a/{name}.png") * 255).round().astype(np.uint8))
    for part in (1, 2):
        table = mdf.evaluate_folders("ours", "a", "b", metrics=["PSNR"], shard=(part, 2), progress=False)
        Path(f"{part}.json").write_text(table.to_json())
    assert json.loads(Path("1.json").read_text())["shard"] == [1, 2]
    whole = mdf.evaluate_folders("ours", "a", "b", metrics=["PSNR"], progress=False)
    assert join_tables(["1.json", "2.json"]).to_json() == whole.to_json()
