"""mdf.fuse and fuse_folders with a stand-in network, and the contact sheet."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse.data.colour import luma, rgb_to_ycbcr
from mambadfuse.data.images import ImageError, read_image, write_image
from mambadfuse.data.pairs import PairError
from mambadfuse.fusion.folders import fuse_folders
from mambadfuse.fusion.manifest import MANIFEST
from mambadfuse.fusion.pair import fuse, load_model
from mambadfuse.models import checkpoints
from mambadfuse.plotting import LARGEST_FILE, Row, contact_sheet

RNG = np.random.default_rng(0)
GREY_A, GREY_B = RNG.integers(0, 256, (2, 5, 7)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
OTHER_COLOUR = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)


class Mean(nn.Module):
    """A quarter of a and three quarters of b, so that the two cannot be mixed up."""

    def forward(self, a, b):
        assert a.ndim == 4
        assert a.shape[1] == 1
        return 0.25 * a + 0.75 * b


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, a, b):
        return self.value + torch.zeros_like(a)


class TwoChannels(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], dim=1)


EXPECTED = np.rint(0.25 * GREY_A + 0.75 * GREY_B)


def tensor(array):
    """(H, W) or (H, W, 3) of uint8 -> (C, H, W) in [0, 1]"""
    return torch.from_numpy(np.atleast_3d(array) / np.float32(255)).movedim(-1, 0)


def test_the_public_name():
    assert mdf.fuse is fuse


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x,
        lambda x: x[..., None],
        lambda x: np.repeat(x[..., None], 3, axis=-1),
        lambda x: x.astype(np.uint16) * 257,
        lambda x: x / 255,
        lambda x: x.astype(np.float32) / 255,
        Image.fromarray,
    ],
    ids=["uint8", "one channel", "grey rgb", "uint16", "float64", "float32", "pillow"],
)
def test_all_kinds_of_grey_input_give_one_grey_picture(convert):
    fused = fuse(convert(GREY_A), convert(GREY_B), Mean())
    assert fused.dtype == np.uint8
    assert fused.shape == (5, 7)
    np.testing.assert_allclose(fused, EXPECTED, atol=1)


def test_files_and_their_arrays_give_the_same(tmp_path):
    write_image(tmp_path / "a.png", GREY_A)
    write_image(tmp_path / "b.tif", COLOUR)
    from_files = fuse(str(tmp_path / "a.png"), tmp_path / "b.tif", Mean())
    np.testing.assert_array_equal(from_files, fuse(GREY_A, COLOUR, Mean()))


def test_booleans_are_black_and_white():
    ones = np.ones((2, 2), bool)
    np.testing.assert_array_equal(fuse(ones, ~ones, Mean()), np.full((2, 2), 64))


@pytest.mark.parametrize("lead", [(), (1,), (1, 1), (3, 1)], ids=["hw", "chw", "1chw", "bchw"])
def test_tensors_give_tensors_of_the_same_layout(lead):
    a, b = torch.rand((2, *lead, 4, 6))
    fused = fuse(a, b, Mean())
    assert isinstance(fused, torch.Tensor)
    assert fused.dtype == torch.float32
    assert fused.shape == (a.shape if lead else (1, 4, 6))
    torch.testing.assert_close(fused.reshape(a.shape), 0.25 * a + 0.75 * b)


def test_a_tensor_beside_a_picture_gives_a_tensor():
    fused = fuse(tensor(GREY_A), COLOUR, Mean())
    assert fused.shape == (3, 5, 7)


def test_a_batch_is_fused_picture_by_picture():
    batch_a, batch_b = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 4, 6)
    fused = fuse(batch_a, batch_b, Mean())
    torch.testing.assert_close(fused[1], fuse(batch_a[1], batch_b[1], Mean()))


def test_gradients_are_not_recorded():
    a = torch.rand(1, 4, 4, requires_grad=True)
    assert not fuse(a, a, Mean()).requires_grad


def hue_agrees(picture, source):
    x, y = rgb_to_ycbcr(picture / 255)[..., 1:], rgb_to_ycbcr(source / 255)[..., 1:]
    return np.allclose(x[..., 0] * y[..., 1], x[..., 1] * y[..., 0], atol=0.01)


@pytest.mark.parametrize(
    ("a", "b", "colour", "lender"),
    [
        (GREY_A, COLOUR, "auto", COLOUR),
        (COLOUR, GREY_B, "auto", COLOUR),
        (OTHER_COLOUR, COLOUR, "auto", COLOUR),
        (OTHER_COLOUR, COLOUR, "a", OTHER_COLOUR),
        (OTHER_COLOUR, COLOUR, "b", COLOUR),
    ],
)
def test_chroma_comes_from_the_right_source_and_luma_from_the_network(a, b, colour, lender):
    fused = fuse(a, b, Mean(), colour=colour)
    assert fused.shape == (5, 7, 3)
    assert hue_agrees(fused, lender)
    y_a, y_b = (x / 1.0 if x.ndim == 2 else luma(x / 1.0) for x in (a, b))
    np.testing.assert_allclose(luma(fused / 1.0), 0.25 * y_a + 0.75 * y_b, atol=1)


@pytest.mark.parametrize(("a", "b", "colour"), [(COLOUR, COLOUR, "grey"), (GREY_A, COLOUR, "a")])
def test_without_a_source_of_chroma_the_result_is_grey(a, b, colour):
    assert fuse(a, b, Mean(), colour=colour).shape == (5, 7)


def test_sixteen_bits_are_finer():
    fused = fuse(GREY_A, GREY_B, Mean(), bits=16)
    assert fused.dtype == np.uint16
    np.testing.assert_allclose(fused / 257, 0.25 * GREY_A + 0.75 * GREY_B, atol=0.003)


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.5, 0), (1.7, 255), (0.5 / 255, 0), (1.5 / 255, 2), (0.6 / 255, 1)]
)
def test_output_is_clamped_and_rounded_half_to_even(value, expected):
    assert (fuse(GREY_A, GREY_B, Returns(value)) == expected).all()


@pytest.mark.parametrize("size", ["17x23", "16x24"])
def test_the_published_output_becomes_the_published_bytes(size):
    golden = np.load(Path(__file__).parent / "golden" / "pipeline.npz")
    network = Returns(torch.from_numpy(golden[f"{size}_out"]))
    fused = fuse(golden[f"{size}_A"], golden[f"{size}_B"], network)
    np.testing.assert_array_equal(fused, golden[f"{size}_u8"])


def test_a_pillow_image_of_sixteen_bits_in_colour_is_read_in_full_and_stays_usable(tmp_path):
    deep = COLOUR.astype(np.uint16) * 200 + 77
    write_image(tmp_path / "deep.png", deep)
    with Image.open(tmp_path / "deep.png") as image:
        fused = fuse(image, image, Mean(), bits=16)
        np.testing.assert_allclose(fused, deep, atol=1)
        assert np.asarray(image).shape == COLOUR.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 17)])
def test_any_size(shape):
    assert fuse(np.zeros(shape), np.zeros(shape), Mean()).shape == shape


@pytest.mark.parametrize(
    ("a", "error", "message"),
    [
        (np.zeros((5, 6)), ValueError, "one size, found 6x5 and 7x5"),
        (np.zeros((5, 7, 4)), ValueError, r"a must have shape .* found \(5, 7, 4\)"),
        (np.zeros(5), ValueError, r"found \(5,\)"),
        (np.zeros((0, 7)), ValueError, "a is empty: 7x0"),
        (np.full((5, 7), np.nan), ValueError, "a holds NaN"),
        (np.full((5, 7), np.inf), ValueError, "a holds NaN or infinite"),
        (np.full((5, 7), 255.0), ValueError, r"a must lie in \[0, 1\], found values from 255 to 255"),
        (np.full((5, 7), -0.1), ValueError, "-0.1"),
        (np.zeros((5, 7), np.int64), TypeError, "int64"),
        (np.zeros((5, 7), complex), TypeError, "complex"),
        (torch.zeros(5, 7, dtype=torch.uint8), TypeError, "torch.uint8"),
        (torch.zeros(2, 5, 7), ValueError, r"C = 1 or 3, found \(2, 5, 7\)"),
        (torch.full((5, 7), 2.0), ValueError, "from 2 to 2"),
        (Image.new("CMYK", (7, 5)), ImageError, "a has the colour mode CMYK"),
        ([[0.0]], TypeError, "a must be a file, Pillow image, array or tensor, found list"),
        ("missing.png", ImageError, "missing.png: there is no such file"),
    ],
)
def test_bad_input_is_named(a, error, message):
    with pytest.raises(error, match=message):
        fuse(a, GREY_B, Mean())


def test_batches_of_different_size_are_named():
    with pytest.raises(ValueError, match="2 times 4x3 and 4x3"):
        fuse(torch.zeros(2, 1, 3, 4), torch.zeros(1, 3, 4), Mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "c"}, "colour must be one of"),
        ({"bits": 12}, "bits must be 8 or 16"),
        ({"bits": True}, "bits"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fuse(GREY_A, GREY_B, Mean(), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="'cuda' was asked for"):
        fuse(GREY_A, GREY_B, Mean(), device="cuda")


def test_a_model_that_returns_no_picture_is_refused():
    with pytest.raises(ValueError, match="returned NaN"):
        fuse(GREY_A, GREY_B, Returns(float("nan")))
    with pytest.raises(ValueError, match=r"shape \(1, 1, 5, 7\), found \(1, 2, 5, 7\)"):
        fuse(GREY_A, GREY_B, TwoChannels())


def test_without_a_model_the_infrared_weights_are_loaded(monkeypatch):
    asked = []
    monkeypatch.setattr(checkpoints, "load", lambda source: asked.append(source) or Mean())
    fuse(GREY_A, GREY_B)
    fuse(GREY_A, GREY_B, "ct-mri", device="cpu")
    load_model("file.safetensors")
    assert asked == ["ivf", "ct-mri", "file.safetensors"]


@pytest.fixture
def folders(tmp_path):
    """Three pairs, one of them in colour."""
    for name, b in (("1", GREY_B), ("2", COLOUR), ("ü", GREY_B)):
        for side, pixels in (("a", GREY_A), ("b", b)):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(tmp_path / side / f"{name}.png", pixels)
    return tmp_path / "a", tmp_path / "b", tmp_path / "new" / "out"


def test_folders_are_fused_pair_by_pair(folders):
    report = fuse_folders(*folders, Mean(), progress=False)
    out = folders[2]
    assert report.written == (out / "1.png", out / "2.png", out / "ü.png")
    assert report.complete
    assert not report.kept
    np.testing.assert_allclose(read_image(out / "1.png") * 255, EXPECTED, atol=1)
    assert read_image(out / "2.png").shape == (5, 7, 3)


def test_results_that_are_there_are_kept_unless_overwritten(folders):
    out = folders[2]
    fuse_folders(*folders, Mean(), progress=False)
    before = (out / "1.png").stat()
    (out / "2.png").unlink()
    report = fuse_folders(*folders, Mean(), progress=False)
    assert report.kept == (out / "1.png", out / "ü.png")
    assert report.written == (out / "2.png",)
    after = (out / "1.png").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_image(out / "1.png", GREY_A)
    with pytest.raises(ValueError, match=r"1\.png is not the file that was written under this name"):
        fuse_folders(*folders, Mean(), progress=False)
    np.testing.assert_allclose(read_image(out / "1.png") * 255, GREY_A, atol=1e-4)
    report = fuse_folders(*folders, Mean(), progress=False, overwrite=True)
    assert len(report.written) == 3
    np.testing.assert_allclose(read_image(out / "1.png") * 255, EXPECTED, atol=1)


@pytest.mark.parametrize("options", [{"colour": "grey"}, {"bits": 16}, {"contrast": 1.2}])
def test_results_of_other_settings_are_not_kept(folders, options):
    fuse_folders(*folders, Mean(), progress=False)
    (name,) = options
    with pytest.raises(ValueError, match=f"3 of 3 results exist already, made with other .* {name} "):
        fuse_folders(*folders, Mean(), progress=False, **options)
    assert len(fuse_folders(*folders, Mean(), progress=False, overwrite=True, **options).written) == 3
    assert len(fuse_folders(*folders, Mean(), progress=False, **options).kept) == 3


def test_results_of_nobody_knows_what_are_not_kept_unless_they_are_empty(folders):
    out = folders[2]
    out.mkdir(parents=True)
    (out / "2.png").touch()
    assert len(fuse_folders(*folders, Mean(), progress=False).written) == 3
    (out / MANIFEST).unlink()
    with pytest.raises(ValueError, match=r"3 of 3 results exist already, .* has no record of its settings"):
        fuse_folders(*folders, Mean(), progress=False)


def spoilt_empty(result, source):
    result.write_bytes(b"")


def spoilt_truncated(result, source):
    result.write_bytes(result.read_bytes()[:-20])


def spoilt_overwritten(result, source):
    result.write_bytes(b"no image")


def spoilt_inside(result, source):
    content = bytearray(result.read_bytes())
    content[len(content) // 2] ^= 255
    result.write_bytes(content)


def spoilt_older(result, source):
    os.utime(source, ns=(result.stat().st_mtime_ns + 1,) * 2)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoilt_empty, "was empty (0 bytes)"),
        (spoilt_truncated, "was damaged ("),
        (spoilt_overwritten, "was damaged ("),
        (spoilt_inside, "was damaged ("),
        (spoilt_older, "was older than "),
    ],
)
def test_a_result_that_does_not_stand_for_its_sources_is_made_again_and_said(folders, spoil, reason, side):
    out = folders[2]
    fuse_folders(*folders, Mean(), progress=False)
    spoil(out / "2.png", folders[side] / "2.png")
    report = fuse_folders(*folders, Mean(), progress=False)
    assert report.written == (out / "2.png",)
    assert report.kept == (out / "1.png", out / "ü.png")
    ((subject, why),) = [(issue.subject, issue.reason) for issue in report.outdated]
    assert subject == out / "2.png"
    assert why.startswith(reason)
    assert read_image(out / "2.png").shape == (5, 7, 3)


def test_one_bad_pair_is_reported_and_the_others_finish(folders):
    a, b, out = folders
    (a / "1.png").write_bytes(b"broken")
    write_image(b / "2.png", GREY_B[:3])
    (b / "lonely.png").write_bytes(b"")
    report = fuse_folders(a, b, out, Mean(), progress=False)
    assert report.written == (out / "ü.png",)
    assert [failure.subject for failure in report.failed] == ["1", "2"]
    assert "1.png: is not a PNG" in report.failed[0].reason
    assert "7x5 and 7x3" in report.failed[1].reason
    assert [issue.subject for issue in report.skipped] == [b / "lonely.png"]
    assert not report.complete


def test_an_interruption_keeps_finished_results_and_nothing_half_written(folders, monkeypatch):
    save, calls = Image.Image.save, []

    def interrupted_at_the_second(self, file, **options):
        calls.append(file)
        if len(calls) == 2:
            file.write(b"half")
            raise KeyboardInterrupt
        save(self, file, **options)

    monkeypatch.setattr(Image.Image, "save", interrupted_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        fuse_folders(*folders, Mean(), progress=False)
    assert sorted(path.name for path in folders[2].iterdir()) == [MANIFEST, "1.png"]


def test_the_progress_bar_counts_pairs(folders, capsys):
    fuse_folders(*folders, Mean())
    assert "3/3" in capsys.readouterr().err


def test_sources_are_never_the_target(folders):
    a, b, _ = folders
    with pytest.raises(ValueError, match="folder of their own"):
        fuse_folders(a, b, b / ".." / "b", Mean(), overwrite=True)


def test_folders_without_pairs(tmp_path):
    with pytest.raises(PairError):
        fuse_folders(tmp_path / "x", tmp_path / "y", tmp_path / "z", Mean())
    assert not (tmp_path / "z").exists()


def test_a_contact_sheet_shows_each_picture_of_each_row(tmp_path):
    flat = [np.full((40, 130), value, np.uint8) for value in (50, 100, 150)]
    colour = np.full((40, 130, 3), (1.0, 0.0, 0.0))
    contact_sheet([Row("$x_1$ first", *flat), Row("second", colour, *flat[1:])], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        seen = {tuple(pixel) for _, pixel in image.getcolors(maxcolors=1 << 20)}
        assert image.width >= 3 * 130
        assert image.height >= 2 * 40
    assert {(50,) * 3, (100,) * 3, (150,) * 3, (255, 0, 0), (255,) * 3} <= seen


def test_a_contact_sheet_stays_small_whatever_the_pictures(tmp_path):
    noise = RNG.integers(0, 256, (400, 500, 3)).astype(np.uint8)
    contact_sheet([Row(str(k), noise, noise, noise) for k in range(4)], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size <= LARGEST_FILE


def test_a_contact_sheet_needs_a_row(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], tmp_path / "sheet.png")
