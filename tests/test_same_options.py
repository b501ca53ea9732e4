"""The command line and Python take the same options and give the same result, to the bit."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mambadfuse as mdf
from benchmarks.alignment import two_views
from benchmarks.registration import shifted
from mambadfuse.cli import main
from mambadfuse.data.checking import check
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import write_image
from mambadfuse.data.training_pairs import find_training_pairs
from mambadfuse.evaluation.fault_folders import measure_folders
from mambadfuse.fusion import memory, pair
from mambadfuse.fusion.manifest import MANIFEST
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.models import checkpoints

SIZE = (96, 128)
VIEWS = [two_views(seed, SIZE) for seed in (1, 2, 3)]
WINDOW = ("29300", "31000")


class Mean(nn.Module):
    """A stand-in network with an edge effect, so that tiles change the result."""

    def forward(self, a, b):
        smooth = nn.functional.avg_pool2d(nn.functional.pad(a, (8, 8, 8, 8)), 17, 1)
        return (smooth + b) / 2


def grey(view):
    return np.rint(255 * view).astype(np.uint8)


def colour(view):
    return np.stack([grey(view), grey(view) // 2, 255 - grey(view)], -1)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three pairs as people bring them: plain, in hundredths of a kelvin, with alpha, small, and shifted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: Mean())

    def save(pixels, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)

    for k, (a, b) in enumerate(VIEWS):
        save(grey(a), f"ir/{k}.png")
        save(colour(b), f"vi/{k}.png")
        save((29115 + 2000 * a + 100 * k).astype(np.uint16), f"kelvin/{k}.tiff")
        save(np.dstack([colour(b), np.clip(grey(a), 1, 254)]), f"four/{k}.png")
        save(grey(a)[::2, ::2], f"small/{k}.png")
        moved_a, moved_b = shifted(a, b, 9, 5)
        save(grey(moved_a), f"shifted/{k}.png")
        save(colour(moved_b), f"stays/{k}.png")
    (tmp_path / "pairs.csv").write_text("ir/2.png,vi/2.png,x\nir/0.png,vi/0.png,y\n")
    return tmp_path


OPTIONS = {
    "none": ("ir", "vi", [], {}),
    "colour": ("ir", "vi", ["--colour", "grey"], {"colour": "grey"}),
    "contrast": ("ir", "vi", ["--contrast", "1.3"], {"contrast": 1.3}),
    "bits": ("ir", "vi", ["--bits", "16"], {"bits": 16}),
    "device": ("ir", "vi", ["--device", "cpu"], {"device": "cpu"}),
    "tile": ("ir", "vi", ["--tile", "48"], {"model": TiledModel(Mean(), 48, 24)}),
    "values": ("kelvin", "vi", ["--stretch", *WINDOW], {"stretch": (29300, 31000)}),
    "side b": ("ir", "kelvin", ["--stretch-b", *WINDOW], {"stretch_b": (29300, 31000)}),
    "resize a": ("small", "vi", ["--resize", "a"], {"resize": "a"}),
    "resize b": ("small", "vi", ["--resize", "b"], {"resize": "b"}),
    "ignored alpha": ("ir", "four", ["--alpha", "ignore"], {"alpha": "ignore"}),
    "alpha": ("four", "four", ["--alpha", "a"], {"alpha": "a"}),
    "align": ("shifted", "stays", ["--align"], {"align": "affine"}),
    "motion": ("shifted", "stays", ["--align", "translation"], {"align": "translation"}),
}
OF_FOLDERS = {
    "percentiles": ("kelvin", "vi", ["--stretch", "1%", "99%"], {"stretch": ("1%", "99%")}),
    "each": (
        "kelvin",
        "vi",
        ["--stretch", "1%", "99%", "--stretch-each"],
        {"stretch": ("1%", "99%"), "stretch_each": True},
    ),
    "shard": ("ir", "vi", ["--shard", "2/2"], {"shard": (2, 2)}),
}


def pixels(path):
    """What a file holds, to the bit, whatever its depth."""
    return mdf.read_image(path)


def results(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


@pytest.mark.parametrize("name", OPTIONS)
def test_two_files(place, name):
    a, b, words, options = OPTIONS[name]
    a, b = (sorted((place / side).iterdir())[1] for side in (a, b))
    assert main(["fuse", "--a", str(a), "--b", str(b), "--out", "out.png", *words]) == 0
    write_image("python.png", mdf.fuse(a, b, **options))
    np.testing.assert_array_equal(pixels("out.png"), pixels("python.png"))
    if name != "device":
        plain = mdf.fuse(place / "ir" / "1.png", place / "vi" / "1.png")
        assert name == "none" or not np.array_equal(pixels("out.png"), mdf.metrics.grey(plain) / 255)


def lines_of(manifest):
    return [json.loads(line) for line in manifest.read_text().splitlines()]


@pytest.mark.parametrize("name", [*OPTIONS, *OF_FOLDERS])
def test_two_folders(place, name):
    a, b, words, options = (OPTIONS | OF_FOLDERS)[name]
    assert main(["fuse", "--a", a, "--b", b, "--out", "out", *words]) == 0
    report = mdf.fuse_folders(a, b, "python", progress=False, **options)
    assert report.complete
    assert len(results(place / "out")) == (1 if name == "shard" else 3)
    assert results(place / "out") == results(place / "python")
    by_command, by_python = (
        {file.name: lines_of(file) for file in (place / out).glob(".fused_with*")}
        for out in ("out", "python")
    )
    for line in (line for lines in (*by_command.values(), *by_python.values()) for line in lines):
        line["settings"].pop("model")
    assert by_command == by_python


@pytest.mark.parametrize(
    "name", [n for n in OPTIONS if n not in ("none", "device", "ignored alpha")] + ["percentiles"]
)
def test_results_of_other_options_are_refused_or_made_again(place, capsys, name):
    a, b, words, _ = (OPTIONS | OF_FOLDERS)[name]
    mdf.fuse_folders("ir", "vi", "out", progress=False)
    before = results(place / "out")
    command = ["fuse", "--a", a, "--b", b, "--out", "out"]
    assert main([*command, *words]) == 1
    assert "3 of 3 results exist already, made with other or unknown settings" in capsys.readouterr().err
    assert results(place / "out") == before
    assert main([*command, *words, "--overwrite"]) == 0
    assert results(place / "out").keys() == before.keys()
    assert results(place / "out") != before
    assert main([*command, *words]) == 0
    assert "0 fused, 3 kept" in capsys.readouterr().out


def test_a_file_of_pairs(place):
    assert main(["fuse", "--pairs-file", "pairs.csv", "--out", "out"]) == 0
    mdf.fuse_folders(find_pairs("pairs.csv"), None, "python", progress=False)
    assert results(place / "out").keys() == {"x.png", "y.png"}
    assert results(place / "out") == results(place / "python")


READING = {
    "plain": ("ir", "vi", [], {}),
    **{
        name: OPTIONS[name] for name in ("values", "side b", "resize a", "resize b", "ignored alpha", "alpha")
    },
    **{name: OF_FOLDERS[name] for name in ("percentiles", "each")},
}


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("command", ["evaluate", "faults"])
def test_tables(place, command, name):
    a, b, words, options = READING[name]
    mdf.fuse_folders(a, b, "out", progress=False, **options)
    measure = mdf.evaluate_folders if command == "evaluate" else measure_folders
    assert main([command, "--fused", "out", "--a", a, "--b", b, "--json", "t.json", *words]) == 0
    assert (place / "t.json").read_text() == measure("out", a, b, progress=False, **options).to_json()


def test_scores_are_those_of_the_pair_as_it_was_fused(place):
    mdf.fuse_folders("kelvin", "vi", "out", progress=False, stretch=WINDOW)
    stretched = place / "stretched"
    stretched.mkdir()
    for path in (place / "kelvin").iterdir():
        read = mdf.read_image(path, stretch=WINDOW)
        write_image(stretched / f"{path.stem}.png", np.rint(255 * read).astype(np.uint8))
    table = mdf.evaluate_folders("out", "kelvin", "vi", progress=False, stretch=WINDOW)
    assert table.methods == mdf.evaluate_folders("out", "stretched", "vi", progress=False).methods


def test_a_shard_of_faults_is_that_part_of_the_whole_and_all_join_to_it(place, capsys):
    mdf.fuse_folders("ir", "vi", "out", progress=False)
    words = ["faults", "--fused", "out", "--a", "ir", "--b", "vi"]
    assert main([*words, "--json", "whole.json"]) == 0
    whole = json.loads((place / "whole.json").read_text())
    seen = []
    for part in (1, 2):
        assert main([*words, "--shard", f"{part}/2", "--json", f"part{part}.json"]) == 0
        for method in json.loads((place / f"part{part}.json").read_text())["methods"]:
            (same,) = [one for one in whole["methods"] if one["name"] == method["name"]]
            assert method["faults"].items() <= same["faults"].items()
            seen += method["faults"] if method["name"] == "out" else []
    assert sorted(seen) == ["0", "1", "2"]
    assert main(["faults", "--join", "part2.json", "part1.json", "--json", "joined.json"]) == 0
    assert (place / "joined.json").read_text() == (place / "whole.json").read_text()
    for files, message in (
        (["part1.json"], "these shards are missing: 2/2"),
        (
            ["part1.json", "whole.json"],
            "whole.json: is not the table of a shard, as mambadfuse faults --shard",
        ),
    ):
        assert main(["faults", "--join", *files]) == 1
        assert message in capsys.readouterr().err
    assert main(["evaluate", "--join", "part1.json", "part2.json"]) == 1
    assert "as mambadfuse evaluate --shard 1/2 --json writes it" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--join", "part1.json", "part2.json"])


@pytest.mark.parametrize("name", READING)
def test_training_pairs_are_what_is_fused(place, name):
    a, b, _, options = READING[name]
    pairs = find_training_pairs(a, b, **options)
    mdf.fuse_folders(a, b, "out", progress=False, colour="grey", contrast=1, **options)
    assert len(pairs) == 3
    for one in pairs:
        side_a, side_b = one.pictures()
        assert side_a.shape == side_b.shape == one.shape
        fused = mdf.fuse(side_a, side_b, colour="grey", contrast=1)
        stored = np.asarray(Image.open(f"out/{one.name}.png")).astype(int)
        assert np.abs(fused.astype(int) - stored).max() <= 1  # training rounds its sources to 8 bits


def test_another_reading_makes_other_training_pairs(place):
    digests = {
        find_training_pairs("kelvin", "vi", stretch=(low, 31000))[0].digest() for low in (29100, 29200, 29100)
    }
    assert len(digests) == 2


def test_the_command_trains_on_stretched_pairs(place, capsys):
    words = "train --task ivf --budget minutes --pairs kelvin vi --out x.safetensors --dry-run --set crop_sizes=32x32"
    assert main([*words.split(), "--stretch", "1%", "99%", "--set", "device=cpu"]) == 0
    with pytest.raises(SystemExit):
        main([*words.split(), "--stretch", "9", "1"])
    assert "a lower and a higher bound" in capsys.readouterr().err


def test_tiles_that_memory_asked_for_stand_in_the_manifest(place, monkeypatch, caplog):
    network = mdf.MambaDFuse(
        mdf.MambaDFuseConfig(
            dim=8, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
        )
    ).eval()
    monkeypatch.setattr(checkpoints, "load", lambda source: network)
    monkeypatch.setattr(memory, "_TILES", (64, 32))
    needed = memory.pass_memory(network.config, 64, 64) + 60 * (SIZE[0] * SIZE[1])
    monkeypatch.setattr(memory, "free_memory", lambda: needed)
    command = ["fuse", "--a", "ir", "--b", "vi", "--out", "out"]
    assert main(command) == 0
    recorded = [line["settings"] for line in lines_of(place / "out" / MANIFEST)]
    assert [made["chosen_tile"] for made in recorded] == [64] * 3
    assert {made["tile"] for made in recorded} == {None}
    tiled = pair.fuse("ir/0.png", "vi/0.png", TiledModel(network, 64, 32))
    np.testing.assert_array_equal(np.asarray(Image.open("out/0.png")), tiled)
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    mdf.fuse_folders("ir", "vi", "whole", progress=False)
    assert "chosen_tile" not in (place / "whole" / MANIFEST).read_text()
    assert main(command) == 0  # asked for again: kept, not refused
    assert torch.is_grad_enabled()


def test_a_pair_that_does_not_look_registered_is_named_once(place, caplog):
    mdf.fuse("shifted/0.png", "stays/0.png")
    (said,) = caplog.messages
    assert said.startswith("shifted/0.png: a and b do not look registered: ")
    assert "--align" in said
    caplog.clear()
    assert main(["fuse", "--a", "shifted/0.png", "--b", "stays/0.png", "--out", "f.png"]) == 0
    assert caplog.messages == [said]
    caplog.clear()
    mdf.fuse("ir/0.png", "vi/0.png")
    mdf.fuse("shifted/0.png", "stays/0.png", align="affine")
    assert not caplog.messages


def test_data_check_names_every_unregistered_pair_and_no_other(place, capsys):
    for side, source in (("ir", "shifted"), ("vi", "stays")):
        (place / "off" / side).mkdir(parents=True)
        for path in (place / source).iterdir():
            (place / "off" / side / path.name).write_bytes(path.read_bytes())
    assert main(["data", "check", "off", "--decode"]) == 1
    assert capsys.readouterr().out.count("do not look registered") == 3
    assert check("off", decode=True).ok
    for side in ("ir", "vi"):
        (place / "sound" / side).parent.mkdir(exist_ok=True)
        (place / side).rename(place / "sound" / side)
    assert main(["data", "check", "sound", "--decode"]) == 0
