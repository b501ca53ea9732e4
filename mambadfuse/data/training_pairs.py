"""Pairs as the network reads them in training: two grey images of one size, 8 bits, decoded when they are needed."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.checking import size_mismatch
from mambadfuse.data.images import picture_size
from mambadfuse.data.issues import problems
from mambadfuse.data.limited_range import looks_limited, luma_levels
from mambadfuse.data.pairs import PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.resize import same_shape
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.files import printable

_log = logging.getLogger("mambadfuse")

Picture = NDArray[np.uint8]
Pictures = tuple[Picture, Picture]


class TrainingPair(Protocol):
    """Two registered images; a is the infrared or MRI side, b the visible, CT, PET or SPECT side."""

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
class ArrayPair:
    """A pair in memory; uint8, (H, W) each.

    Raises:
        ValueError: a side is not uint8, (H, W), or the two differ in size.
    """

    name: str
    a: Picture
    b: Picture

    def __post_init__(self) -> None:
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
    """A pair of image files; colour is read as luma."""

    name: str
    a: Path
    b: Path
    shape: tuple[int, int]
    limited: bool = False
    """Whether the luma of side b is stored in limited range (16 to 235) and expanded when it is read."""
    reading: PairReading = field(default_factory=PairReading)
    """How the files are read."""

    def pictures(self) -> Pictures:
        """Both sides, decoded."""
        a, b = self.reading.read(self.a, self.b)
        return luma_levels(a[0]), luma_levels(b[0], self.limited)

    def digest(self) -> int:
        """CRC-32 of the files, and of how they are read."""
        how = self.reading.settings()
        reading = (b"limited" if self.limited else b"") + (repr(how).encode() if how else b"")
        return zlib.crc32(self.b.read_bytes() + reading, zlib.crc32(self.a.read_bytes()))


def find_training_pairs(
    a: str | Path | PairSet,
    b: str | Path | None = None,
    limited: bool | None = None,
    *,
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    stretch_each: bool = False,
    resize: str | None = None,
    alpha: str = "black",
) -> list[FilePair]:
    """The pairs that :func:`~mambadfuse.data.discovery.find_pairs` finds, ready for training.

    Only the headers of the files are read. A warning is logged for each file that is in no pair.

    >>> from mambadfuse.data.training_pairs import find_training_pairs
    >>> from mambadfuse.resources import resource_folder
    >>> samples = resource_folder("data_samples") / "ivf"
    >>> [pair.shape for pair in find_training_pairs(samples / "ir", samples / "vi")]
    [(360, 480), (360, 480)]

    Args:
        a: the folder of the infrared or MRI side, or of both sides; or the pairs themselves.
        b: the folder of the other side; None or ``a`` if both sides lie below ``a``.
        limited: whether side b is limited-range luma. None decides by the images in folders named ``*_Y``; those
            in other folders, and stretched ones, count as full range.
        stretch: as in :func:`mambadfuse.fuse_folders`.
        stretch_b: as there.
        stretch_each: as there.
        resize: as there.
        alpha: as there.

    Raises:
        PairError, ImageError: there is no pair, or an image cannot be read.
        ValueError: the two images of a pair differ in size, or with ``resize`` in their aspect ratios; or an option has
            an unknown value.
    """
    reading = PairReading.of(stretch, stretch_b, resize, alpha)
    found = reading.find_pairs(a, b)
    if not stretch_each:
        reading = reading.over(found.pairs)
    for issue in problems(found.issues):
        _log.warning("skipped %s", issue)
    guess = limited is None and stretch_b is None
    limited_range = set(_limited_files(found)) if guess else set()
    pairs = []
    for pair in found.pairs:
        size, other = picture_size(pair.a), picture_size(pair.b)
        if not (same_shape(size, other) if resize else size == other):
            raise ValueError(str(size_mismatch(pair, size, other)))
        width, height = other if resize == "a" else size
        pairs.append(
            FilePair(
                printable(pair.name),
                pair.a,
                pair.b,
                (height, width),
                bool(limited) or pair.b in limited_range,
                reading,
            )
        )
    return pairs


def _limited_files(found: PairSet) -> Sequence[Path]:
    """The b sides in ``*_Y`` folders, if they look like limited range."""
    root = found.folder_b

    def in_luma_folder(path: Path) -> bool:
        below = path.parent.relative_to(root).parts if path.is_relative_to(root) else path.parent.parts[-1:]
        return any(part.lower().endswith("_y") for part in (root.name, *below))

    luma = [pair.b for pair in found.pairs if in_luma_folder(pair.b)]
    return luma if luma and looks_limited(luma) else []
