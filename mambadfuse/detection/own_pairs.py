"""Your own pairs as sets of images: the part of a split, read as a detector sees it, in one size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mambadfuse.data.images import read_image
from mambadfuse.data.limited_range import luma_levels
from mambadfuse.data.pairs import PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.resize import resize_to
from mambadfuse.data.results import results_in
from mambadfuse.data.training_pairs import FilePair, find_training_pairs
from mambadfuse.detection.box_files import ImageInfo, read_objects, text_lines
from mambadfuse.detection.boxes import Objects
from mambadfuse.detection.dataset import DetectionSet
from mambadfuse.detection.inputs import INPUTS, input_image
from mambadfuse.detection.names import by_name, match, names_of
from mambadfuse.detection.network import MULTIPLE
from mambadfuse.fusion.memory import require_free

Size = tuple[int, int]


def split_of(pairs: PairSet, file: str | Path) -> PairSet:
    """The pairs that a split file names, one a line, with or without folder and suffix; in the order of the pairs.

    Raises:
        ValueError: a line names no pair or may mean several, there is no line, or the file is not UTF-8.
        OSError: the file cannot be read.
    """
    lines = [line.strip() for line in text_lines(Path(file)) if line.strip()]
    known = by_name([names_of(pair) for pair in pairs.pairs])
    chosen = set()
    for line in lines:
        meant = match(line, known)
        if meant is None:
            raise ValueError(f"{file}: names {line}, which is no pair in {pairs.folder_a}")
        if len(meant.images) > 1:
            several = " or ".join(pairs.pairs[number].name for number in meant.images[:2])
            raise ValueError(f"{file}: names {line}, which could be {several}")
        chosen.add(meant.images[0])
    if not chosen:
        raise ValueError(f"{file}: names no pair")
    return replace(pairs, pairs=tuple(pairs.pairs[number] for number in sorted(chosen)))


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs with the objects in them.

    Attributes:
        pairs: of the split.
        files: the same pairs, ready to be read.
        objects: of each pair, in pixels of its images.
        classes: their names.
    """

    pairs: PairSet
    files: Sequence[FilePair]
    objects: Sequence[Objects]
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        pairs: PairSet,
        boxes: str | Path,
        classes: Sequence[str] | None = None,
        reading: Mapping[str, Any] | None = None,
        split: str | Path | None = None,
    ) -> "LabelledPairs":
        """Reads the objects of pairs.

        Args:
            pairs: that were found.
            boxes: see :func:`~mambadfuse.detection.box_files.read_objects`.
            classes: see there.
            reading: how images are read, arguments of :func:`~mambadfuse.data.training_pairs.find_training_pairs`;
                percentiles are those of all pairs that were found, so that every split of them is read alike.
            split: see :func:`split_of`; None for all pairs.

        Raises:
            ValueError, OSError: as these three.
        """
        how = _over_all(pairs, reading or {})
        if split:
            pairs = split_of(pairs, split)
        files = find_training_pairs(pairs, **how)
        return cls(pairs, files, *read_objects(boxes, _image_infos(pairs, files), classes))

    @property
    def image_infos(self) -> list[ImageInfo]:
        """Names and sizes of the images."""
        return _image_infos(self.pairs, self.files)

    def as_input(self, source: str | Path, size: Size | None = None) -> DetectionSet:
        """The pairs as one input of a detector shows them.

        Args:
            source: a key of :data:`mambadfuse.detection.inputs.INPUTS`, or a folder of fused images, one for each pair;
                a ``Path`` is a folder, whatever its name.
            size: (H, W), multiples of 8, to which all images are resized, and the boxes with them; None keeps the size
                that all images share.

        Raises:
            ValueError: there is no such input; the images differ in size, or their size is no multiple of 8, and no
                other is given; a pair has no fused image, or one of another size.
            ImageError: an image cannot be read.
            MemoryError: the images take more memory than is free.
        """
        height, width = size or _common_size(self.files)
        rule = source if isinstance(source, str) and source in INPUTS else None
        fused = [] if rule else _fused_files(self.pairs, source)
        images, scaled = np.empty(0, np.uint8), []
        for number, (file, own) in enumerate(zip(self.files, self.objects, strict=True)):
            pixels = input_image(rule, *file.pictures()) if rule else _read(fused[number], file)[None]
            tall, wide = pixels.shape[1:]
            if not number:
                images = _no_images_yet(len(self.files), len(pixels), height, width)
            images[number] = _resized(pixels, height, width, file.name)
            scale = np.array([width / wide, height / tall, width / wide, height / tall])
            scaled.append(replace(own, boxes=own.boxes * scale))
        return DetectionSet(images, scaled, self.classes)


def _over_all(pairs: PairSet, reading: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same arguments with the values of all pairs in place of percentiles, unless these are of each image."""
    if reading.get("stretch_each"):
        return reading
    options = {name: x for name, x in reading.items() if name in ("stretch", "stretch_b", "alpha")}
    whole = PairReading.of(**options).over(pairs.pairs)
    return {**reading, "stretch": whole.stretch, "stretch_b": whole.stretch_b}


def _image_infos(pairs: PairSet, files: Sequence[FilePair]) -> list[ImageInfo]:
    """Names and sizes of the images of these pairs."""
    return [
        ImageInfo.of(pair, file.shape[1], file.shape[0])
        for pair, file in zip(pairs.pairs, files, strict=True)
    ]


def _common_size(files: Sequence[FilePair]) -> Size:
    height, width = files[0].shape
    if other := next((file for file in files if file.shape != (height, width)), None):
        raise ValueError(
            f"{files[0].name} has {width}x{height} pixels, {other.name} {other.shape[1]}x{other.shape[0]}: "
            "give the size that all are resized to"
        )
    if height % MULTIPLE or width % MULTIPLE:
        raise ValueError(
            f"the images have {width}x{height} pixels: give a size of multiples of {MULTIPLE} that they are resized to"
        )
    return height, width


def _fused_files(pairs: PairSet, folder: str | Path) -> list[Path]:
    if not Path(folder).is_dir():
        raise ValueError(
            f"unknown input {str(folder)!r}: choose one of {', '.join(INPUTS)}, or a folder of fused images"
        )
    found = results_in(Path(folder), pairs.pairs)
    if missing := [pair.name for pair in pairs.pairs if pair.name not in found]:
        raise ValueError(
            f"{folder}: has no fused image of {missing[0]} ({len(missing)} of {len(pairs.pairs)} are missing)"
        )
    return [found[pair.name] for pair in pairs.pairs]


def _no_images_yet(count: int, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    work = f"holding {count} images of {width}x{height} pixels"
    require_free(
        count * channels * height * width, work, "give a smaller size (--size), or fewer pairs (--split)"
    )
    return np.empty((count, channels, height, width), np.uint8)


def _read(path: Path, pair: FilePair) -> NDArray[np.uint8]:
    pixels = luma_levels(read_image(path))
    if pixels.shape != pair.shape:
        sizes = [f"{width}x{height}" for height, width in (pixels.shape, pair.shape)]
        raise ValueError(f"{path}: has {sizes[0]} pixels, its pair {sizes[1]}")
    return pixels


def _resized(pixels: NDArray[np.uint8], height: int, width: int, name: str) -> NDArray[np.uint8]:
    if pixels.shape[1:] == (height, width):
        return pixels
    try:
        resized = resize_to(pixels[..., None].astype(np.float32) / 255, height, width)[..., 0]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return np.rint(255 * resized).clip(0, 255).astype(np.uint8)
