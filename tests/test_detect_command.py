"""``mambadfuse detect`` on your own folders: from pairs and boxes to a detector, to its scores."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mambadfuse.cli import main
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import write_image
from mambadfuse.data.object_scenes import KINDS, object_scene
from mambadfuse.detection import INPUTS, load_detector, read_results
from mambadfuse.detection.own_pairs import LabelledPairs
from mambadfuse.resources import resource_folder

COUNT = 4
PAIRS = ["--a", "ir", "--b", "vi", "--boxes", "labels"]
TRAIN = ["detect", "train", *PAIRS, "--steps", "3", "--batch", "2"]
SCENES = ["detect", "matrix", "--scenes", "3", "--test-scenes", "2", "--steps", "2", "--batch", "2"]
SCENES += ["--seeds", "1", "--out", "m"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Four scenes as anyone would have them."""
    monkeypatch.chdir(tmp_path)
    for folder in ("ir", "vi", "fused", "labels"):
        Path(folder).mkdir()
    Path("classes.txt").write_text("\n".join(KINDS))
    for index in range(COUNT):
        scene = object_scene(2, index, (48, 64))
        for folder, image in (("ir", scene.a), ("vi", scene.b), ("fused", np.maximum(scene.a, scene.b))):
            write_image(f"{folder}/{index}.png", image)
        lines = [
            f"{KINDS.index(one.kind)} {(left + right) / 128} {(top + bottom) / 96} "
            f"{(right - left) / 64} {(bottom - top) / 48}"
            for one in scene.objects
            for left, top, right, bottom in [one.box]
        ]
        Path(f"labels/{index}.txt").write_text("\n".join(lines))
    return tmp_path


def complaint(words, capsys):
    assert main(words) == 1
    return capsys.readouterr().err


def usage_error(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("source", ["both", "maximum", "fused"])
def test_a_detector_is_trained_and_evaluated(place, capsys, source):
    assert main([*TRAIN, "--input", source, "--out", "d.safetensors"]) == 0
    before = Path("d.safetensors").read_bytes()
    assert main([*TRAIN, "--input", source, "--out", "d.safetensors"]) == 0, "nothing is left to do"
    assert Path("d.safetensors").read_bytes() == before
    assert main(["detect", "evaluate", *PAIRS, "--weights", "d.safetensors", "--json", "s.json"]) == 0
    assert list(json.loads(Path("s.json").read_text())) == ["AP50", "AP", *(f"AP50 {kind}" for kind in KINDS)]
    assert "AP50 person" in capsys.readouterr().out


def test_sizes_and_splits(place, capsys):
    write_image("ir/1.png", np.zeros((96, 128), np.uint8))
    write_image("vi/1.png", np.zeros((96, 128), np.uint8))
    out = ["--out", "d.safetensors"]
    assert "0 has 64x48 pixels, 1 128x96: give the size" in complaint([*TRAIN, "--input", "a", *out], capsys)
    assert main([*TRAIN, "--input", "a", *out, "--size", "64x48"]) == 0
    Path("split.txt").write_text("0.png\n\nimages/2\n")
    split = ["--split", "split.txt"]
    assert main([*TRAIN, "--input", "a", "--out", "e.safetensors", *split]) == 0, "both are of one size"
    Path("labels/3.txt").unlink()
    assert main(["detect", "evaluate", *PAIRS, *split, "--weights", "d.safetensors"]) == 0
    capsys.readouterr()
    Path("split.txt").write_text("9.png\n")
    assert "split.txt: names 9.png, which is no pair in ir" in complaint(
        [*TRAIN, "--input", "a", *out, *split], capsys
    )
    Path("split.txt").write_text(".\n")
    assert "split.txt: names ., which is no pair" in complaint([*TRAIN, "--input", "a", *out, *split], capsys)
    Path("split.txt").write_bytes(b"\xff\n")
    assert "split.txt: is not a text in UTF-8" in complaint([*TRAIN, "--input", "a", *out, *split], capsys)
    Path("split.txt").write_text("\n")
    assert "split.txt: names no pair" in complaint([*TRAIN, "--input", "a", *out, *split], capsys)


def test_a_line_of_a_split_is_the_pair_that_it_fits_best(place, capsys):
    for folder in ("ir", "vi", "labels"):
        for hour in ("day", "night"):
            (Path(folder) / hour).mkdir()
        for file in sorted(Path(folder).glob("[01].*")):
            shutil.copy(file, Path(folder) / "day")
            file.rename(Path(folder) / "night" / file.name)
    Path("split.txt").write_text("images/night/0.png\n1\n")
    train = [*TRAIN, "--input", "a", "--out", "d.safetensors", "--split", "split.txt"]
    assert "split.txt: names 1, which could be day/1 or night/1" in complaint(train, capsys)
    Path("split.txt").write_text("images/night/0.png\n2\n")
    for other in ("day/0.txt", "day/1.txt", "night/1.txt", "3.txt"):
        (Path("labels") / other).unlink()
    assert main(train) == 0


def test_percentiles_are_those_of_the_folder_whatever_the_split(place):
    write_image("ir/1.png", np.full((48, 64), 40_000, np.uint16))
    write_image("ir/0.png", np.linspace(0, 20_000, 48 * 64).reshape(48, 64).astype(np.uint16))
    pairs, found = find_pairs("ir", "vi"), []
    for lines in ("0", "0\n1\n"):
        Path("split.txt").write_text(lines)
        labelled = LabelledPairs.of(pairs, "labels", None, {"stretch": ("0%", "100%")}, "split.txt")
        found.append(labelled.as_input("a").pixels[0])
    np.testing.assert_array_equal(*found)
    assert found[0].max() == pytest.approx(255 / 2, abs=1)
    Path("split.txt").write_text("0")
    each = {"stretch": ("0%", "100%"), "stretch_each": True}
    assert LabelledPairs.of(pairs, "labels", None, each, "split.txt").as_input("a").pixels.max() == 255


def test_images_that_do_not_fit_in_memory_are_refused_before_they_are_read(place, capsys, monkeypatch):
    monkeypatch.setattr("mambadfuse.fusion.memory.free_memory", lambda: 20_000)
    said = complaint([*TRAIN, "--input", "both", "--out", "d.safetensors", "--size", "640x480"], capsys)
    assert "holding 4 images of 640x480 pixels takes at least 0.0 GB" in said
    assert "give a smaller size" in said


@pytest.mark.parametrize("action", ["train", "evaluate", "matrix"])
def test_a_device_is_checked_first(place, capsys, monkeypatch, action):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    more = {
        "train": [*PAIRS, "--input", "a", "--out", "d.safetensors"],
        "evaluate": [*PAIRS, "--weights", "d.safetensors"],
        "matrix": [],
    }
    said = complaint(["detect", action, *more[action], "--device", "cuda"], capsys)
    assert "device 'cuda' was asked for, but PyTorch sees no usable CUDA GPU here" in said


def test_the_device_may_be_chosen_by_the_kit(place, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    out = ["--input", "a", "--out", "d.safetensors"]
    assert main([*TRAIN, *out, "--device", "auto"]) == 0
    assert main(["detect", "evaluate", *PAIRS, "--weights", "d.safetensors", "--device", "auto"]) == 0


def test_perfect_detections_of_a_detector_of_your_own(place, capsys):
    Path("found").mkdir()
    for index in range(COUNT):
        lines = Path(f"labels/{index}.txt").read_text().splitlines()
        Path(f"found/{index}.txt").write_text("\n".join(f"{line} 0.9" for line in lines))
    assert main(["detect", "evaluate", *PAIRS, "--detections", "found", "--json", "s.json"]) == 0
    scores = json.loads(Path("s.json").read_text())
    assert scores["AP50"] == scores["AP"] == 1


def test_boxes_and_detections_of_coco_go_through_the_command(place):
    images, boxes = [], []
    for index in range(COUNT):
        images.append({"id": 10 + index, "file_name": f"train/{index}.png", "width": 64, "height": 48})
        for one in object_scene(2, index, (48, 64)).objects:
            left, top, right, bottom = map(int, one.box)
            box = {"bbox": [left, top, right - left, bottom - top], "category_id": 1 + KINDS.index(one.kind)}
            boxes.append({"image_id": 10 + index, **box})
    categories = [{"id": 1 + label, "name": name} for label, name in enumerate(KINDS)]
    coco = {"images": images, "annotations": boxes, "categories": categories}
    Path("boxes.json").write_text(json.dumps(coco))
    Path("found.json").write_text(json.dumps([{**box, "score": 0.5} for box in boxes]))
    Path("split.txt").write_text("train/0.png\ntrain/2.png\n")
    pairs = ["--a", "ir", "--b", "vi", "--boxes", "boxes.json", "--split", "split.txt"]
    train = ["detect", "train", *pairs, "--steps", "3", "--batch", "2", "--input", "both"]
    assert main([*train, "--out", "d.safetensors"]) == 0
    assert main(["detect", "evaluate", *pairs, "--weights", "d.safetensors"]) == 0
    assert main(["detect", "evaluate", *pairs, "--detections", "found.json", "--json", "s.json"]) == 0
    assert json.loads(Path("s.json").read_text())["AP"] == 1


def test_scores_of_classes_without_objects_are_json(place):
    for path in Path("labels").iterdir():
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if line[0] != "2"))
    Path("found.json").write_text("[]")
    words = ["detect", "evaluate", *PAIRS, "--detections", "found.json", "--json", "s.json"]
    assert main(words) == 0
    scores = json.loads(Path("s.json").read_text(), parse_constant=pytest.fail)
    assert scores["AP50 sign"] == "nan"


def test_what_does_not_fit_is_said(place, capsys):
    out = ["--out", "d.safetensors"]
    assert "unknown input 'c': choose one of a, b" in complaint([*TRAIN, "--input", "c", *out], capsys)
    assert main([*TRAIN, "--input", "a", *out]) == 0
    evaluate = ["detect", "evaluate", *PAIRS, "--weights", "d.safetensors"]
    assert "reads 1 channels, the input has 2" in complaint([*evaluate, "--input", "both"], capsys)
    assert "finds person, car, sign, the boxes are of x, y, z" in complaint(
        [*evaluate, "--classes", "x", "y", "z"], capsys
    )
    assert "was trained with other images" in complaint([*TRAIN, "--input", "b", *out], capsys)
    Path("fused/3.png").unlink()
    assert "fused: has no fused image of 3 (1 of 4 are missing)" in complaint(
        [*evaluate, "--input", "fused"], capsys
    )
    write_image("fused/3.png", np.zeros((8, 8), np.uint8))
    assert "fused/3.png: has 8x8 pixels, its pair 64x48" in complaint([*evaluate, "--input", "fused"], capsys)
    Path("labels/2.txt").unlink()
    assert "labels: has no boxes for 2" in complaint(evaluate, capsys)


def test_usage_errors(place, capsys):
    train = [*TRAIN, "--input", "a"]
    assert "must be the name of a .safetensors file" in usage_error([*train, "--out", "d.pt"], capsys)
    assert "expected a size such as 320x256" in usage_error([*train, "--out", "d", "--size", "50x40"], capsys)
    assert "at least 1, found '0'" in usage_error([*train, "--out", "d", "--batch", "0"], capsys)
    evaluate = ["detect", "evaluate", *PAIRS, "--detections", "labels"]
    assert "--input is that of a detector" in usage_error([*evaluate, "--input", "a"], capsys)
    for output in ("ir/0.png", "labels/0.txt", "labels/new.json"):
        assert "source" in usage_error([*evaluate, "--json", output], capsys)
    Path("found.json").write_text("[]")
    words = [*TRAIN, "--boxes", "found.json", "--input", "a", "--out", "d.safetensors", "--classes", "x"]
    assert "a COCO file names its own" in usage_error(words, capsys)
    words = ["detect", "evaluate", *PAIRS, "--detections", "found.json", "--json", "found.json"]
    assert "would replace its own source" in usage_error(words, capsys)


def test_a_matrix_of_pairs_of_your_own(place, capsys):
    Path("train.txt").write_text("0\n1\n2\n")
    Path("test.txt").write_text("3\n")
    words = ["detect", "matrix", *PAIRS, "--steps", "2", "--batch", "2", "--seeds", "1", "--out", "m"]
    splits = ["--split", "train.txt", "--test-split", "test.txt"]
    Path("both.txt").write_text("3\n2\n")
    said = complaint([*words, "--split", "train.txt", "--test-split", "both.txt"], capsys)
    assert "both.txt: names 2, as does train.txt" in said
    assert main([*words, *splits, "--fused", "mine=fused"]) == 0
    inputs = [json.loads(line)["source"] for line in Path("m/results.jsonl").read_text().splitlines()]
    assert inputs == ["a", "b", "mean", "maximum", "pyramid", "both", "mine"]
    assert "no verdict on mine" in capsys.readouterr().out
    assert "give --split and --test-split" in usage_error(words, capsys)
    assert "expected a name and a folder" in usage_error([*words, *splits, "--fused", "fused"], capsys)
    for of_pairs in ("--a ir --b vi", "--size 64x48", "--stretch-b 1% 99%", "--resize a", "--alpha ignore"):
        option = of_pairs.split()[0]
        said = usage_error(["detect", "matrix", *of_pairs.split()], capsys)
        assert f"{option} is for pairs of your own: they need --boxes" in said
    for of_scenes in ("--model ivf-fast", "--scenes 400", "--test-scenes 9", "--difficulty 0"):
        said = usage_error([*words, *splits, *of_scenes.split()], capsys)
        assert f"{of_scenes.split()[0]} is for made-up scenes" in said
    for fused, name in (("a=fused", "a"), ("x=fused x=vi", "x")):
        said = usage_error([*words, *splits, "--fused", *fused.split()], capsys)
        assert f"two inputs would be called {name}" in said
    said = usage_error(
        ["detect", "matrix", "--model", "one/mine.safetensors", "two/mine.safetensors"], capsys
    )
    assert "two inputs would be called mine: an input has the name of its weights, rename a file" in said


def test_a_folder_of_fused_images_may_have_the_name_of_a_rule(place):
    Path("fused").rename("mean")
    labelled = LabelledPairs.of(find_pairs("ir", "vi"), "labels")
    by_folder, by_rule = labelled.as_input(Path("mean")), labelled.as_input("mean")
    np.testing.assert_array_equal(by_folder.pixels, labelled.as_input("maximum").pixels)
    assert (by_folder.pixels != by_rule.pixels).any()
    Path("train.txt").write_text("0\n1\n2\n")
    Path("test.txt").write_text("3\n")
    words = ["detect", "matrix", *PAIRS, "--steps", "2", "--batch", "2", "--seeds", "1", "--out", "m"]
    assert main([*words, "--split", "train.txt", "--test-split", "test.txt", "--fused", "mine=mean"]) == 0
    weights = {name: Path(f"m/weights/{name}-0.safetensors") for name in ("mine", "maximum")}
    digests = {name: load_detector(file)[1].run["images"] for name, file in weights.items()}
    assert digests["mine"] == digests["maximum"]


def test_two_networks_are_two_inputs_of_one_matrix(place, capsys):
    shutil.copy(resource_folder("weights") / "ivf-tiny.safetensors", "mine.safetensors")
    assert main([*SCENES, "--model", "ivf-fast", "mine.safetensors"]) == 0
    rows = {one.source: one.scores for one in read_results("m/results.jsonl")}
    one_channel = ["a", "b", "mean", "maximum", "pyramid", "ivf-fast", "mine"]
    assert list(rows) == [*one_channel[:5], "both", *one_channel[5:]]
    assert list(rows.pop("both")) == ["both"], "two channels can be read by their own detector alone"
    assert all(list(scores) == one_channel for scores in rows.values())
    out = capsys.readouterr().out
    assert "ivf-fast instead of mine:" in out
    assert "mine instead of ivf-fast:" in out


@pytest.mark.slow
def test_the_matrix_has_the_network_and_the_fast_one_unasked(place, capsys):
    assert main(SCENES) == 0
    out = capsys.readouterr().out
    assert "8 detectors, 2 steps each, seeds 0." in out
    assert "no verdict on ivf." in out
    assert "no verdict on ivf-fast." in out
    assert {one.source for one in read_results("m/results.jsonl")} == {*INPUTS, "ivf", "ivf-fast"}
