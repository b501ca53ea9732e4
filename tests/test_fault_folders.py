"""Faults of folders, of a network and of the baselines: those of single images, and whatever is missing named."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.images import write_image
from mambadfuse.data.pairs import PairError
from mambadfuse.evaluation.fault_folders import measure_folders
from mambadfuse.evaluation.faults import FAULTS, measure, raster_bias
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.metrics import grey
from mambadfuse.models import checkpoints
from mambadfuse.resources import resource_folder

NAMES = ("1", "2", "3")
SHAPES = {"1": (48, 44), "2": (40, 64), "3": (48, 44)}


class Ramp(nn.Module):
    """The mean, brighter from column to column by a level; stands for weights."""

    def __init__(self, contrast=1.0):
        super().__init__()
        self.contrast = contrast

    def forward(self, a, b):
        return (a + b) / 2 + torch.arange(a.shape[-1]) / 255


class Broken(nn.Module):
    """Weights that have gone wrong."""

    def forward(self, a, b):
        return a * math.nan


def picture(seed, shape, highest=256):
    """Noise in blocks of 8 x 8 pixels, which are flat inside."""
    blocks = np.random.default_rng(seed).integers(
        0, highest, [side // 8 + 1 for side in shape], dtype=np.uint8
    )
    return np.kron(blocks, np.ones((8, 8), np.uint8))[: shape[0], : shape[1]]


def fill(folder, pictures):
    folder.mkdir()
    for name, pixels in pictures.items():
        write_image(folder / f"{name}.png", pixels)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Three pairs in a and b, and their fusions in first and second; first is the maximum."""
    monkeypatch.chdir(tmp_path)
    a = {name: picture(k, SHAPES[name], 150) for k, name in enumerate(NAMES)}
    b = {name: picture(k + 10, SHAPES[name], 150) for k, name in enumerate(NAMES)}
    fill(Path("a"), a)
    fill(Path("b"), b)
    fill(Path("first"), {name: np.maximum(a[name], b[name]) for name in NAMES})
    fill(Path("second"), {name: picture(k + 20, SHAPES[name]) for k, name in enumerate(NAMES)})
    return a, b


@pytest.fixture
def asked(monkeypatch):
    """Stand-in weights; the list of what was asked for."""
    names = []
    monkeypatch.setattr(checkpoints, "load", lambda source: names.append(str(source)) or Ramp())
    return names


def folders(*fused, **options):
    return measure_folders(fused, "a", "b", progress=False, **options)


def by_label(table):
    return {method.label: method for method in table.methods}


def same(found, expected):
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_faults_are_those_of_single_images(place):
    a, b = place
    found = folders("first", "second")
    assert (found.pictures, found.problems) == (NAMES, ())
    assert [method.label for method in found.methods] == [
        "first", "second", "mean (baseline)", "maximum (baseline)", "laplacian pyramid (baseline)",
    ]  # fmt: skip
    second = by_label(found)["second"]
    for k, name in enumerate(NAMES):
        fused = picture(k + 20, SHAPES[name])
        white = np.count_nonzero(fused == 255)
        same(second.faults[name], measure(fused, a[name], b[name]) | {"white pixels": white})
    first = by_label(found)["first"]
    assert {name: first.means[name] for name in ("overshoot", "excess", "saturation")} == dict.fromkeys(
        ("overshoot", "excess", "saturation"), 0
    )
    assert math.isnan(first.means["raster bias"])
    assert second.worst["overshoot"] == max(NAMES, key=lambda name: second.faults[name]["overshoot"])


def test_baselines_are_measured_as_images_and_as_ways_of_fusing(place):
    a, b = place
    found = by_label(folders())
    assert len(found) == 3
    for label, fuse in BASELINES.items():
        for name in NAMES:
            own = found[f"{label} (baseline)"].faults[name]
            same({fault: own[fault] for fault in FAULTS}, measure(fuse(a[name], b[name]), a[name], b[name]))
            assert own["raster bias"] == raster_bias(fuse, a[name], b[name])
            assert math.isnan(own["tile seam"])  # the image is no larger than a tile
    assert (
        found["mean (baseline)"].means["raster bias"] == found["maximum (baseline)"].means["raster bias"] == 0
    )
    assert found["laplacian pyramid (baseline)"].means["raster bias"] > 0


def test_tiles_leave_no_seam_in_what_is_computed_pixel_by_pixel(tmp_path):
    for k, side in enumerate("ab"):
        fill(tmp_path / side, {"large": np.random.default_rng(k).integers(0, 256, (40, 300), dtype=np.uint8)})
    found = by_label(measure_folders((), tmp_path / "a", tmp_path / "b", progress=False))
    assert found["mean (baseline)"].means["tile seam"] == found["maximum (baseline)"].means["tile seam"] == 0
    assert found["laplacian pyramid (baseline)"].means["tile seam"] > 0


def test_a_network_is_loaded_once_and_measured_as_a_way_of_fusing(place, asked):
    a, b = place
    found = folders("first", model="ivf")
    assert asked == ["ivf"]
    assert [method.label for method in found.methods][:3] == ["first", "ivf (weights)", "mean (baseline)"]
    own = by_label(found)["ivf (weights)"].faults
    for name in NAMES:
        fused = mdf.fuse(a[name], b[name], Ramp())
        same({fault: own[name][fault] for fault in FAULTS}, measure(fused, a[name], b[name]))
        assert (
            own[name]["raster bias"] == raster_bias(lambda x, y: mdf.fuse(x, y, Ramp()), a[name], b[name]) > 5
        )


def test_a_seam_is_the_difference_to_a_network_in_tiles(tmp_path):
    """A ramp begins anew in each tile: columns 0 to 255 and 44 to 299; where they overlap, the tiles are blended."""
    for side in "ab":
        fill(tmp_path / side, {"large": np.zeros((4, 300), np.uint8), "small": np.zeros((4, 256), np.uint8)})
    found = measure_folders((), tmp_path / "a", tmp_path / "b", model=Ramp(), progress=False)
    x = np.arange(300)
    left, right = np.minimum((256 - x).clip(0), 65), np.minimum((x - 43).clip(0), 65)
    left, right = np.minimum(left, x + 1), np.minimum(right, 300 - x)
    tiled = (left * x + right * (x - 44)) / (left + right)
    own = by_label(found)["Ramp (weights)"]
    expected = np.abs(np.rint(tiled) - np.minimum(x, 255)).mean()
    assert own.faults["large"]["tile seam"] == pytest.approx(expected, abs=0.02)
    assert math.isnan(own.faults["small"]["tile seam"])
    assert own.means["tile seam"] == own.faults["large"]["tile seam"]


def test_the_contrast_is_that_of_the_weights_or_the_one_given(place):
    a, b = place
    for contrast, used in ((None, 1.5), (1.0, 1.0), (2.0, 2.0)):
        own = by_label(folders(model=Ramp(1.5), contrast=contrast))["Ramp (weights)"].faults["1"]
        fused = mdf.fuse(a["1"], b["1"], Ramp(), contrast=used)
        same({fault: own[fault] for fault in FAULTS}, measure(fused, a["1"], b["1"]))


def test_the_white_ratio_counts_the_pixels_of_all_pairs(tmp_path):
    sides = {"a": (255, 10), "b": (0, 20), "f": (9, 255)}
    for side, levels in sides.items():
        fill(
            tmp_path / side,
            {
                f"{size}": np.full((size, size), level, np.uint8)
                for size, level in zip((10, 20), levels, strict=True)
            },
        )
    found = by_label(measure_folders(tmp_path / "f", tmp_path / "a", tmp_path / "b", progress=False))
    assert found["f"].white_ratio == 4
    assert found["maximum (baseline)"].white_ratio == 1
    assert found["mean (baseline)"].white_ratio == 0


def test_colour_is_judged_by_its_luma(place):
    a, b = place
    colour = np.random.default_rng(5).integers(0, 256, (48, 44, 3), dtype=np.uint8)
    fill(Path("colour"), {"1": colour})
    own = by_label(folders("colour"))["colour"].faults["1"]
    same({fault: own[fault] for fault in FAULTS}, measure(grey(colour), a["1"], b["1"]))


def test_what_is_missing_is_named_and_means_are_over_what_all_have(place):
    Path("first/1.png").unlink()
    Path("second/2.png").write_bytes(b"broken")
    write_image("b/extra.png", picture(0, (40, 40)))
    found = folders("first", "second")
    assert found.pictures == ("3",)
    assert [problem.split(":")[0] for problem in found.problems] == ["b/extra.png", "first", "second/2.png"]
    for method in found.methods:
        assert method.means["overshoot"] == method.faults["3"]["overshoot"]
    assert set(by_label(found)["first"].faults) == {"2", "3"}


def test_weights_that_fail_are_left_out_and_named(place):
    found = folders("first", model=Broken())
    assert [method.label for method in found.methods][:2] == ["first", "mean (baseline)"]
    assert found.pictures == NAMES
    assert found.problems[0] == "a/1.png: the model returned NaN or infinite values"
    assert found.problems[-1] == "Broken: none of its images has numbers"


@pytest.mark.parametrize(
    ("fused", "options", "message"),
    [
        (["first", "a/../first"], {}, "first: is given twice"),
        (["none"], {}, "none: there is no such folder"),
        (["first"], {"contrast": 1.2}, "contrast is that of a model: give one"),
        (["first"], {"model": Ramp(), "contrast": 0}, "contrast must be a positive number, found 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(place, fused, options, message):
    with pytest.raises(ValueError, match=message):
        folders(*fused, **options)


def test_folders_without_a_pair_in_common_are_refused(place):
    fill(Path("other"), {"9": picture(0, (40, 40))})
    with pytest.raises(PairError, match="other: no image in it has the name of a pair, such as 1"):
        folders("other")
    for folder, kept in (("first", "1"), ("second", "2")):
        for name in NAMES:
            if name != kept:
                Path(f"{folder}/{name}.png").unlink()
    with pytest.raises(
        ValueError,
        match=r"no image for which every method has numbers; the first of 4 problems: second: holds",
    ):
        folders("first", "second")


def test_pairs_that_cannot_be_read_are_refused(place):
    for name in NAMES:
        Path(f"a/{name}.png").write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"no image for which every method has numbers; the first of 6 problems: a/1.png: is empty",
    ):
        folders()


# --------------------------------------------------------------------------------------- the command


def command(words):
    return main(["faults", *words.split()])


def test_the_command_prints_the_table_and_writes_the_files(place, asked, capsys):
    assert command("--a a --b b --fused first second --model ivf --json out/t.json --csv out/t.csv") == 0
    found = folders("first", "second", model="ivf")
    output = capsys.readouterr().out
    assert output == f"{found}\nwrote out/t.json\nwrote out/t.csv\n"
    assert sorted(path.name for path in Path("out").iterdir()) == ["t.csv", "t.json"]
    assert Path("out/t.json").read_text(encoding="utf-8") == found.to_json()
    assert Path("out/t.csv").read_text(encoding="utf-8") == found.to_csv()


def test_options_reach_the_measurement(place, asked):
    assert command("--a a --b b --model mine.safetensors --contrast 2 --json t.json") == 0
    assert asked == ["mine.safetensors"]
    own = json.loads(Path("t.json").read_text(encoding="utf-8"))["methods"][0]
    assert (own["name"], own["kind"]) == ("mine.safetensors", "weights")
    expected = by_label(folders(model=Ramp(), contrast=2.0))["Ramp (weights)"]
    assert own["means"]["overshoot"] == expected.means["overshoot"]


def test_the_baselines_alone_need_neither_results_nor_weights(place, asked, capsys):
    assert command("--a a --b b") == 0
    assert capsys.readouterr().out == f"{folders()}\n"
    assert asked == []


@pytest.mark.slow
def test_the_samples_of_the_kit(capsys):
    images = resource_folder("data_samples") / "ivf"
    assert (
        main(["faults", "--a", str(images / "ir"), "--b", str(images / "vi"), "--fused", str(images / "ir")])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 images; ")
    assert [line.split("  ")[0] for line in lines[2:9]] == [
        "mean", "", "", "ir", "mean (baseline)", "maximum (baseline)", "laplacian pyramid (baseline)",
    ]  # fmt: skip
    assert any(line.startswith("  synthetic_smoke_yard: band ") for line in lines)


def test_one_folder_holds_both_sides(tmp_path, capsys):
    for name in ("IR_1", "VIS_1"):
        write_image(tmp_path / f"{name}.png", picture(0, (40, 40)))
    assert main(["faults", "--a", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("1 image; ")


def test_problems_are_one_line_each_and_exit_code_1(place, capsys):
    Path("first/1.png").unlink()
    assert command("--a a --b b --fused first") == 1
    captured = capsys.readouterr()
    assert captured.err == "mambadfuse: first: holds no image, or more than one, named 1\n"
    assert captured.out.startswith("2 images")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--a a --b none", "none: there is no such folder"),
        ("--a a --b b --fused none", "none: there is no such folder"),
        ("--a a --b b --fused first first", "first: is given twice"),
        ("--a a --b b --model none.safetensors", "none.safetensors"),
        ("--a a --b b --json first", "first: cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_one_line(place, capsys, words, message):
    assert command(words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--b b", "--a"),
        ("--a a --b b --contrast 1", "--contrast is that of the weights: give --model"),
        (
            "--a visible --b infrared --model ivf",
            "--a visible is visible and --b infrared is infrared: swap them",
        ),
        ("--a a --b b --model ivf --contrast -1", "--contrast: expected a positive number, found '-1'"),
    ],
)
def test_wrong_usage_is_exit_code_2(place, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        command(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_results_alone_may_have_their_sides_in_either_order(place):
    Path("a").rename("infrared")
    Path("b").rename("visible")
    assert command("--a visible --b infrared --fused first") == 0
