"""Resizing one side to the other: geometry, range, and what is said of sizes that differ."""

import numpy as np
import pytest
from PIL import Image
from torch import nn

from mambadfuse.cli import main
from mambadfuse.data.resize import resize_to
from mambadfuse.fusion.pair import fuse

Y, X = np.mgrid[:48, :64] / 64
SCENE = (0.5 + 0.3 * np.sin(6 * X) + 0.2 * np.cos(9 * Y)).astype(np.float32)


class First(nn.Module):
    def forward(self, a, b):
        return a


class Second(nn.Module):
    def forward(self, a, b):
        return b


def test_reducing_takes_means_of_areas():
    got = resize_to(SCENE[None, ..., None], 24, 32)[0, ..., 0]
    np.testing.assert_allclose(got, SCENE.reshape(24, 2, 32, 2).mean((1, 3)), atol=1e-6)


def test_there_and_back_is_close_for_a_smooth_scene():
    x = np.stack([SCENE, SCENE.T[:48, :48].repeat(2, 1)[:, :64], 1 - SCENE], -1)[None]
    back = resize_to(resize_to(x, 96, 128), 48, 64)
    assert back.shape == x.shape
    np.testing.assert_allclose(back[..., ::2], x[..., ::2], atol=0.02)


def test_overshoot_is_clipped():
    step = (X > 0.5).astype(np.float32)[None, ..., None]
    large = resize_to(step, 480, 640)
    assert large.min() == 0
    assert large.max() == 1


def test_mirrored_input_gives_mirrored_output():
    x = SCENE[None, ..., None]
    np.testing.assert_allclose(
        resize_to(x[:, :, ::-1], 96, 128), resize_to(x, 96, 128)[:, :, ::-1], atol=1e-5
    )


@pytest.mark.parametrize(("size", "fits"), [((49, 64), False), ((97, 128), True), ((96, 131), False)])
def test_the_aspect_ratio_may_differ_by_two_percent(size, fits):
    if fits:
        assert resize_to(SCENE[None, ..., None], *size).shape == (1, *size, 1)
    else:
        with pytest.raises(ValueError, match=r"64x48 cannot be resized to .* aspect ratios differ"):
            resize_to(SCENE[None, ..., None], *size)


def test_either_side_is_resized_to_the_other():
    small = resize_to(SCENE[None, ..., None], 24, 32)[0, ..., 0]
    np.testing.assert_allclose(fuse(small, SCENE, First(), resize="a"), 255 * SCENE, atol=4)
    np.testing.assert_array_equal(fuse(small, SCENE, Second(), resize="b"), np.rint(255 * small))


def test_the_error_says_which_side_to_resize_or_that_neither_fits():
    with pytest.raises(ValueError, match="--resize a"):
        fuse(SCENE[::2, ::2], SCENE, First())
    with pytest.raises(ValueError, match="--resize b"):
        fuse(SCENE, SCENE[::2, ::2], First())
    with pytest.raises(ValueError, match="one of them is cropped"):
        fuse(SCENE[:30], SCENE, First())
    with pytest.raises(ValueError, match="aspect ratios differ"):
        fuse(SCENE[:30], SCENE, First(), resize="a")
    with pytest.raises(ValueError, match=r"^a: 64x30 cannot be resized to 64x48"):
        fuse(SCENE[:30], SCENE, First(), resize="a")
    with pytest.raises(ValueError, match="resize must be one of a, b, or None"):
        fuse(SCENE, SCENE, First(), resize="c")


def test_the_error_names_the_file(tmp_path):
    file = tmp_path / "1.png"
    Image.fromarray(np.rint(255 * SCENE[:30]).astype(np.uint8)).save(file)
    with pytest.raises(ValueError, match=rf"^b \({file}\): 64x30 cannot be resized to 64x48"):
        fuse(SCENE, file, First(), resize="b")


def test_the_command_resizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mambadfuse.models.checkpoints.load", lambda source: First())
    grey = np.rint(255 * SCENE).astype(np.uint8)
    for side, pixels in (("a", grey[::2, ::2]), ("b", grey)):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "1.png")
    assert main(["fuse", "--a", "a/1.png", "--b", "b/1.png", "--out", "f.png"]) == 1
    assert main(["fuse", "--a", "a/1.png", "--b", "b/1.png", "--out", "f.png", "--resize", "a"]) == 0
    assert (
        main(["fuse", "--a", "a", "--b", "b", "--out", "o", "--resize", "a", "--sheet", "o/sheet.png"]) == 0
    )
    want = fuse("a/1.png", "b/1.png", First(), resize="a")
    for name in ("f.png", "o/1.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(name)), want)
