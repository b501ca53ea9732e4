"""The command line: exit codes, what is written, and messages without tracebacks."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mambadfuse import doctor, resources
from mambadfuse.cli import fuse as fuse_command
from mambadfuse.cli import main
from mambadfuse.data.images import read_image, read_picture, write_image
from mambadfuse.data.pairs import Pair
from mambadfuse.fusion.manifest import MANIFEST
from mambadfuse.models import checkpoints

GREY = np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)


class Mean(nn.Module):
    """Stands for weights; those of another name have another value."""

    def __init__(self, source):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(1 / len(source)))

    def forward(self, a, b):
        return self.share * (a + b)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Stand-in weights; the list of what was asked for."""
    names = []
    monkeypatch.setattr(checkpoints, "load", lambda source: names.append(str(source)) or Mean(str(source)))
    return names


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with the files a.png, b.png and the folders a, b, each with the pairs 1 and 2."""
    monkeypatch.chdir(tmp_path)
    for side, pixels in (("a", GREY), ("b", COLOUR)):
        write_image(f"{side}.png", pixels)
        (tmp_path / side).mkdir()
        for name in "12":
            write_image(tmp_path / side / f"{name}.png", pixels)
    return tmp_path


def fuse(words):
    return main(["fuse", *words.split()])


def usage_error(words, capsys):
    with pytest.raises(SystemExit) as stop:
        fuse(words)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_two_files(place, asked, capsys):
    assert fuse("--a a.png --b b.png --out deep/er/fused.png --sheet sheets/s.png") == 0
    assert read_image(place / "deep/er/fused.png").shape == (6, 8, 3)
    assert (place / "sheets/s.png").exists()
    assert asked == ["ivf"]
    assert "wrote deep/er/fused.png" in capsys.readouterr().out


def test_options_reach_the_fusion(place, asked):
    assert fuse("--a a.png --b b.png --out f.png --model pet-mri --colour grey --bits 16 --device cpu") == 0
    picture = read_picture(place / "f.png")
    assert picture.bits == 16
    assert picture.pixels.shape == (6, 8)
    assert asked == ["pet-mri"]


def test_sixteen_bits_in_colour(place):
    assert fuse("--a a.png --b b.png --out f.png --bits 16") == 0
    assert read_picture(place / "f.png").bits == 16


def test_a_result_is_kept_unless_overwritten(place, capsys):
    assert fuse("--a a.png --b b.png --out f.png") == 0
    before = (place / "f.png").stat().st_ino
    assert fuse("--a a.png --b b.png --out f.png") == 0
    assert (place / "f.png").stat().st_ino == before
    assert "kept f.png, made with these settings" in capsys.readouterr().out
    assert fuse("--a a.png --b b.png --out f.png --overwrite") == 0
    assert (place / "f.png").stat().st_ino != before


@pytest.mark.parametrize("name", ["f.png", "f.tif", "sub/1.jpg"])
def test_a_result_of_other_settings_or_images_is_never_kept_or_replaced_in_silence(place, capsys, name):
    shutil.copy("b.png", "c.png")
    assert fuse(f"--a a.png --b b.png --out {name}") == 0
    before = (place / name).read_bytes()
    for words, said in (
        ("--a a.png --b b.png --colour grey", "was made with colour auto, now it is colour grey"),
        ("--a a.png --b b.png --contrast 1.2", "contrast 1.0, now it is contrast 1.2"),
        ("--a a.png --b b.png --stretch 1% 99%", "stretch None, now it is stretch 1% 99%"),
        ("--a a.png --b c.png", "a.png .*b.png, now it is sources .*a.png .*c.png"),
    ):
        assert fuse(f"{words} --out {name}") == 1
        assert re.search(
            f"{name}: exists already, and .*{said}: choose another name", capsys.readouterr().err
        )
        assert (place / name).read_bytes() == before
    assert fuse(f"--a a.png --b b.png --out {name} --colour grey --overwrite") == 0
    assert fuse(f"--a a.png --b b.png --out {name} --colour grey") == 0
    assert "kept" in capsys.readouterr().out


def test_a_picture_of_the_user_is_replaced_only_if_asked_for(place, capsys):
    write_image("f.png", GREY)
    os.utime("f.png", (1, 1))  # older than both sources
    before = (place / "f.png").read_bytes()
    assert fuse("--a a.png --b b.png --out f.png") == 1
    assert "f.png: exists already, and has no record of its settings" in capsys.readouterr().err
    assert (place / "f.png").read_bytes() == before
    assert [path.name for path in place.glob(".*")] == []
    assert fuse("--a a.png --b b.png --out f.png --overwrite") == 0


def test_a_picture_under_the_name_of_a_failed_result_is_not_taken_for_one(place, capsys):
    write_image(place / "a/2.png", GREY[:4])
    assert fuse("--a a --b b --out out") == 1
    write_image("out/2.png", COLOUR)
    os.utime("out/2.png", (1, 1))
    before = (place / "out/2.png").read_bytes()
    write_image(place / "a/2.png", GREY)
    assert fuse("--a a --b b --out out") == 1
    assert "2.png has no record of its settings" in capsys.readouterr().err
    assert (place / "out/2.png").read_bytes() == before


def test_a_folder_keeps_what_a_single_pair_wrote_and_the_other_way_round(place, capsys):
    assert fuse("--a a/1.png --b b/1.png --out out/1.png") == 0
    assert fuse("--a a --b b --out out") == 0
    assert "1 fused, 1 kept" in capsys.readouterr().out
    assert fuse("--a a/2.png --b b/2.png --out out/2.png") == 0
    assert "kept out/2.png" in capsys.readouterr().out.replace("\\", "/")


def test_a_failed_fusion_leaves_nothing_behind(place, capsys):
    write_image("small.png", GREY[:4])
    before = sorted(place.iterdir())
    assert fuse("--a small.png --b b.png --out f.png") == 1
    assert sorted(place.iterdir()) == before


def test_an_empty_or_older_result_of_two_files_is_made_again(place, capsys):
    assert fuse("--a a.png --b b.png --out f.png") == 0
    (place / "f.png").write_bytes(b"")
    assert fuse("--a a.png --b b.png --out f.png") == 0
    assert "wrote f.png, which was empty (0 bytes)" in capsys.readouterr().out
    os.utime("b.png", ns=((place / "f.png").stat().st_mtime_ns + 1,) * 2)
    assert fuse("--a a.png --b b.png --out f.png") == 0
    assert "wrote f.png, which was older than b.png" in capsys.readouterr().out


def test_what_is_made_again_is_said(place, capsys):
    assert fuse("--a a --b b --out out") == 0
    (place / "out/1.png").write_bytes(b"")
    assert fuse("--a a --b b --out out") == 0
    captured = capsys.readouterr()
    assert "made again out/1.png: was empty (0 bytes)" in captured.err
    assert "1 fused, 1 kept" in captured.out


def test_two_folders(place, capsys):
    assert fuse("--a a --b b --out out --sheet out/sheet.png") == 0
    assert sorted(path.name for path in (place / "out").iterdir()) == [
        MANIFEST,
        "1.png",
        "2.png",
        "sheet.png",
    ]
    output = capsys.readouterr().out
    assert "2 fused, 0 kept, 0 failed, 0 skipped; results in out" in output
    assert output.endswith("contact sheet: out/sheet.png\n")
    assert fuse("--a a --b b --out out") == 0
    assert "0 fused, 2 kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("b", "more", "said"),
    [("ct", "", True), ("ct", "--model ivf", False), ("visible", "", False), ("else", "", False)],
)
def test_weights_that_nobody_chose_are_mentioned_if_others_fit(place, capsys, b, more, said):
    shutil.copytree("a", "mri")
    shutil.copytree("b", b)
    assert fuse(f"--a mri --b {b} --out out {more}") == 0
    assert ("these images suggest --model ct-mri" in capsys.readouterr().err) == said


def test_failures_are_one_line_each_and_the_rest_is_written(place, capsys):
    (place / "a" / "1.png").write_bytes(b"")
    write_image("a/3.png", GREY)
    assert fuse("--a a --b b --out out") == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert "failed 1:" in lines[0]
    assert "empty (0 bytes)" in lines[0]
    assert "3.png" in lines[1]
    assert "no partner" in lines[1]
    assert "1 fused, 0 kept, 1 failed, 1 skipped" in captured.out
    assert (place / "out" / "2.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--a none.png --b b.png --out f.png", "none.png: there is no such file or folder"),
        ("--a a.png --b b.png --out f.gif", ".gif"),
        ("--a a.png --b b.png --out f.jpg --bits 16", "16-bit"),
        (
            "--a a.png --b bad.png --out f.png",
            "bad.png: is not a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or .npy image, or its header",
        ),
        (
            "--a a.png --b icon.ico --out f.png",
            "icon.ico: is not a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or .npy image, but a ICO",
        ),
        (
            "--a a.png --b b.png --out a.png/f.png",
            "a.png/f.png: cannot be written: expected a place for new files, found a.png, which takes none (",
        ),
        (
            "--a a --b b --out a.png/out",
            "a.png/out/1.png: cannot be written: expected a place for new files, found a.png, which takes none (",
        ),
        ("--a a.png --b small.png --out f.png", "8x6 and 8x3"),
        ("--a a --b empty --out out", "empty: the folder holds no images"),
        ("--a a --b b --out b", "folder of their own"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(place, capsys, words, message):
    (place / "bad.png").write_bytes(b"bad")
    Image.fromarray(GREY).save("icon.ico")
    (place / "empty").mkdir()
    write_image("small.png", GREY[:3])
    assert fuse(words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (place / "f.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--a a.png --out f.png", "give --a and --b, or --samples"),
        ("--a a --b b.png --out f.png", "two files or two folders"),
        ("--a a.png --b b.png --out a", "is a folder"),
        ("--a a.png --b b.png --out a/../b.png --overwrite", "replace its own source"),
        ("--a a.png --b b.png --out f.png --sheet s.jpg", "expected the name of a .png file"),
        ("--a a.png --b b.png --out f.png --bits 12", "--bits"),
        ("--a a.png --b b.png --out f.png --colour c", "--colour"),
        (
            "--a a.png --b b.png --out f.png --device nonsense",
            "unknown device 'nonsense': choose auto, cpu",
        ),
        ("--a a.png --b ./a.png --out f.png", "the same file"),
        ("--a a --b b --out b.png", "is a file: folders are fused into a folder"),
        (
            "--a a.png --b b.png --out f.png --tile 0",
            "--tile: expected a number of pixels, at least 32, found '0'",
        ),
        (
            "--a a.png --b b.png --out f.png --contrast -1",
            "--contrast: expected a positive number, found '-1'",
        ),
        (
            "--a visible.png --b ir.png --out f.png",
            "--a visible.png is visible and --b ir.png is infrared: swap",
        ),
        ("--a PET --b MRI --out out", "--a PET is PET and --b MRI is MRI: swap them"),
        ("--a a.png --b b.png", "--out"),
        ("--samples --a a.png --out f", "leave out --a and --b"),
    ],
)
def test_wrong_usage_is_exit_code_2(place, capsys, words, message):
    for name in ("visible.png", "ir.png"):
        write_image(name, GREY)
    for name in ("MRI", "PET"):
        (place / name).mkdir()
    assert message in usage_error(words, capsys)
    assert not (place / "f.png").exists()


@pytest.fixture
def samples(place, monkeypatch):
    """A pair of ct-mri and one of pet-mri, and weights for ct-mri and ivf."""
    pairs = [Pair("1", place / "a/1.png", place / "b/1.png", "ct-mri")]
    pairs.append(Pair("2", place / "a/2.png", place / "b/2.png", "pet-mri"))
    weights = place / "weights"
    weights.mkdir()
    for task in ("ivf", "ct-mri"):
        (weights / f"{task}.safetensors").touch()
    monkeypatch.setitem(sys.modules, "mambadfuse.data.samples", SimpleNamespace(samples=lambda: pairs))
    monkeypatch.setattr(resources, "resource_folder", lambda name: place / name)


def test_samples_take_the_weights_of_their_task_or_the_infrared_ones(samples, place, asked, capsys):
    assert fuse("--samples --out out") == 0
    assert asked == ["ct-mri", "ivf"]
    output = capsys.readouterr().out
    assert "ct-mri: fusing 1 with the weights ct-mri" in output
    assert "pet-mri: fusing 1 with the weights ivf, as this task has none of its own" in output
    assert output.splitlines()[-1] == "contact sheet: out/contact_sheet.png"
    for name in ("ct-mri/1.png", "pet-mri/2.png", "contact_sheet.png"):
        assert (place / "out" / name).exists()


def test_samples_with_named_weights_and_one_broken_pair(samples, place, asked, capsys):
    (place / "a/1.png").write_bytes(b"broken")
    assert fuse("--samples --out out --model file.safetensors") == 1
    assert asked == ["file.safetensors"] * 2
    captured = capsys.readouterr()
    assert "failed 1:" in captured.err
    assert "1 fused, 0 kept, 1 failed" in captured.out
    assert (place / "out/contact_sheet.png").exists()


def test_results_of_other_settings_are_never_kept_in_silence(place, capsys):
    assert fuse("--a a --b b --out out") == 0
    before = (place / "out/1.png").read_bytes()
    for other, said in (
        ("--model pet-mri", r"model ivf, weights \w{16}, now it is model pet-mri, weights \w{16}"),
        ("--colour grey", "colour auto, now it is colour grey"),
        ("--bits 16", "bits 8, now it is bits 16"),
        ("--tile 32", "tile None, overlap None, now it is tile 32, overlap 16"),
        ("--contrast 1.2", "contrast 1.0, now it is contrast 1.2"),
    ):
        assert fuse(f"--a a --b b --out out {other}") == 1
        error = capsys.readouterr().err
        assert "out: 2 of 2 results exist already, made with other or unknown settings" in error
        assert re.search(rf"\(1\.png was made with {said}\)", error)
        assert "replace them (--overwrite)" in error
        assert (place / "out/1.png").read_bytes() == before
    assert fuse("--a a --b b --out out --model pet-mri --overwrite") == 0
    assert fuse("--a a --b b --out out --model pet-mri") == 0
    assert "0 fused, 2 kept" in capsys.readouterr().out
    assert fuse("--a a --b b --out out") == 1


def test_results_of_weights_with_another_contrast_are_not_kept(place, monkeypatch, capsys):
    assert fuse("--a a --b b --out out") == 0
    assert fuse("--a a --b b --out out --contrast 1") == 0
    assert "0 fused, 2 kept" in capsys.readouterr().out.splitlines()[-1]
    monkeypatch.setattr(Mean, "contrast", 1.15, raising=False)
    assert fuse("--a a --b b --out out") == 1
    assert "contrast 1.0, now it is contrast 1.15" in capsys.readouterr().err


def test_results_that_are_not_on_record_are_never_kept_in_silence(place, capsys):
    (place / "out").mkdir()
    write_image("out/2.png", GREY)
    assert fuse("--a a --b b --out out") == 1
    error = capsys.readouterr().err
    assert (
        "1 of 2 results exist already, made with other or unknown settings (2.png has no record of its settings)"
        in error
    )
    assert [path.name for path in (place / "out").iterdir()] == ["2.png"]


@pytest.mark.parametrize("record", ["", "[]", '{"name": "1.png"}\n2', "\xff"])
def test_a_damaged_record_counts_as_none(place, capsys, record):
    assert fuse("--a a --b b --out out") == 0
    (place / "out" / MANIFEST).write_text(record, encoding="latin-1")
    assert fuse("--a a --b b --out out") == 1
    assert "2 of 2 results exist already" in capsys.readouterr().err


def test_the_samples_are_on_record_task_by_task(samples, place, asked, capsys):
    assert fuse("--samples --out out") == 0
    assert fuse("--samples --out out") == 0
    assert "0 fused, 2 kept" in capsys.readouterr().out
    assert fuse("--samples --out out --model other.safetensors") == 1
    assert "ct-mri: 1 of 1 results exist already" in capsys.readouterr().err


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C while the second image is fused."""

    class Interrupted(Mean):
        def forward(self, a, b):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return super().forward(a, b)

    calls = []
    monkeypatch.setattr(checkpoints, "load", lambda source: Interrupted(str(source)))


def test_ctrl_c_between_pictures_says_how_many_are_done_and_the_same_command_goes_on(
    place, interrupted, capsys
):
    assert fuse("--a a --b b --out out") == 130
    assert capsys.readouterr().err == (
        "mambadfuse: 1 of 2 results are in out; the same command makes the rest\nmambadfuse: interrupted\n"
    )
    assert fuse("--a a --b b --out out") == 0
    assert "1 fused, 1 kept" in capsys.readouterr().out


def test_ctrl_c_in_the_middle_of_overwriting_leaves_no_mixture_unnoticed(place, interrupted, capsys):
    (place / "out").mkdir()
    for name in "12":
        write_image(f"out/{name}.png", GREY)
    assert fuse("--a a --b b --out out --overwrite") == 130
    assert "the same command starts over" in capsys.readouterr().err
    assert fuse("--a a --b b --out out") == 1
    error = capsys.readouterr().err
    assert (
        "1 of 2 results exist already, made with other or unknown settings (2.png has no record of its settings)"
        in error
    )
    assert fuse("--a a --b b --out out --overwrite") == 0
    assert fuse("--a a --b b --out out") == 0


def test_a_run_that_was_killed_goes_on(place, capsys):
    assert fuse("--a a --b b --out out") == 0
    (place / "out/2.png").unlink()
    assert fuse("--a a --b b --out out") == 0
    assert "1 fused, 1 kept" in capsys.readouterr().out


def test_both_sides_below_one_folder(place, capsys):
    for name in ("lake/IR_lake_g.png", "lake/VIS_lake_r.png", "APC_2/1_fk.png"):
        (place / "tno" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(place / "tno" / name, GREY)
    assert fuse("--a tno --b tno --out out") == 1
    captured = capsys.readouterr()
    assert "1 fused, 0 kept, 0 failed, 1 skipped" in captured.out
    assert "APC_2: not used: neither its name nor the names of its images give a side" in captured.err
    assert (place / "out/lake/IR_lake_g.png").exists()
    assert fuse("--a a --b a --out out") == 1
    assert "no folder holds images named after both sides" in capsys.readouterr().err


@pytest.mark.parametrize("sides", ["--a one --b one", "--a one", "--a one --b ../{place}/one"])
def test_one_folder_with_both_sides_is_fused_and_scored(place, capsys, sides):
    (place / "one").mkdir()
    for k in (1, 2, 3):
        for side, pixels in (("IR", GREY), ("VIS", COLOUR)):
            write_image(place / "one" / f"{side}{k}.png", np.kron(pixels.T, np.full((8, 8), k, np.uint8)).T)
    sides = sides.format(place=place.name)
    assert fuse(f"{sides} --out out") == 0
    assert "3 fused, 0 kept, 0 failed, 0 skipped" in capsys.readouterr().out
    assert sorted(path.name for path in (place / "out").glob("*.png")) == ["IR1.png", "IR2.png", "IR3.png"]
    assert main(["evaluate", "--fused", "out", *sides.split(), "--metrics", "EN", "MI"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("3 images")
    assert captured.err == ""


@pytest.mark.parametrize(
    ("a", "b", "model", "titles"),
    [
        ("pairs/ir", "pairs/vi", None, ("infrared", "visible")),
        ("MRI", "PET_Y", None, ("MRI", "PET")),
        ("infrared/train", "visible/train", None, ("infrared", "visible")),
        ("a", "b", None, ("infrared", "visible")),
        ("a", "b", "spect-mri", ("MRI", "SPECT")),
        ("a", "b", "mine.safetensors", ("side a", "side b")),
        ("mri", "other", None, ("MRI", "side b")),
        ("thermal_1.png", "1.png", None, ("infrared", "side b")),
    ],
)
def test_columns_of_the_sheet_say_what_they_show(place, monkeypatch, a, b, model, titles):
    drawn = []
    monkeypatch.setattr(
        fuse_command, "draw_sheet", lambda results, path, columns, reading: drawn.append(columns)
    )
    for side, pixels in ((a, GREY), (b, COLOUR)):
        path = place / side if side.endswith(".png") else place / side / "1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, pixels)
    out = "f.png" if a.endswith(".png") else "out"
    assert fuse(f"--a {a} --b {b} --out {out} --sheet s.png" + (f" --model {model}" if model else "")) == 0
    assert drawn == [titles]


def test_columns_of_samples_of_several_tasks_say_all_they_show(samples, monkeypatch):
    drawn = []
    monkeypatch.setattr(fuse_command, "draw_sheet", lambda results, path, columns: drawn.append(columns))
    assert fuse("--samples --out out") == 0
    assert drawn == [("MRI", "CT / PET")]


def test_ctrl_c_is_said_without_a_traceback(place, monkeypatch, capsys):
    def interrupted(source):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "load", interrupted)
    assert fuse("--a a --b b --out out") == 130
    assert capsys.readouterr().err == "mambadfuse: interrupted\n"


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
def test_doctor_prints_its_report(monkeypatch, capsys, healthy, code):
    monkeypatch.setattr(doctor, "report", lambda: ("the report", healthy))
    assert main(["doctor"]) == code
    assert capsys.readouterr().out == "the report\n"


def test_help_as_a_module_is_light():
    probe = "import sys, runpy; sys.argv = ['mambadfuse', '--help']\n"
    probe += "try: runpy.run_module('mambadfuse', run_name='__main__')\n"
    probe += "except SystemExit as stop: print(stop.code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    light = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert light.stdout.endswith("0 False False\n")
    command = [sys.executable, "-m", "mambadfuse", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "fuse" in shown
    assert "doctor" in shown
