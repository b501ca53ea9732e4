"""Checking: one report lists every problem of a folder, each with the name of its file."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambadfuse.data import catalogue
from mambadfuse.data.catalogue import Entry
from mambadfuse.data.checking import check
from mambadfuse.data.images import ImageError, picture_size

SHARED = Path(__file__).parents[2] / "shared" / "data"


def draw(path: Path, width: int = 6, height: int = 4, low: int = 0, high: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.linspace(low, high, width * height).reshape(height, width)
    Image.fromarray(np.rint(pixels).astype(np.uint8)).save(path)
    return path


def problems(report) -> dict[str, str]:
    return {
        problem.subject.relative_to(report.root).as_posix(): problem.reason for problem in report.problems
    }


def test_a_sound_folder(tmp_path):
    for name in ("1", "2"):
        draw(tmp_path / "train" / "ir" / f"{name}.png")
        draw(tmp_path / "train" / "vi" / f"{name}.bmp")
    report = check(tmp_path, decode=True)
    assert report.ok
    (checked,) = report.sets
    assert checked.sizes == {(6, 4): 2}
    assert not checked.limited
    assert "1 set, 2 pairs, 0 problems" in str(report)
    assert "ivf train: 2 pairs, 6x4, " in str(report)


def test_every_kind_of_problem_is_listed_with_its_file(tmp_path):
    for side in ("ir", "vi"):
        draw(tmp_path / side / "good.png")
        draw(tmp_path / side / "size.png", width=6 if side == "ir" else 7)
        (tmp_path / side / "text.png").write_text("no image")
    draw(tmp_path / "ir" / "alone.png")
    draw(tmp_path / "ir" / "twin.png")
    draw(tmp_path / "ir" / "twin.bmp")
    (tmp_path / "vi" / "notes.txt").write_text("x")
    draw(tmp_path / "x" / "mri" / "1.png")
    draw(tmp_path / "y" / "ir" / "1.png")
    (tmp_path / "y" / "vi").mkdir()
    report = check(tmp_path)
    assert not report.ok
    found = problems(report)
    assert set(found) == {
        "ir/size.png", "ir/text.png", "vi/text.png", "ir/alone.png", "ir/twin.png", "ir/twin.bmp", "vi/notes.txt",
        "x/mri", "y/vi",
    }  # fmt: skip
    assert found["ir/size.png"].startswith("is 6x4, but its partner")
    assert found["ir/size.png"].endswith("is 7x4")
    assert found["vi/text.png"].startswith("is not a PNG")
    assert "no partner" in found["ir/alone.png"]
    assert "shares its name" in found["ir/twin.bmp"]
    assert "expected the same path with one of ct, pet" in found["x/mri"]
    assert found["y/vi"] == "the folder holds no images"
    for name, reason in found.items():
        assert f"problem: {tmp_path / name}: {reason}" in str(report)


def test_scenes_in_one_folder_are_listed_with_what_was_preferred(tmp_path):
    for name in (
        "Farm/Farm_IR.bmp",
        "Farm/Farm_II.bmp",
        "Farm/Farm_Vis.bmp",
        "APC_2/1_fk.bmp",
        "APC_2/2_fk.bmp",
    ):
        draw(tmp_path / name)
    draw(tmp_path / "lake" / "IR_lake_g.bmp", width=7)
    draw(tmp_path / "lake" / "VIS_lake_r.bmp")
    draw(tmp_path / "lake" / "IR_2.bmp")
    report = check(tmp_path, decode=True)
    assert problems(report) == {
        "lake/IR_2.bmp": "has no partner in its folder",
        "lake/IR_lake_g.bmp": f"is 7x4, but its partner {tmp_path / 'lake' / 'VIS_lake_r.bmp'} is 6x4",
    }
    lines = [line.replace("\\", "/") for line in str(report).splitlines()]
    assert lines[1:4] == [
        "  ivf all: 2 pairs, 6x4, both sides in one folder:",
        "    Farm/Farm_IR.bmp with Farm_Vis.bmp",
        "    lake/IR_lake_g.bmp with VIS_lake_r.bmp",
    ]
    notes = lines[[line.startswith("  note: ") for line in lines].index(True) :]
    assert "as IR_1 and VIS_1 do" in notes[0]
    assert notes[1] == "    APC_2"
    assert "near infrared, not used" in notes[2]
    assert notes[3] == "    Farm/Farm_II.bmp"


def test_folders_of_pictures_that_are_no_pairs_are_no_problem(tmp_path):
    for side in ("ir", "vi", "Segmentation_labels"):
        draw(tmp_path / side / "1.png")
    report = check(tmp_path)
    assert report.ok
    assert [note.subject.name for note in report.notes] == ["Segmentation_labels"]


def test_truncated_pictures_are_found_by_decoding(tmp_path):
    for side in ("ir", "vi"):
        draw(tmp_path / side / "1.png", 64, 64)
    whole = (tmp_path / "vi" / "1.png").read_bytes()
    (tmp_path / "vi" / "1.png").write_bytes(whole[: len(whole) // 2])
    assert check(tmp_path).ok
    assert "truncated" in problems(check(tmp_path, decode=True))["vi/1.png"]


def test_limited_range_luma_is_recognised_in_folders_named_so(tmp_path):
    for folder in ("VI_Y", "VI"):
        draw(tmp_path / folder / "1.png", low=16, high=235)
    draw(tmp_path / "IR" / "1.png")
    limited = {checked.pair_set.folder_b.name: checked.limited for checked in check(tmp_path).sets}
    assert limited == {"VI_Y": True, "VI": False}
    assert "limited-range" in str(check(tmp_path))


def test_a_luma_folder_that_cannot_be_decoded_is_a_problem_not_a_crash(tmp_path):
    draw(tmp_path / "IR" / "1.png", 64, 64)
    whole = draw(tmp_path / "VI_Y" / "1.png", 64, 64).read_bytes()
    (tmp_path / "VI_Y" / "1.png").write_bytes(whole[: len(whole) // 2])
    assert not check(tmp_path).ok


def test_a_root_with_nothing_to_check(tmp_path):
    assert "there is no image below it" in check(tmp_path).problems[0].reason
    draw(tmp_path / "ir" / "1.png")
    assert "give the folder that holds both" in check(tmp_path / "ir").problems[0].reason
    draw(tmp_path / "left" / "1.png")
    assert "known name" in check(tmp_path / "left").problems[0].reason
    assert "no such folder" in check(tmp_path / "nowhere").problems[0].reason


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_size_is_that_of_the_upright_picture(tmp_path, suffix):
    image = Image.new("L", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6
    path = tmp_path / f"turned.{suffix}"
    image.save(path, exif=exif)
    assert picture_size(path) == (4, 6) == picture_size(path, decode=True)


def test_the_size_of_no_file(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.png: there is no such file"):
        picture_size(tmp_path / "nothing.png")


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Makes the catalogue know one data set with changed facts; returns the function that sets them."""
    original = catalogue.load

    def change(name, **facts):
        monkeypatch.setattr(catalogue, "load", lambda _: replace(original(name), **facts))

    return change


def test_structure_against_the_catalogue(tmp_path, known):
    for side in ("infrared", "visible"):
        draw(tmp_path / side / "train" / "1.png", 12, 10)
        draw(tmp_path / side / "test" / "2.png", 12, 10)
    known("llvip", pairs={"train": 1, "test": 1}, picture=(12, 10))
    assert check(tmp_path, "llvip").ok
    known("llvip", pairs={"train": 3, "test": 1}, picture=(12, 11))
    reasons = [problem.reason for problem in check(tmp_path, "llvip").problems]
    assert "holds 1 pairs of train, expected 3 of llvip" in reasons
    assert reasons.count("holds images of 12x10, expected 12x11 of llvip") == 2


def test_names_and_checksums_against_the_catalogue(tmp_path, known):
    a, b = (draw(tmp_path / side / "1.png", high=high) for side, high in (("ir", 255), ("vi", 200)))
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (a, b)]
    known("roadscene", entries=(Entry("train", "1", *sums),))
    assert check(tmp_path, "roadscene").ok
    known("roadscene", entries=(Entry("train", "1", *reversed(sums)), Entry("val", "2", *sums)))
    found = problems(check(tmp_path, "roadscene"))
    assert f"expected SHA-256 {sums[1]}, found {sums[0]}" in found["ir/1.png"]
    assert "vi/1.png" in found
    assert found["."] == "lacks the pair 2 of roadscene val"


def test_an_unknown_data_set(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'nothing': choose one of roadscene"):
        check(tmp_path, "nothing")


@pytest.mark.skipif(not (SHARED / "ct-mri").is_dir(), reason="the medical pairs are not at hand")
def test_real_medical_pairs_are_those_of_the_catalogue():
    report = check(SHARED / "ct-mri", "ct-mri")
    assert report.ok, str(report)
    assert {checked.pair_set.split: len(checked.pair_set.pairs) for checked in report.sets} == (
        catalogue.load("ct-mri").pairs
    )
