"""Remarks: each odd image is named once, with what to do, by every way it is read; a sound one never."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mambadfuse.cli import main
from mambadfuse.data.checking import check
from mambadfuse.data.images import read_image
from mambadfuse.data.remarks import Remark
from mambadfuse.fusion.folders import fuse_folders
from mambadfuse.fusion.pair import fuse

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (24, 32)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8)
KELVIN = (29115 + GREY * (2000 / 255)).astype(np.uint16)
Y, X = np.mgrid[:24, :32]
SOFT = np.clip(255 - 100 * (np.hypot(Y - 12, X - 16) - 8), 0, 255).astype(
    np.uint8
)  # an edge over three pixels


class Mean(nn.Module):
    def forward(self, a, b):
        return (a + b) / 2


def with_alpha(alpha):
    return Image.fromarray(np.dstack([COLOUR, np.clip(alpha, 0, 255).astype(np.uint8)]))


def frames(count):
    return [Image.fromarray(np.roll(GREY, k)) for k in range(count)]


def write(path, what, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, what)
    elif isinstance(what, list):
        what[0].save(path, save_all=True, append_images=what[1:], **options)
    else:
        (what if isinstance(what, Image.Image) else Image.fromarray(what)).save(path)
    return path


ODD = {
    "black.png": (np.zeros_like(GREY), "is black"),
    "constant.png": (np.full_like(GREY, 200), "is constant: all its values are 200"),
    "kelvin.tiff": (KELVIN, "16-bit values, 29115 to 31115, use 3.1 % of their range.*--stretch"),
    "kelvin.npy": (KELVIN, "16-bit values"),
    "unit_kelvin.npy": (KELVIN / 65535, "floating-point values"),
    "pages.tiff": (frames(3), "holds 3 pages or frames; the first is taken"),
    "frames.gif": (frames(4), "holds 4 pages or frames"),
    "frames.webp": (frames(2), "holds 2 pages or frames"),
    "thermal.png": (with_alpha(np.clip(GREY, 1, 254)), "alpha channel looks like an image .*--alpha a"),
}
SOUND = {
    "grey.png": GREY,
    "deep.tiff": GREY.astype(np.uint16) * 257,
    "unit.npy": GREY / 255,
    "dim.png": GREY // 8,
    "first.gif": frames(1)[0],
    "one.webp": frames(1)[0],
    "solid.png": with_alpha(np.full_like(GREY, 255)),
    "half.png": with_alpha(np.full_like(GREY, 128)),
    "soft.png": with_alpha(SOFT),
    "cut.png": with_alpha((GREY > 100) * 255),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_image_is_warned_of(tmp_path, caplog, name):
    what, said = ODD[name]
    read_image(write(tmp_path / name, what))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{tmp_path / name}: ")
    assert re.search(said, caplog.messages[0])


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_image_is_not(tmp_path, caplog, name):
    read_image(write(tmp_path / name, SOUND[name]))
    assert not caplog.messages


def test_a_hot_pixel_does_not_hide_a_narrow_range(tmp_path, caplog):
    hot = np.tile(KELVIN, (2, 2))
    hot[3, 4], hot[5, 6] = 0, 65535
    read_image(write(tmp_path / "x.png", hot))
    assert "use 3.1 % of their range" in caplog.text


@pytest.mark.parametrize("share", [0.003, 0.02, 0.045])
@pytest.mark.parametrize("ground", [29115, 3500])
def test_hot_spots_do_not_hide_a_narrow_range(tmp_path, caplog, share, ground):
    values = ground + np.random.default_rng(0).integers(0, 2000, (100, 100))
    values.ravel()[: int(share * values.size)] = 60000
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "x.png")
    read_image(tmp_path / "x.png")
    assert "most of its 16-bit values" in caplog.text
    assert "--stretch 5% 95%" in caplog.text
    caplog.clear()
    read_image(tmp_path / "x.png", stretch=("5%", "95%"))
    assert caplog.text == ""


def test_small_bright_things_on_a_dark_ground_are_no_narrow_range(tmp_path, caplog):
    values = np.random.default_rng(0).integers(0, 1000, (100, 100))
    values[:15, :20] = 60000
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "x.png")
    read_image(tmp_path / "x.png")
    assert caplog.text == ""


def test_what_is_stretched_is_not_narrow_but_may_miss_its_window(tmp_path, caplog):
    path = write(tmp_path / "x.png", KELVIN)
    read_image(path, stretch=("1%", "99%"))
    assert not caplog.messages
    read_image(path, stretch=(1, 99))
    assert "values from 29115 to 31115, all outside the window 1 99" in caplog.text
    assert "1% 99%" in caplog.text


def test_arrays_and_pillow_images_are_warned_of_by_the_name_of_their_side(caplog):
    fuse(KELVIN, Image.new("L", (32, 24)), Mean())
    assert caplog.messages[0].startswith("a: its 16-bit values")
    assert caplog.messages[1] == "b: is black"


def test_nothing_is_said_of_arrays_that_were_made_black(caplog):
    black = np.zeros((5, 40))
    for _ in range(3):
        fuse(black, torch.zeros(5, 40), Mean())
    assert not caplog.messages


def test_of_one_kind_of_warning_a_folder_shows_the_first(tmp_path, caplog):
    for k in range(5):
        write(tmp_path / "a" / f"{k}.png", KELVIN)
        write(tmp_path / "b" / f"{k}.png", COLOUR if k else np.zeros_like(GREY))
    fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", Mean(), progress=False)
    first, black, more = caplog.messages
    assert first.startswith(f"{tmp_path / 'a' / '0.png'}: its 16-bit values")
    assert black == f"{tmp_path / 'b' / '0.png'}: is black"
    assert more.startswith(f"{tmp_path / 'a' / '0.png'}: 4 more like it")


def test_check_finds_every_fault_of_a_folder_and_none_in_a_clean_one(tmp_path, capsys):
    for name, what in SOUND.items():
        for side in ("ir", "vi"):
            write(tmp_path / "clean" / side / name, what)
    assert check(tmp_path / "clean", decode=True).ok
    for k, (name, (what, _)) in enumerate(ODD.items()):
        write(tmp_path / "odd" / "ir" / f"{k}.png", COLOUR)
        write(tmp_path / "odd" / "vi" / f"{k}{name[name.rindex('.') :]}", what)
    found = {issue.subject.stem: issue.reason for issue in check(tmp_path / "odd", decode=True).problems}
    assert all(re.search(said, found[str(k)]) for k, (_, said) in enumerate(ODD.values()))
    assert len(found) == len(ODD)
    assert main(["data", "check", str(tmp_path / "odd"), "--decode"]) == 1
    assert main(["data", "check", str(tmp_path / "clean"), "--decode"]) == 0
    assert "--decode looks at the pixels" not in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "odd")]) == 0
    assert "--decode looks at the pixels" in capsys.readouterr().out


def test_an_alpha_channel_can_be_side_a_or_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: Mean())
    monkeypatch.chdir(tmp_path)
    thermal = np.clip(GREY, 1, 254)
    for name in "12":
        write(tmp_path / "four" / f"{name}.png", with_alpha(thermal))
        write(tmp_path / "thermal" / f"{name}.png", thermal)
    want = fuse(thermal, COLOUR, Mean())
    np.testing.assert_array_equal(fuse("four/1.png", "four/1.png", Mean(), alpha="a"), want)
    np.testing.assert_array_equal(fuse("thermal/1.png", "four/1.png", Mean(), alpha="ignore"), want)
    np.testing.assert_array_equal(read_image("four/1.png", alpha="only"), thermal / np.float32(255))
    for words in (
        "--b four --out o1 --alpha a",
        "--a thermal --b four --out o2 --alpha ignore",
        "--b four/1.png --out o3/1.png --alpha a",
    ):
        assert main(["fuse", *words.split()]) == 0
    fuse_folders("four", None, "o4", Mean(), alpha="a", progress=False)
    for out in ("o1", "o2", "o3", "o4"):
        np.testing.assert_array_equal(np.asarray(Image.open(f"{out}/1.png")), want)


def test_a_missing_alpha_channel_is_named(tmp_path):
    path = write(tmp_path / "x.png", COLOUR)
    with pytest.raises(ValueError, match=r"x\.png: has no alpha channel"):
        fuse(path, path, Mean(), alpha="a")
    with pytest.raises(
        ValueError, match="a must be a file or Pillow image with an alpha channel, found ndarray"
    ):
        fuse(COLOUR, COLOUR, Mean(), alpha="a")
    with pytest.raises(ValueError, match="alpha must be one of black, ignore, a"):
        fuse(path, path, Mean(), alpha="white")
    with pytest.raises(ValueError, match="alpha must be one of black, ignore, only"):
        read_image(path, alpha="a")


def test_a_name_that_is_no_text_is_logged_escaped(caplog):
    Remark("is %s", ("black",)).log("bad\udcff.png")
    assert caplog.messages == ["bad\\xff.png: is black"]
