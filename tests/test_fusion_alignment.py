"""Fusing with --align: side a is moved onto side b first."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mambadfuse as mdf
from benchmarks.alignment import moved, two_views
from mambadfuse.cli import main
from mambadfuse.fusion.alignment import moved_onto
from mambadfuse.models import checkpoints

SIZE = (144, 192)
SHIFT = np.array([[1, 0, 9], [0, 1, 5], [0, 0, 1.0]])


class SideA(nn.Module):
    """Stands for a network; returns side a as it is."""

    def forward(self, a, b):
        return a


class SideAWithWeights(SideA):
    """The same with something to take a digest of."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


@pytest.fixture
def pair():
    a, b = two_views(1, SIZE)
    return moved(a, SHIFT), b, a


def test_a_is_fused_where_b_has_it(pair):
    shifted, b, a = pair
    fused = mdf.fuse(shifted, b, SideA(), align="translation") / 255
    beside = mdf.fuse(shifted, b, SideA()) / 255
    error, without = (np.abs(image - a)[20:-20, 20:-20].mean() for image in (fused, beside))
    assert error < without / 3


def test_b_stands_in_where_a_does_not_reach(pair):
    shifted, b, _ = pair
    cut = shifted[:, 40:]
    image = moved_onto(cut[None, ..., None], b[None, ..., None], "translation", (cut, b))[0, ..., 0]
    np.testing.assert_array_equal(image[:, :20], b[:, :20])


def test_colour_of_b_and_another_size_of_a_go_together(pair):
    _, b, a = pair
    colour = np.stack([b, b * 0.9, b * 0.8], -1).astype(np.float32)
    small = np.asarray(Image.fromarray(a).resize((96, 72), Image.Resampling.BOX))
    assert mdf.fuse(small, colour, SideA(), align="affine").shape == (*SIZE, 3)


def test_what_cannot_be_aligned_is_not_fused(pair):
    noise = np.random.default_rng(0).random(SIZE).astype(np.float32)
    with pytest.raises(
        ValueError, match=r"cannot be aligned: the confidence is 0\.\d\d, expected at least 0\.5"
    ):
        mdf.fuse(noise, pair[1], SideA(), align="translation")


def test_batches_are_refused():
    batch = torch.zeros(2, 1, 40, 40)
    with pytest.raises(ValueError, match="only single images are aligned, found 2 in a"):
        mdf.fuse(batch, batch, SideA(), align="affine")


def test_the_command_keeps_no_result_that_was_not_aligned(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: SideAWithWeights())
    for folder, image in zip("ab", pair[:2], strict=True):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.uint8(255 * image)).save(tmp_path / folder / "1.png")
    assert main(["fuse", "--a", "a", "--b", "b", "--out", "aligned", "--align", "translation"]) == 0
    assert (
        main(["fuse", "--a", "a/1.png", "--b", "b/1.png", "--out", "one.png", "--align", "translation"]) == 0
    )
    assert (tmp_path / "aligned" / "1.png").read_bytes() == (tmp_path / "one.png").read_bytes()
    capsys.readouterr()
    assert main(["fuse", "--a", "a", "--b", "b", "--out", "aligned"]) == 1
    assert "was made with align translation, now it is align None" in capsys.readouterr().err
