"""Reading and writing images: known values, round trips, and clear errors for everything else."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from mambadfuse.data.images import ImageError, decode, read_image, read_picture, write_image
from mambadfuse.data.inputs import to_float_batch

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
DEEP = GREY.astype(np.uint16) * 257 + 3  # the low byte matters
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def encoded(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, format={"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), **options)
    return buffer.getvalue()


def saved(folder, image, name="x.png", **options):
    path = folder / name
    path.write_bytes(encoded(image, path.suffix[1:], **options))
    return path


def png(pixels, colour_type, bits=16, extra=b""):
    """A PNG made by hand: kinds that Pillow does not write."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_eight_bit_values_over_255(tmp_path, suffix, pixels):
    picture = read_picture(saved(tmp_path, Image.fromarray(pixels), f"x.{suffix}"))
    assert picture.pixels.dtype == np.float32
    assert picture.bits == 8
    np.testing.assert_allclose(picture.pixels, pixels / 255, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_over_65535(tmp_path, suffix):
    picture = read_picture(saved(tmp_path, Image.fromarray(DEEP), f"x.{suffix}"))
    assert picture.bits == 16
    np.testing.assert_allclose(picture.pixels, DEEP / 65535, atol=1e-7)


@pytest.mark.parametrize(("most", "warned"), [(0, False), (5100, True), (2**14 - 1, True), (2**14, False)])
def test_raw_numbers_of_a_camera_are_warned_of(tmp_path, caplog, most, warned):
    path = saved(tmp_path, Image.fromarray(np.linspace(0, most, 12).astype(np.uint16).reshape(3, 4)), "x.png")
    read_image(path)
    assert (f"x.png: its 16-bit values, 0 to {most}, use" in caplog.text) == warned
    assert ("--stretch 1% 99%" in caplog.text) == warned


def test_sixteen_bit_colour_png_keeps_its_low_bytes(tmp_path):
    deep = np.stack([DEEP, DEEP[::-1], 65535 - DEEP], axis=-1)
    path = tmp_path / "x.png"
    path.write_bytes(png(deep, colour_type=2))
    picture = read_picture(path)
    assert picture.bits == 16
    np.testing.assert_allclose(picture.pixels, deep / 65535, atol=1e-7)


def test_one_bit_is_black_and_white(tmp_path):
    bits = GREY > 100
    picture = read_picture(saved(tmp_path, Image.fromarray(bits)))
    np.testing.assert_array_equal(picture.pixels, bits.astype(np.float32))


def test_palette_is_resolved(tmp_path):
    image = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
    want = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(read_image(saved(tmp_path, image)), want, atol=1e-7)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_black(tmp_path, mode):
    image = Image.new(mode, (3, 2), (200, 100, 40, 51) if mode == "RGBA" else (200, 51))
    want = np.array([200, 100, 40] if mode == "RGBA" else 200) / 255 * (51 / 255)
    got = read_image(saved(tmp_path, image))
    np.testing.assert_allclose(got, np.broadcast_to(want, got.shape), atol=1e-6)


def test_transparent_palette_entry_is_black(tmp_path):
    image = Image.new("P", (2, 2), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert not read_image(saved(tmp_path, image, transparency=1)).any()


@pytest.mark.parametrize("difference", [0, 2])
def test_colour_file_of_grey_content_is_grey(tmp_path, difference):
    rgb = np.stack([GREY, GREY + np.uint8(difference), GREY], axis=-1)
    got = read_image(saved(tmp_path, Image.fromarray(rgb)))
    assert got.shape == GREY.shape
    np.testing.assert_allclose(got, GREY / 255, atol=difference / 255 + 1e-7)


def test_one_pixel_of_colour_makes_a_colour_picture(tmp_path):
    rgb = np.repeat(GREY[..., None], 3, axis=-1)
    rgb[2, 3, 0] += 3
    assert read_image(saved(tmp_path, Image.fromarray(rgb))).shape == (4, 6, 3)


def test_exact_grey_in_a_colour_file_equals_the_grey_file(tmp_path):
    grey = saved(tmp_path, Image.fromarray(GREY), "grey.png")
    rgb = saved(tmp_path, Image.fromarray(np.repeat(GREY[..., None], 3, axis=-1)), "rgb.png")
    np.testing.assert_array_equal(read_image(grey), read_image(rgb))


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(1, lambda x: x), (3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)],
)
def test_exif_orientation_is_applied(tmp_path, name, orientation, turn):
    flat = np.kron(GREY, np.ones((8, 8), np.uint8))  # JPEG keeps flat blocks
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = read_image(saved(tmp_path, Image.fromarray(flat), name, exif=exif))
    np.testing.assert_allclose(got, turn(flat) / 255, atol=2 / 255)


def test_sixteen_bit_tiff_in_which_white_is_zero(tmp_path):
    photometric = struct.pack("<HHI", 262, 3, 1)  # tag, type, count; then the value
    black_is_zero = encoded(Image.fromarray(DEEP), "tif")
    assert photometric + b"\1" in black_is_zero
    path = tmp_path / "x.tif"
    path.write_bytes(black_is_zero.replace(photometric + b"\1", photometric + b"\0"))
    np.testing.assert_allclose(read_image(path), 1 - DEEP / 65535, atol=1e-6)


def test_content_decides_not_the_name(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encoded(Image.fromarray(GREY), "png"))
    np.testing.assert_allclose(read_image(path), GREY / 255, atol=1e-7)


def test_float_tiff_within_the_unit_range(tmp_path):
    values = (GREY / 255).astype(np.float32)
    picture = read_picture(saved(tmp_path, Image.fromarray(values), "x.tif"))
    assert picture.bits == 32
    np.testing.assert_array_equal(picture.pixels, values)


BROKEN = {
    "empty.png": (b"", "empty"),
    "text.png": (b"this is no image", "not a PNG, JPEG, TIFF, BMP, GIF"),
    "truncated.png": (encoded(Image.fromarray(NOISE), "png")[:-500], "truncated or damaged"),
    "truncated.jpg": (encoded(Image.fromarray(NOISE), "jpg")[:-500], "truncated or damaged"),
    "truncated.tif": (encoded(Image.fromarray(COLOUR), "tif")[:-30], "truncated or damaged"),
    "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "begins like a Git LFS pointer"),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0", "begins like an HEIC image: save it as PNG"),
    "frames.png": (b"\0\0\0\x18ftypisom\0\0\0\0", "begins like a video"),
    "page.png": (b"<!DOCTYPE html><p>", "begins like an HTML page"),
    "slice.png": (bytes(128) + b"DICM" + bytes(20), "begins like a DICOM file"),
    "icon.png": (encoded(Image.fromarray(GREY), "ico"), "not a PNG.* but a ICO"),
    "array.npy": (b"\x93NUMPY but no more", "damaged"),
    "cmyk.jpg": (encoded(Image.new("CMYK", (4, 4)), "jpg"), "CMYK"),
    "lab.tif": (encoded(Image.new("LAB", (4, 4)), "tif"), "LAB"),
    "integers.tif": (encoded(Image.new("I", (4, 4), 70000), "tif"), "32-bit"),
    "nan.tif": (encoded(Image.new("F", (4, 4), float("nan")), "tif"), "NaN"),
    "infinite.tif": (encoded(Image.new("F", (4, 4), float("inf")), "tif"), "infinite"),
    "bright.tif": (encoded(Image.new("F", (4, 4), 1.5), "tif"), r"1\.5"),
    "deep_alpha.png": (png(np.zeros((3, 3, 4), np.uint16), colour_type=6), "transparency"),
    "deep_grey_alpha.png": (png(np.zeros((3, 3, 2), np.uint16), colour_type=4), "transparency"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, name):
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason) as error:
        read_image(tmp_path / name)
    assert name in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"missing\.png: there is no such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_a_pillow_image_that_was_closed_or_is_truncated_is_named(tmp_path):
    path = tmp_path / "x.png"
    write_image(path, GREY)
    closed = Image.open(path)
    closed.close()
    cut = Image.open(io.BytesIO(path.read_bytes()[:-30]))
    for image in (closed, cut):
        with pytest.raises(ImageError, match=r"^a cannot be read "):
            to_float_batch(image, "a")


def test_an_image_of_more_pixels_than_are_decoded_is_called_that(tmp_path, monkeypatch):
    write_image(tmp_path / "x.png", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(ImageError, match=r"x\.png: has more pixels than an image may have here"):
        read_image(tmp_path / "x.png")


def test_empty_pillow_image():
    with pytest.raises(ImageError, match="0x3"):
        decode(Image.new("L", (0, 3)))


VALID = [
    encoded(Image.fromarray(COLOUR), "png"),
    encoded(Image.fromarray(COLOUR), "jpg"),
    encoded(Image.fromarray(DEEP), "tif"),
    encoded(Image.fromarray(COLOUR), "tif", compression="tiff_lzw"),
    encoded(Image.fromarray(GREY).convert("P"), "bmp"),
    png(np.stack([DEEP] * 3, axis=-1), colour_type=2),
]


@pytest.mark.filterwarnings("ignore")  # decoders warn of damage before they give up
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    st.integers(0, 2000),
)
@example(b"", [], 0)
def test_damaged_bytes_give_a_picture_or_an_image_error(tmp_path, content, changes, cut):
    data = bytearray(content[: max(1, len(content) - cut)] if cut % 2 else content)
    for position, value in changes:
        if data:
            data[position % len(data)] = value
    path = tmp_path / "damaged"
    path.write_bytes(data)
    try:
        pixels = read_image(path)
    except ImageError:
        return
    assert pixels.dtype == np.float32
    assert pixels.ndim in (2, 3)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


SHAPES = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pixels=st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: arrays(dtype, SHAPES)),
    suffix=st.sampled_from([".png", ".PNG", ".tif", ".tiff", ".bmp"]),
)
def test_what_is_written_is_read_again(tmp_path, pixels, suffix):
    path = tmp_path / f"x{suffix}"
    deep = pixels.dtype == np.uint16
    if deep and (suffix == ".bmp" or (pixels.ndim == 3 and suffix.lower() != ".png")):
        with pytest.raises(ImageError, match="16"):
            write_image(path, pixels)
        return
    write_image(path, pixels)
    picture = read_picture(path)
    want = pixels / np.iinfo(pixels.dtype).max
    if picture.pixels.ndim < want.ndim:  # grey content
        want = want.mean(axis=-1)
        np.testing.assert_allclose(picture.pixels, want, atol=2 / 255)
    else:
        np.testing.assert_allclose(picture.pixels, want, atol=1e-6)
    assert picture.bits == 8 * pixels.itemsize


def test_jpeg_is_close(tmp_path):
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    write_image(tmp_path / "x.jpeg", smooth)
    np.testing.assert_allclose(read_image(tmp_path / "x.jpeg"), smooth / 255, atol=4 / 255)


@pytest.mark.parametrize(
    ("name", "pixels", "reason"),
    [
        ("x.gif", GREY, r"\.gif"),
        ("x", GREY, "suffix"),
        ("x.jpg", DEEP, "16-bit"),
        ("x.png", GREY / 255, "float64"),
        ("x.png", GREY[None, None], "shape"),
        ("x.png", GREY[:0], "shape"),
        ("nowhere/x.png", GREY, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_named_with_the_reason(tmp_path, name, pixels, reason):
    with pytest.raises(ImageError, match=reason) as error:
        write_image(tmp_path / name, pixels)
    assert name in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    write_image(path, GREY)
    before = path.read_bytes()

    def interrupted(self, file, **options):
        file.write(b"half an image")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(path, 255 - GREY)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.png"]


@pytest.mark.parametrize("suffix", ["gif", "webp", "jp2", "j2k", "jpx", "jpc"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_formats_of_the_web_and_of_jpeg_2000(tmp_path, suffix, pixels):
    flat = np.kron(pixels, np.ones((4, 4, 1) if pixels.ndim == 3 else (4, 4), np.uint8))
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(flat).save(path, **options)
    picture = read_picture(path)
    assert picture.bits == 8
    assert not picture.remarks
    np.testing.assert_allclose(picture.pixels, flat / 255, atol=1e-6)


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "png", "apng"])
def test_of_several_frames_the_first_is_read(tmp_path, suffix):
    frames = [Image.fromarray(np.roll(GREY, k)) for k in range(3)]
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"x.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.pixels, GREY / 255, atol=1e-6)
    assert [str(remark) for remark in picture.remarks] == ["holds 3 pages or frames; the first is taken"]


def test_a_damaged_second_page_does_not_spoil_the_first(tmp_path):
    frames = [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1])]
    path = tmp_path / "x.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    path.write_bytes(path.read_bytes()[:-800])
    assert read_image(path).shape == NOISE.shape


def test_too_little_memory_is_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((4, 4), np.uint8))

    def no_memory(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", no_memory)
    monkeypatch.setattr(np, "load", no_memory)
    for name in ("a.png", "b.npy"):
        with pytest.raises(MemoryError, match=f"{name}: there is not enough free memory to read it"):
            read_image(tmp_path / name)
