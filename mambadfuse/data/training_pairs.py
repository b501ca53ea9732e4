"""Pairs as the network reads them in training: two grey pictures of one size, 8 bits, decoded when they are needed."""

import logging
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.checking import picture_size
from mambadfuse.data.limited_range import looks_limited, read_luma
from mambadfuse.data.pairs import match_pairs

_log = logging.getLogger("mambadfuse")

Picture = NDArray[np.uint8]
Pictures = tuple[Picture, Picture]


class TrainingPair(Protocol):
    """Two registered pictures; a is the infrared or MRI side, b the visible, CT, PET or SPECT side."""

    @property
    def name(self) -> str:
        """What messages call the pair."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, known without decoding."""

    def pictures(self) -> Pictures:
        """Both sides, uint8, (H, W)."""

    def digest(self) -> int:
        """A number that changes with the content of either side."""


@dataclass(frozen=True)
class GreyPair:
    """A pair that is in memory already; uint8, (H, W) each."""

    name: str
    a: Picture
    b: Picture

    def __post_init__(self) -> None:
        """Refuse what is no pair of grey pictures."""
        for side, picture in (("a", self.a), ("b", self.b)):
            if picture.dtype != np.uint8 or picture.ndim != 2 or picture.shape != self.a.shape:
                raise ValueError(
                    f"{self.name}: side {side} must be uint8, (H, W), as large as the other side, "
                    f"found {picture.dtype}, {picture.shape}"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.a.shape
        return height, width

    def pictures(self) -> Pictures:
        """Both sides."""
        return self.a, self.b

    def digest(self) -> int:
        """CRC-32 of the pixels."""
        return zlib.crc32(self.b.tobytes(), zlib.crc32(self.a.tobytes()))


@dataclass(frozen=True)
class FilePair:
    """A pair of picture files; colour is read as luma."""

    name: str
    a: Path
    b: Path
    shape: tuple[int, int]
    limited: bool = False
    """Whether the luma of side b is stored in limited range (16 to 235) and to be expanded."""

    def pictures(self) -> Pictures:
        """Both sides, decoded."""
        return read_luma(self.a), read_luma(self.b, self.limited)

    def digest(self) -> int:
        """CRC-32 of the files, and of how b is read."""
        reading = b"limited" if self.limited else b""
        return zlib.crc32(self.b.read_bytes() + reading, zlib.crc32(self.a.read_bytes()))


def find_grey_pairs(
    folder_a: str | Path, folder_b: str | Path, limited: bool | None = None
) -> list[FilePair]:
    """All pairs of two folders, by name; only the heads of the files are read. What is in no pair is warned of.

    Args:
        folder_a: of the infrared or MRI side.
        folder_b: of the other side.
        limited: whether side b is limited-range luma; None looks at the pictures if the folder is named ``*_Y``.

    Raises:
        PairError, ImageError: there is no pair, or a picture cannot be read.
        ValueError: the two pictures of a pair differ in size.
    """
    matching = match_pairs(folder_a, folder_b)
    for file in matching.left_out:
        _log.warning("left out %s: %s", file.path, file.reason)
    pairs = matching.pairs
    if limited is None:
        named_luma = Path(folder_b).name.lower().endswith("_y")
        limited = named_luma and looks_limited([pair.b for pair in pairs])
    found = []
    for pair in pairs:
        (width, height), other = picture_size(pair.a), picture_size(pair.b)
        if (width, height) != other:
            raise ValueError(
                f"{pair.a}: is {width}x{height}, but its partner {pair.b} is {'{}x{}'.format(*other)}"
            )
        found.append(FilePair(pair.name, pair.a, pair.b, (height, width), limited))
    return found


class PictureCache:
    """Decoded pairs, of which the least recently used are forgotten beyond a number of bytes.

    Args:
        limit: in bytes; a pair larger than that is never kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._kept: OrderedDict[Hashable, Pictures] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Pictures]) -> Pictures:
        """The pictures known as ``key``, from memory or else by ``read()``."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pictures = self._kept[key] = read()
        self.used += _size(pictures)
        while self.used > self.limit:
            self.used -= _size(self._kept.popitem(last=False)[1])
        return pictures


def _size(pictures: Pictures) -> int:
    return sum(picture.nbytes for picture in pictures)
