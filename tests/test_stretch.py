"""Stored values and stretches: known answers, the same result by every way in, and clear errors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.images import ImageError, read_image, read_picture, read_values
from mambadfuse.data.stretch import Stretch, stored_array
from mambadfuse.fusion.folders import fuse_folders
from mambadfuse.fusion.manifest import MANIFEST
from mambadfuse.fusion.pair import fuse
from mambadfuse.models import checkpoints

KELVIN = (29115 + np.linspace(0, 1900, 48)).astype(np.uint16).reshape(6, 8)
CELSIUS = (KELVIN / 100 - 273.15).astype(np.float32)
VISIBLE = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


class Mean(nn.Module):
    def forward(self, a, b):
        return (a + b) / 2


class First(nn.Module):
    def forward(self, a, b):
        return a


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Folders a (thermal, 16 bits) and b (visible) with the pairs 1 and 2; weights that are the mean."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: Mean())
    for side in "ab":
        (tmp_path / side).mkdir()
    for name, offset in (("1", 0), ("2", 500)):
        Image.fromarray(KELVIN + np.uint16(offset)).save(f"a/{name}.tiff")
        Image.fromarray(VISIBLE).save(f"b/{name}.png")
    return tmp_path


def pixels(path):
    return np.asarray(Image.open(path))


@given(st.floats(-1e4, 1e4), st.floats(1, 1e4), st.floats(-3, 3))
def test_a_window_maps_its_ends_to_black_and_white_and_clips(low, width, at):
    value = np.array([[low, low + width, low + at * width]])
    got = Stretch.of((low, low + width)).apply(value)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[0, 1, np.clip(at, 0, 1)]], atol=1e-6)


def test_percentiles_are_those_of_all_images_together():
    images = [np.arange(0, 50), np.arange(50, 101)]
    assert Stretch.of(("10%", "90%")).window(images, 2) == Stretch(10, 90)


def test_percentiles_of_large_images_are_taken_from_evenly_spaced_values(monkeypatch):
    monkeypatch.setattr("mambadfuse.data.stretch._SAMPLE", 100)
    images = [np.linspace(0, 1000, 10_001), np.linspace(0, 1000, 10_001)]
    window = Stretch.of(("1%", "99%")).window(images, 2)
    assert window.low == pytest.approx(10, abs=21)
    assert window.high == pytest.approx(990, abs=21)


@pytest.mark.parametrize(
    "bounds",
    [(1, 1), (2, 1), ("1%", "99"), ("99%", "1%"), ("1%", "101%"), ("x", "y"), (0, float("nan")), (1,), 5],
)
def test_bounds_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match=r"bound|percentiles"):
        Stretch.of(bounds)


def test_percentiles_that_fall_together_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(
        ImageError, match=r"x\.png: cannot be stretched: it has the value 7 at both 1% and 99%"
    ):
        read_image(tmp_path / "x.png", stretch=("1%", "99%"))


def test_bounds_that_all_but_touch_give_black_and_white():
    x = np.array([[-1, 0, 1, 200]])
    np.testing.assert_array_equal(Stretch.of((0, 1e-320)).apply(x), [[0, 0, 1, 1]])


@pytest.mark.parametrize("dtype", [">u2", "<u2", ">f4", "<f8", "<i4", ">i2"])
def test_byte_order_and_kind_of_number_change_nothing(dtype):
    plain = Stretch.of((10, 200)).apply(stored_array(VISIBLE[..., 0].astype(dtype)).values)
    np.testing.assert_array_equal(plain, Stretch.of((10, 200)).apply(VISIBLE[..., 0]))


def test_integers_of_either_byte_order_have_the_same_white():
    np.testing.assert_array_equal(
        fuse(KELVIN.astype(">u2"), VISIBLE, Mean()), fuse(KELVIN.astype("<u2"), VISIBLE, Mean())
    )


@pytest.mark.parametrize("bounds", [(29115, 31115), ("1%", "99%")])
def test_file_array_command_and_folder_agree_to_the_bit(place, bounds):
    want = fuse(KELVIN, VISIBLE, Mean(), stretch=bounds)
    np.testing.assert_array_equal(fuse("a/1.tiff", "b/1.png", Mean(), stretch=bounds), want)
    np.testing.assert_array_equal(
        fuse(read_image("a/1.tiff", stretch=bounds), read_image("b/1.png"), Mean()), want
    )
    words = [str(bound) for bound in bounds]
    assert main(["fuse", "--a", "a/1.tiff", "--b", "b/1.png", "--out", "f.png", "--stretch", *words]) == 0
    np.testing.assert_array_equal(pixels("f.png"), want)
    each = "--stretch-each" if "%" in str(bounds) else "--overwrite"
    assert main(["fuse", "--a", "a", "--b", "b", "--out", "o", "--stretch", *words, each]) == 0
    np.testing.assert_array_equal(pixels("o/1.png"), want)
    fuse_folders("a", "b", "p", Mean(), stretch=bounds, stretch_each=True, progress=False)
    np.testing.assert_array_equal(pixels("p/1.png"), want)


def test_one_window_for_a_folder_keeps_temperatures_comparable(place):
    assert main(["fuse", "--a", "a", "--b", "b", "--out", "o", "--stretch", "0%", "100%"]) == 0
    window = (int(KELVIN.min()), int(KELVIN.max()) + 500)
    np.testing.assert_array_equal(pixels("o/1.png"), fuse("a/1.tiff", VISIBLE, Mean(), stretch=window))
    fuse_folders("a", "b", "p", Mean(), stretch=("0%", "100%"), progress=False)
    np.testing.assert_array_equal(pixels("p/2.png"), pixels("o/2.png"))


def test_a_file_that_cannot_be_read_does_not_count(place):
    (place / "a" / "2.tiff").write_bytes(b"broken")
    report = fuse_folders("a", "b", "o", Mean(), stretch=("0%", "100%"), progress=False)
    assert [path.name for path in report.written] == ["1.png"]
    assert "2.tiff: is not a" in report.failed[0].reason


def test_side_b_has_a_stretch_of_its_own():
    want = fuse(VISIBLE, KELVIN, Mean(), stretch_b=("0%", "100%"), colour="grey")
    np.testing.assert_array_equal(want, fuse(KELVIN, VISIBLE, Mean(), stretch=("0%", "100%"), colour="grey"))


def test_results_with_another_stretch_are_not_kept(place, capsys):
    words = ["fuse", "--a", "a", "--b", "b", "--out", "o"]
    assert main(words) == 0
    assert "stretch" not in (place / "o" / MANIFEST).read_text()
    assert main([*words, "--stretch", "29115", "31115"]) == 1
    assert "was made with stretch None, now it is stretch 29115 31115" in capsys.readouterr().err
    assert main([*words, "--stretch", "29115", "31115", "--overwrite"]) == 0
    assert main(words) == 1
    assert "was made with stretch 29115 31115, now it is stretch None" in capsys.readouterr().err


def test_wrong_bounds_are_a_usage_error(place, capsys):
    with pytest.raises(SystemExit):
        main(["fuse", "--a", "a", "--b", "b", "--out", "o", "--stretch", "9", "1"])
    assert "a lower and a higher bound" in capsys.readouterr().err


def test_the_contact_sheet_shows_what_was_fused(place):
    words = ["fuse", "--a", "a", "--b", "b", "--out", "o", "--stretch", "29115", "31515"]
    assert main([*words, "--sheet", "sheet.png"]) == 0
    seen = {grey for grey, *_ in map(tuple, pixels("sheet.png").reshape(-1, 3))}
    assert {0, int(255 * 1000 / 2400)} & seen


@pytest.mark.parametrize("suffix", ["tiff", "npy"])
def test_float_degrees_need_a_stretch_and_the_error_says_so(tmp_path, suffix):
    path = tmp_path / f"celsius.{suffix}"
    np.save(path, CELSIUS) if suffix == "npy" else Image.fromarray(CELSIUS).save(path)
    with pytest.raises(
        ImageError, match=r"celsius.*must lie in \[0, 1\], found values from 18 to 37: stretch it"
    ):
        read_image(path)
    np.testing.assert_allclose(read_image(path, stretch=(18, 37)), (KELVIN - 29115) / 1900, atol=1e-4)
    np.testing.assert_array_equal(read_values(path), CELSIUS)


@pytest.mark.parametrize(
    ("array", "unit"),
    [
        (VISIBLE, VISIBLE / 255),
        (KELVIN.astype(">u2"), KELVIN / 65535),
        (VISIBLE[..., 0] > 99, VISIBLE[..., 0] > 99),
        (VISIBLE[..., 1] / 255, VISIBLE[..., 1] / 255),
    ],
    ids=["uint8", "big-endian", "bool", "float64"],
)
def test_npy_files_hold_what_arrays_hold(tmp_path, array, unit):
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_allclose(read_image(tmp_path / "x.npy"), unit, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\), expected \(H, W\) or \(H, W, 3\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 3)), "shape"),
        (np.zeros((2, 3), complex), "complex128"),
        (np.array([[None]]), "damaged"),
        (np.full((2, 3), np.nan), "NaN"),
        (np.full((2, 3), -5, np.int16), "signed integers, from -5 to -5: stretch it"),
    ],
)
def test_npy_files_that_hold_no_image_are_named(tmp_path, array, reason):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ImageError, match=reason) as error:
        read_image(tmp_path / "x.npy")
    assert "x.npy" in str(error.value)


def test_signed_and_long_integers_are_read_with_a_stretch(tmp_path):
    hounsfield = np.array([[-1000, 0], [40, 80]], np.int32)
    Image.fromarray(hounsfield).save(tmp_path / "x.tiff")
    want = np.array([[0, 0], [0.5, 1]], np.float32)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tiff", stretch=(0, 80)), want)
    fused = fuse(hounsfield.astype(np.int16), want, First(), stretch=(0, 80))
    np.testing.assert_array_equal(fused, [[0, 0], [128, 255]])


MASKED = np.ma.masked_equal(VISIBLE[..., 0], VISIBLE[0, 0, 0])


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (MASKED, ValueError, "a has .* masked values: fill them first"),
        (VISIBLE[..., 0].astype(np.int8), TypeError, "a must hold bool, uint8.*found int8"),
        (VISIBLE[..., 0] * 1j, TypeError, "a must hold .* found complex128"),
        (VISIBLE[..., 0].astype(object), TypeError, "found object"),
        (VISIBLE[..., 0].astype(str), TypeError, "found <U"),
        (
            VISIBLE.view([("r", "u1"), ("g", "u1"), ("b", "u1")])[..., 0],
            TypeError,
            r"a must hold .* found \[\('r', 'u1'",
        ),
        (
            torch.eye(4).to_sparse(),
            TypeError,
            r"a must be a dense tensor with values, found a sparse one: x\.to_dense",
        ),
        (torch.eye(4, device="meta"), TypeError, "found one on the device meta"),
        (torch.zeros(4, 4, dtype=torch.int32), TypeError, "a must be a tensor of floating-point numbers"),
    ],
    ids=["masked", "int8", "complex", "object", "text", "structured", "sparse", "meta", "integer tensor"],
)
def test_arrays_that_are_no_image_are_named(array, error, message):
    with pytest.raises(error, match=message):
        fuse(array, VISIBLE, Mean())


@pytest.mark.filterwarnings("ignore:The PyTorch API of")
def test_masked_and_nested_tensors_are_named():
    masked = torch.masked.masked_tensor(torch.eye(4), torch.eye(4) > 0)
    nested = torch.nested.nested_tensor([torch.eye(3), torch.eye(4)])
    for tensor, kind in ((masked, "a masked one"), (nested, "a nested one")):
        with pytest.raises(TypeError, match=f"a must be a dense tensor with values, found {kind}"):
            fuse(tensor, VISIBLE, Mean())


@pytest.mark.parametrize("excess", [1e-7, 9e-6])
def test_floats_that_leave_the_range_by_rounding_are_clipped(excess):
    x = np.array([[-excess, 0.5], [1, 1 + excess]])
    expected = fuse(np.clip(x, 0, 1), np.clip(x, 0, 1), Mean())
    np.testing.assert_array_equal(fuse(x, x, Mean()), expected)
    np.testing.assert_array_equal(mdf.metrics.grey(x), mdf.metrics.grey(np.clip(x, 0, 1)))
    assert fuse(torch.from_numpy(x), torch.from_numpy(x), Mean()).max() <= 1


def test_floats_beyond_rounding_are_refused():
    x = np.array([[0, 0.5], [1, 1.0001]])
    with pytest.raises(ValueError, match=r"a must lie in \[0, 1\], found values from 0 to 1\.0001"):
        fuse(x, x, Mean())
    with pytest.raises(ValueError, match="must lie in"):
        mdf.metrics.grey(x)


def test_a_masked_array_without_a_mask_is_an_array():
    grey = VISIBLE[..., 0]
    np.testing.assert_array_equal(fuse(np.ma.asarray(grey), grey, Mean()), grey)


def test_a_matrix_is_an_array():
    grey = VISIBLE[..., 0]
    np.testing.assert_array_equal(fuse(grey.view(np.matrix), grey, Mean()), grey)


def test_a_stretch_comes_before_the_question_whether_there_is_colour(tmp_path):
    faint = np.full((4, 5, 3), 100, np.uint8)
    faint[0, 0] = 100, 101, 102
    Image.fromarray(faint).save(tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png").pixels.ndim == 2
    assert read_picture(tmp_path / "x.png", stretch=(100, 102)).pixels.ndim == 3
