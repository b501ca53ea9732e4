"""Images with their objects, as a detector is trained and tested on them."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mambadfuse.detection.boxes import Objects
from mambadfuse.detection.network import MULTIPLE


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Images of one size and the objects in them.

    Attributes:
        pixels: uint8, (N, C, H, W); H and W are multiples of 8.
        objects: of each image.
        classes: the names of the classes; labels are indices into it.

    Raises:
        ValueError: the pixels have another shape or dtype, or there are not as many lists of objects as images.
    """

    pixels: NDArray[np.uint8]
    objects: Sequence[Objects]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or any(n % MULTIPLE for n in shape[2:]):
            raise ValueError(
                f"pixels must be uint8, (N, C, H, W) with multiples of {MULTIPLE} as H and W, "
                f"found {self.pixels.dtype}, {shape}"
            )
        if len(self.objects) != shape[0]:
            raise ValueError(f"found {shape[0]} images, and the objects of {len(self.objects)}")

    def digest(self) -> int:
        """CRC-32 of pixels, objects and classes."""
        crc = zlib.crc32(
            np.ascontiguousarray(self.pixels).data,
            zlib.crc32(repr((self.pixels.shape, self.classes)).encode()),
        )
        for one in self.objects:
            for part in (one.boxes, one.labels, one.ignored, np.flatnonzero(one.crowd)):
                crc = zlib.crc32(part.tobytes(), crc)
        return crc
