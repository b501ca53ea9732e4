"""Images between files and arrays: what is read, what is refused, and how values map to [0, 1]."""

import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from mambadfuse.data import remarks
from mambadfuse.data.colour import Floats, is_grey, luma
from mambadfuse.data.remarks import Remark
from mambadfuse.data.signatures import HEAD, recognise
from mambadfuse.data.stretch import Stored, Stretch, StretchLike, stored_array
from mambadfuse.files import OnComplete, atomic_write, is_special

WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
FORMATS = {
    **WRITTEN,
    ".jpe": "JPEG", ".jfif": "JPEG", ".apng": "PNG", ".gif": "GIF", ".webp": "WEBP", ".npy": "NPY",
    ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".jpc": "JPEG2000", ".j2c": "JPEG2000", ".jpf": "JPEG2000",
    ".jpx": "JPEG2000",
}  # fmt: skip
"""The formats that are read, by suffix."""

ALPHAS = ("black", "ignore", "only")
_PILLOW = sorted({name for name in FORMATS.values() if name != "NPY"})
_READ = "PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or .npy"
_ONE_PAGE = ("JPEG", "MPO")  # the second picture of an MPO is a thumbnail or depth map of the camera
T = TypeVar("T")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # two TIFF tags and a value of the second
_NPY = b"\x93NUMPY"  # how such a file begins
_NO_ALPHA = "has no alpha channel"
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # an EXIF tag and its values that exchange width and height


class ImageError(ValueError):
    """An image cannot be read or written; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: float32 in [0, 1], (H, W) if grey, (H, W, 3) if colour.
        bits: bits per channel in the source: 8 (or fewer), 12, 16, or 32 for floating-point files.
        remarks: what a user should know about it.
    """

    pixels: Floats
    bits: int
    remarks: tuple[Remark, ...] = ()


def read_image(
    path: str | Path, *, stretch: StretchLike | Stretch | None = None, alpha: str = "black"
) -> Floats:
    """The pixels of an image file, float32 in [0, 1]: (H, W) if it is grey, (H, W, 3) if it has colour.

    Reads PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 (of several pages or frames the first) and NumPy's .npy,
    recognised by content and not by name. Palettes are resolved, the EXIF orientation is applied. A colour file whose
    R, G and B nowhere differ by more than 2/255 counts as grey. Integers are divided by the largest value of their
    kind, 255 or 65535, and floats have to lie in [0, 1], unless ``stretch`` says what is black and what is white.

    A warning is logged for an image that is black or constant, has more than 8 bits but uses less than a quarter of
    its range (or, hot spots aside, less than a sixteenth, away from 0), holds several pages or frames, or has an alpha
    channel that looks like an image.

    >>> from mambadfuse.data.images import read_image
    >>> from mambadfuse.data.samples import samples
    >>> pair = samples("ivf")[0]
    >>> read_image(pair.a).shape, read_image(pair.b).shape
    ((360, 480), (360, 480, 3))

    Args:
        path: of the file.
        stretch: the stored values that become 0 and 1, as ``(29115, 31115)``, or their percentiles in this image, as
            ``("1%", "99%")``; values beyond are clipped.
        alpha: what becomes of an alpha channel: "black" lays the image on black by it (the background of medical
            images), "ignore" leaves it out, and "only" reads it alone, as a grey image.

    Raises:
        ImageError: the file is missing, a folder, empty, damaged, of another format, or holds what this kit
            does not read: CMYK or Lab, 16 bits with transparency, 16-bit colour TIFF, and without ``stretch``
            floats outside [0, 1] and signed or 32-bit integers; it has no alpha channel, but only that was asked for.
        MemoryError: it does not fit in what is free.
        ValueError: an option has an unknown value.
    """
    picture = read_picture(path, stretch=stretch, alpha=alpha)
    for remark in picture.remarks:
        remark.log(path)
    return picture.pixels


def read_picture(
    path: str | Path, *, stretch: StretchLike | Stretch | None = None, alpha: str = "black"
) -> Picture:
    """Like :func:`read_image`, with the bit depth of the file, and with the warnings as remarks instead of logged."""
    if alpha not in ALPHAS:
        raise ValueError(f"alpha must be one of {', '.join(ALPHAS)}, found {alpha!r}")
    window = None if stretch is None else Stretch.of(stretch)
    return _read(path, lambda image: decode(image, window, alpha), lambda x: _from_array(x, window, alpha))


def read_values(path: str | Path, *, alpha: str = "black") -> NDArray[Any]:
    """The stored values of an image file, those that ``stretch`` of :func:`read_image` speaks of.

    Raises:
        ImageError: as :func:`read_image`.
    """
    return _read(path, lambda image: _stored(image, alpha)[0].values, lambda x: stored_array(x).values)


def _read(path: str | Path, of_image: Callable[[Image.Image], T], of_array: Callable[[NDArray[Any]], T]) -> T:
    """What one of two functions makes of the content of a file; the other one takes what is in a .npy file."""
    path = Path(path)
    try:
        if path.is_dir():
            raise ImageError("is a folder, expected an image file")
        if is_special(path):  # opening it could block
            raise ImageError("is a pipe, socket or device, expected an image file")
        # An open file, not a name: Pillow 13 scrambles rotated, uncompressed TIFFs that it opens by name.
        with path.open("rb") as file:
            start = file.read(len(_NPY))
            if not start:
                raise ImageError("is empty (0 bytes)")
            file.seek(0)
            if start == _NPY:
                return of_array(np.load(file, allow_pickle=False))
            with Image.open(file, formats=_PILLOW) as image:
                return of_image(image)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except PermissionError:
        raise ImageError(f"{path}: may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: is not a {_READ} image, {_actual_format(path)}") from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: has more pixels than an image may have here ({error})") from None
    except MemoryError:
        raise MemoryError(f"{path}: there is not enough free memory to read it") from None
    except Exception as error:  # decoders meet broken data with almost any exception
        raise ImageError(f"{path}: is truncated or damaged ({error})") from error


def _from_array(x: NDArray[Any], stretch: Stretch | None, alpha: str) -> Picture:
    """What is in a .npy file, (H, W) or (H, W, 3)."""
    if alpha == "only":
        raise ImageError(_NO_ALPHA)
    if x.size == 0 or x.shape[2:] not in ((), (3,)) or x.ndim < 2:
        raise ImageError(f"holds an array of shape {x.shape}, expected (H, W) or (H, W, 3)")
    try:
        return _picture(stored_array(x), stretch)
    except TypeError as error:
        raise ImageError(str(error)) from None


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
            image = Image.open(file, formats=_PILLOW)
            exif = Image.Image.getexif(image)  # image.getexif() would decode all of a PNG
            if exif.get(_ORIENTATION) not in _ON_ITS_SIDE:
                return image.size
    height, width = read_picture(path).pixels.shape[:2]
    return width, height


def _actual_format(path: Path) -> str:
    """What a file is if it has none of the formats read here."""
    with suppress(Exception), path.open("rb") as file:
        with suppress(Exception), Image.open(file) as image:
            return f"but a {image.format}"
        file.seek(0)
        if kind := recognise(file.read(HEAD), path.name):
            return f"or its header is damaged: it begins like {kind}"
    return "or its header is damaged"


def decode(image: Image.Image, stretch: Stretch | None = None, alpha: str = "black") -> Picture:
    """An open Pillow image as a picture; the rules are those of :func:`read_image`.

    Raises:
        ImageError: the image is empty or of a kind that is not read.
    """
    stored, found = _stored(image, alpha)
    return _picture(stored, stretch, found)


def _picture(stored: Stored, stretch: Stretch | None, found: Sequence[Remark] = ()) -> Picture:
    """Stored values in [0, 1], grey if they show no colour."""
    try:
        pixels = stored.unit() if stretch is None else stretch.apply(stored.values)
    except ValueError as error:
        raise ImageError(str(error)) from None
    if pixels.ndim == 3 and is_grey(pixels):
        pixels = luma(pixels)
    return Picture(pixels, stored.bits, (*found, *remarks.of_values(stored, stretch)))


def _stored(image: Image.Image, alpha: str) -> tuple[Stored, list[Remark]]:
    """The values of an image, and remarks on what was left out of them."""
    if 0 in image.size:
        raise ImageError(f"is empty: its size is {image.width}x{image.height}")
    found = remarks.of_frames(_frames(image))
    bits = _bits(image)
    if bits > 8 and image.has_transparency_data:
        raise ImageError("has 16 bits per channel and transparency: save it without the transparency")
    if image.has_transparency_data:
        rgba = _upright(image, "RGBA")
        found += remarks.of_alpha(rgba[..., 3]) if alpha == "black" else []
        return Stored(_without_alpha(rgba, alpha), 255, 8), found
    if alpha == "only":
        raise ImageError(_NO_ALPHA)
    if image.mode == "F":
        return Stored(_upright(image), 1, bits), found
    if image.mode.startswith("I"):
        return _deep_grey(image, bits), found
    if bits > 8:
        return Stored(_deep_colour(image), 65535, bits), found
    return Stored(_eight_bits(image), 255, bits), found


def _frames(image: Image.Image) -> int:
    """Pages or frames of a file that was opened at its first; 1 if that cannot be said."""
    with suppress(Exception):  # a page after the first may be damaged
        return 1 if image.format in _ONE_PAGE or image.tell() else getattr(image, "n_frames", 1)
    return 1


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


def _without_alpha(rgba: Floats, alpha: str) -> Floats:
    if alpha == "only":
        return rgba[..., 3]
    return rgba[..., :3] if alpha == "ignore" else rgba[..., :3] * (rgba[..., 3:] / 255)


def _eight_bits(image: Image.Image) -> Floats:
    if image.mode in ("1", "L"):
        return _upright(image, "L")
    if image.mode in ("P", "RGB", "RGBX", "YCbCr"):
        return _upright(image, "RGB")
    raise ImageError(f"has the colour mode {image.mode}, which is not read: save it as grey or RGB")


def _deep_grey(image: Image.Image, bits: int) -> Stored:
    if bits not in (12, 16) or (image.mode == "I" and not isinstance(image, PngImageFile)):
        return Stored(np.asarray(ImageOps.exif_transpose(image)), None, bits)
    values, white = _upright(image), 2**bits - 1
    inverted = isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Stored(white - values if inverted else values, white, bits)


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
    return high * 256 + low


def picture_format(path: Path, bits: int = 8) -> str:
    """The file format that the name ``path`` asks for.

    Raises:
        ImageError: the suffix stands for no format written here, or for one without 16-bit images.
    """
    name = WRITTEN.get(path.suffix.lower())
    if name is None:
        raise ImageError(
            f"{path}: its suffix {path.suffix!r} names no format written here: {', '.join(WRITTEN)}"
        )
    if bits == 16 and name not in ("PNG", "TIFF"):
        raise ImageError(f"{path}: a {name} file holds no 16-bit image, choose .png or .tif")
    return name


def write_image(
    path: str | Path, pixels: NDArray[np.unsignedinteger[Any]], on_complete: OnComplete | None = None
) -> None:
    """Writes an image, uint8 or uint16, (H, W) grey or (H, W, 3) colour.

    The suffix chooses the format: .png, .jpg, .jpeg, .tif, .tiff or .bmp. JPEG loses detail (quality 95, full
    chroma); 16 bits go into PNG and, if grey, TIFF. An existing file is replaced atomically.

    Args:
        path: of the file.
        pixels: of the image.
        on_complete: as in :func:`mambadfuse.files.atomic_write`.

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
        with atomic_write(path, on_complete=on_complete) as file:
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
