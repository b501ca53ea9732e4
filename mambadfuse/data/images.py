"""Images between files and arrays: what is read, what is refused, and how values map to [0, 1]."""

import logging
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from mambadfuse.data.colour import Floats, is_grey, luma
from mambadfuse.files import atomic_write

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
_log = logging.getLogger("mambadfuse")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # two TIFF tags and a value of the second
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # an EXIF tag and its values that exchange width and height


class ImageError(ValueError):
    """An image cannot be read or written; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: float32 in [0, 1], (H, W) if grey, (H, W, 3) if colour.
        bits: bits per channel in the source: 8 (or fewer), 12, 16, or 32 for floating-point files.
    """

    pixels: Floats
    bits: int


def read_image(path: str | Path) -> Floats:
    """The pixels of an image file, float32 in [0, 1]: (H, W) if it is grey, (H, W, 3) if it has colour.

    Reads PNG, JPEG, TIFF (its first page) and BMP, recognised by content and not by name. Palettes are resolved,
    transparency is laid on black (the background of medical images), the EXIF orientation is applied.
    A colour file whose R, G and B nowhere differ by more than 2/255 counts as grey. 16-bit values are divided by
    65535; a warning is logged if they stay below a quarter of that, as those of cameras with 14 bits or fewer do.

    >>> from mambadfuse.data.images import read_image
    >>> from mambadfuse.data.samples import samples
    >>> pair = samples("ivf")[0]
    >>> read_image(pair.a).shape, read_image(pair.b).shape
    ((360, 480), (360, 480, 3))

    Raises:
        ImageError: the file is missing, a folder, empty, damaged, of another format, or holds what this kit
            does not read: CMYK or Lab, 32-bit integers, floats outside [0, 1], 16 bits with transparency,
            16-bit colour TIFF.
    """
    return read_picture(path).pixels


def read_picture(path: str | Path) -> Picture:
    """Like :func:`read_image`, but with the bit depth of the file."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError("is a folder, expected an image file")
        if path.exists() and not path.is_file():  # opening it could wait for ever
            raise ImageError("is a pipe, socket or device, expected an image file")
        # An open file, not a name: Pillow 13 scrambles rotated, uncompressed TIFFs that it opens by name.
        with path.open("rb") as file:
            if not file.read(1):
                raise ImageError("is empty (0 bytes)")
            file.seek(0)
            with Image.open(file, formats=sorted(set(FORMATS.values()))) as image:
                picture = decode(image)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except PermissionError:
        raise ImageError(f"{path}: may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: is not a PNG, JPEG, TIFF or BMP image, {_actual_format(path)}") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except Exception as error:  # decoders meet broken data with almost any exception
        raise ImageError(f"{path}: is truncated or damaged ({error})") from error
    brightest = picture.pixels.max()
    if picture.bits == 16 and 0 < brightest < 0.25:
        _log.warning(
            "%s: its 16-bit values end at %.0f of 65535, so it is nearly black; if they are raw camera counts, "
            "stretch them first",
            path,
            65535 * brightest,
        )
    return picture


def picture_size(path: Path, decode: bool = False) -> tuple[int, int]:
    """Width and height of an image as :func:`read_image` returns it, upright; by default from its header alone.

    Args:
        path: of the image.
        decode: whether to decode the image, which is slower but also finds a truncated file.

    Raises:
        ImageError: the image cannot be read.
    """
    if not decode and path.is_file():
        with suppress(Exception), path.open("rb") as file:  # read_image describes what is wrong with a header
            image = Image.open(file, formats=sorted(set(FORMATS.values())))
            exif = Image.Image.getexif(image)  # image.getexif() would decode all of a PNG
            if exif.get(_ORIENTATION) not in _ON_ITS_SIDE:
                return image.size
    height, width = read_image(path).shape[:2]
    return width, height


def _actual_format(path: Path) -> str:
    """What a file is if it has none of the formats read here."""
    with suppress(Exception), path.open("rb") as file, Image.open(file) as image:
        return f"but a {image.format}"
    return "or its header is damaged"


def decode(image: Image.Image) -> Picture:
    """The pixels and bit depth of an open Pillow image; the rules are those of :func:`read_image`.

    Raises:
        ImageError: the image is empty or of a kind that is not read.
    """
    if 0 in image.size:
        raise ImageError(f"is empty: its size is {image.width}x{image.height}")
    bits = _bits(image)
    if bits > 8 and image.has_transparency_data:
        raise ImageError("has 16 bits per channel and transparency: save it without the transparency")
    if image.mode == "F":
        pixels = _floats(image)
    elif image.mode.startswith("I"):
        pixels = _deep_grey(image, bits)
    elif bits > 8:
        pixels = _deep_colour(image)
    else:
        pixels = _eight_bits(image)
    if pixels.ndim == 3 and is_grey(pixels):
        pixels = luma(pixels)
    return Picture(pixels, bits)


def _bits(image: Image.Image) -> int:
    """Bits per channel, 8 for anything below; the mode does not say (16-bit colour is "RGB", too)."""
    if image.mode == "F":
        return 32
    if isinstance(image, TiffImageFile):
        return max(8, *image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    if isinstance(image, PngImageFile) and image.tile and ";16" in str(image.tile[0][3]):
        return 16
    return 16 if image.mode.startswith("I;16") else 8


def _upright(image: Image.Image, mode: str = "") -> Floats:
    """The stored numbers, (H, W) or (H, W, channels), turned as the EXIF orientation asks."""
    image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert(mode) if mode else image).astype(np.float32)


def _eight_bits(image: Image.Image) -> Floats:
    if image.has_transparency_data:
        rgba = _upright(image, "RGBA") / 255
        return rgba[..., :3] * rgba[..., 3:]
    if image.mode in ("1", "L"):
        return _upright(image, "L") / 255
    if image.mode in ("P", "RGB", "RGBX", "YCbCr"):
        return _upright(image, "RGB") / 255
    raise ImageError(f"has the colour mode {image.mode}, which is not read: save it as grey or RGB")


def _deep_grey(image: Image.Image, bits: int) -> Floats:
    if bits not in (12, 16) or (image.mode == "I" and not isinstance(image, PngImageFile)):
        raise ImageError("holds 32-bit or signed integers: save it with 8 or 16 unsigned bits")
    pixels = _upright(image) / np.float32(2**bits - 1)
    inverted = isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return 1 - pixels if inverted else pixels


def _deep_colour(image: Image.Image) -> Floats:
    """16-bit RGB in two passes: Pillow keeps only one byte of each value, so we ask for the high, then the low."""
    if not isinstance(image, PngImageFile) or image.fp is None:
        raise ImageError("is a colour image of 16 bits per channel; these are read from PNG files only")
    position = image.fp.tell()
    image.fp.seek(0)
    file = image.fp.read()
    image.fp.seek(position)
    halves = []
    for byte in ("RGB;16B", "RGB;16L"):
        with Image.open(BytesIO(file), formats=["PNG"]) as half:
            half.tile = [(*tile[:3], byte) for tile in half.tile]  # type: ignore[misc]  # Pillow types tiles wider
            halves.append(_upright(half))
    high, low = halves
    return (high * 256 + low) / 65535


def _floats(image: Image.Image) -> Floats:
    pixels = _upright(image)
    if not np.isfinite(pixels).all():
        raise ImageError("holds NaN or infinite values")
    if pixels.min() < 0 or pixels.max() > 1:
        raise ImageError(f"holds values from {pixels.min():g} to {pixels.max():g}, expected 0 to 1")
    return pixels


def picture_format(path: Path, bits: int = 8) -> str:
    """The file format that the name ``path`` asks for.

    Raises:
        ImageError: the suffix stands for no format written here, or for one without 16-bit images.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise ImageError(
            f"{path}: its suffix {path.suffix!r} names no format written here: {', '.join(FORMATS)}"
        )
    if bits == 16 and name not in ("PNG", "TIFF"):
        raise ImageError(f"{path}: a {name} file holds no 16-bit image, choose .png or .tif")
    return name


def write_image(path: str | Path, pixels: NDArray[np.unsignedinteger[Any]]) -> None:
    """Writes an image, uint8 or uint16, (H, W) grey or (H, W, 3) colour.

    The suffix chooses the format: .png, .jpg, .jpeg, .tif, .tiff or .bmp. JPEG loses detail (quality 95, full
    chroma); 16 bits go into PNG and, if grey, TIFF. An existing file is replaced atomically.

    Raises:
        ImageError: the suffix, shape or dtype cannot be written, or the disk refuses.
    """
    path = Path(path)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: expected uint8 or uint16 pixels, found {pixels.dtype}")
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ImageError(f"{path}: expected pixels of shape (H, W) or (H, W, 3), found {pixels.shape}")
    deep_colour = pixels.dtype == np.uint16 and pixels.ndim == 3
    name = picture_format(path, 8 * pixels.itemsize)
    if deep_colour and name != "PNG":
        raise ImageError(f"{path}: a colour image of 16 bits per channel is written as .png only")
    try:
        with atomic_write(path) as file:
            if deep_colour:
                file.write(_png_of_deep_colour(pixels))
            else:
                options = {"quality": 95, "subsampling": 0} if name == "JPEG" else {}
                Image.fromarray(np.ascontiguousarray(pixels)).save(file, format=name, **options)
    except OSError as error:
        raise ImageError(str(error)) from error


def _png_of_deep_colour(pixels: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """A 16-bit RGB PNG, which Pillow cannot write: header, deflated rows each after filter byte 0, end."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
