"""Boxes in files, YOLO's and COCO's: what is in each image, or what a detector of one's own found there."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mambadfuse.data.pairs import Pair
from mambadfuse.detection.boxes import Detections, Objects, as_boxes
from mambadfuse.files import require_no_special

_ROUNDING = 1.0  # pixels by which a box may reach outside its image; it is cut there


@dataclass(frozen=True)
class ImageInfo:
    """What a file of boxes is told of an image.

    Attributes:
        names: without suffix, by any of which the file may call it; the first is the one for messages.
        width: in pixels.
        height: in pixels.
    """

    names: tuple[str, ...]
    width: int
    height: int

    @classmethod
    def of(cls, pair: Pair, width: int, height: int) -> "ImageInfo":
        """The image of a pair: it may go by the name of the pair, or by that of either of its files."""
        return cls(tuple(dict.fromkeys((pair.name, pair.a.stem, pair.b.stem))), width, height)


@dataclass(frozen=True)
class _Row:
    """A box as a file has it, in pixels, with its place in the file for messages."""

    place: str
    label: int
    box: tuple[float, float, float, float]
    score: float = 1.0
    crowd: bool = False


def read_objects(
    path: str | Path, images: Sequence[ImageInfo], classes: Sequence[str] | None = None
) -> tuple[list[Objects], tuple[str, ...]]:
    """The objects of each image, and the names of the classes.

    A folder holds YOLO's files: ``NAME.txt`` for each image, in each line class, centre x, centre y, width and height,
    the last four as shares of the image; a file without lines is an image without objects. The names of the classes
    are given, or stand in ``classes.txt`` in the folder or beside it, one a line. A file is COCO's JSON, which may mark
    crowds.

    Args:
        path: of the folder or file.
        images: that the boxes are of.
        classes: the names, for YOLO.

    Raises:
        ValueError: an image has no boxes in there or another size; a box reaches outside its image, is empty or of an
            unknown class; or the file cannot be understood. The message names file and line, or entry.
        OSError: a file is missing or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        names = tuple(classes) if classes else _class_names(path)
        rows = [_yolo_rows(_yolo_file(path, one), one, len(names), scored=False) for one in images]
    else:
        content = _json(path, dict)
        names, label_of = _coco_classes(path, content)
        by_id = _coco_images(path, content, images)
        rows = _coco_rows(path, _entries(path, content, "annotations"), by_id, label_of, len(images))
    return [_objects(own, one, names) for own, one in zip(rows, images, strict=True)], names


def read_detections(
    path: str | Path, boxes: str | Path, images: Sequence[ImageInfo], classes: Sequence[str]
) -> list[Detections]:
    """What a detector of one's own found in each image.

    A folder holds YOLO's files, with the confidence as sixth number of a line; an image without a file is one where
    nothing was found. A file holds COCO's results, a list of ``image_id``, ``category_id``, ``bbox`` and ``score``; ids
    are those of the COCO file of the objects or, where the objects are YOLO's, names of images and indices of classes.

    Args:
        path: of the folder or file.
        boxes: the folder or file of the objects.
        images: that the boxes are of.
        classes: the names, from :func:`read_objects`.

    Raises:
        ValueError: an image or class is unknown, or the file cannot be understood.
        OSError: a file is missing or cannot be read.
    """
    path, boxes = Path(path), Path(boxes)
    if path.is_dir():
        files = [_found_file(path, one) for one in images]
        if not any(files):
            raise ValueError(f"{path}: has no detections of these images, such as {images[0].names[0]}.txt")
        rows = [
            _yolo_rows(file, one, len(classes), scored=True) if file else []
            for file, one in zip(files, images, strict=True)
        ]
    else:
        entries = _json(path, list)
        if boxes.is_dir():
            by_id: Mapping[Any, int | None] = {name: n for n, one in enumerate(images) for name in one.names}
            label_of: Mapping[Any, int] = {label: label for label in range(len(classes))}
        else:
            content = _json(boxes, dict)
            _, label_of = _coco_classes(boxes, content)
            by_id = _coco_images(boxes, content, images)
        rows = _coco_rows(path, entries, by_id, label_of, len(images), scored=True)
    return [
        Detections(
            as_boxes([row.box for row in own]),
            np.array([row.label for row in own], dtype=np.int64),
            np.array([row.score for row in own], dtype=np.float64),
        )
        for own in rows
    ]


def _objects(rows: Sequence[_Row], image: ImageInfo, classes: Sequence[str]) -> Objects:
    limits = np.array([image.width, image.height, image.width, image.height])
    boxes = as_boxes([row.box for row in rows])
    for row, box in zip(rows, boxes, strict=True):
        said = f"{row.place}: the box of a {classes[row.label]}, {box.round(1).tolist()}"
        if (box < -_ROUNDING).any() or (box > limits + _ROUNDING).any():
            raise ValueError(f"{said}, reaches outside the image of {image.width}x{image.height} pixels")
        if (np.minimum(box, limits)[2:] <= box.clip(0)[:2]).any():
            raise ValueError(
                f"{said}, is empty: expected left, top, right, bottom with left < right, top < bottom"
            )
    labels = np.array([row.label for row in rows], dtype=np.int64)
    return Objects(boxes.clip(0, limits), labels, crowd=np.array([row.crowd for row in rows], dtype=bool))


def _class_names(folder: Path) -> tuple[str, ...]:
    for file in (folder / "classes.txt", folder.parent / "classes.txt"):
        if file.is_file():
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
            if names := tuple(filter(None, lines)):
                return names
    raise ValueError(
        f"{folder}: has no classes.txt, in it or beside it: name the classes, in the order of their numbers"
    )


def _yolo_file(folder: Path, image: ImageInfo) -> Path:
    file = _found_file(folder, image)
    if file is None:
        raise ValueError(
            f"{folder}: has no boxes for {image.names[0]}: expected {image.names[0]}.txt, "
            "which is an empty file if the image has no objects"
        )
    return file


def _found_file(folder: Path, image: ImageInfo) -> Path | None:
    return next((file for name in image.names if (file := folder / f"{name}.txt").is_file()), None)


def _yolo_rows(file: Path, image: ImageInfo, classes: int, scored: bool) -> list[_Row]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        place = f"{file}: line {number}"
        words = "class, centre x, centre y, width, height" + (", confidence" if scored else "")
        try:
            label, x, y, wide, tall, *more = map(float, line.split())
        except ValueError:
            raise ValueError(f"{place}: expected {words}, found {line!r}") from None
        if len(more) != scored or not all(map(math.isfinite, (x, y, wide, tall, *more))):
            raise ValueError(f"{place}: expected {words}, found {line!r}")
        if label not in range(classes):
            raise ValueError(f"{place}: class {label:g} is unknown, there are {classes}: 0 to {classes - 1}")
        if max(x, y, wide, tall) > 2:
            raise ValueError(
                f"{place}: expected shares of the image in [0, 1], found {line!r}; are these pixels?"
            )
        box = (
            (x - wide / 2) * image.width,
            (y - tall / 2) * image.height,
            (x + wide / 2) * image.width,
            (y + tall / 2) * image.height,
        )
        rows.append(_Row(place, int(label), box, score=more[0] if scored else 1.0))
    return rows


def _json(file: Path, kind: type) -> Any:
    require_no_special(file)
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: is no JSON: {error}") from None
    if not isinstance(content, kind):
        wanted = (
            "COCO's dictionary of images, annotations and categories"
            if kind is dict
            else "COCO's list of results"
        )
        raise ValueError(f"{file}: expected {wanted}, found a {type(content).__name__}")
    return content


def _entries(file: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ValueError(f"{file}: expected a list of dictionaries under {key!r}")
    return entries


def _coco_classes(file: Path, content: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[Any, int]]:
    """The names, and the label of each category id."""
    categories = _entries(file, content, "categories")
    try:
        ordered = sorted(categories, key=lambda one: one["id"])
        return tuple(str(one["name"]) for one in ordered), {one["id"]: n for n, one in enumerate(ordered)}
    except (KeyError, TypeError):
        raise ValueError(f"{file}: expected categories with id and name") from None


def _coco_images(
    file: Path, content: Mapping[str, Any], images: Sequence[ImageInfo]
) -> dict[Any, int | None]:
    """For each image id, which of the images it is; None for others, as those of another split."""
    places = {name: n for n, one in enumerate(images) for name in one.names}
    found: dict[Any, int | None] = {}
    for entry in _entries(file, content, "images"):
        if not {"id", "file_name"} <= entry.keys() or not _is_id(entry["id"]):
            raise ValueError(f"{file}: expected images with id and file_name, found {entry}")
        path = PurePosixPath(str(entry["file_name"]).replace("\\", "/")).with_suffix("")
        n = found[entry["id"]] = places.get(str(path), places.get(path.name))
        if n is None:
            continue
        size, own = (entry.get("width"), entry.get("height")), (images[n].width, images[n].height)
        if size != (None, None) and size != own:
            raise ValueError(
                f"{file}: says that {entry['file_name']} has {size[0]}x{size[1]} pixels, "
                f"the image has {own[0]}x{own[1]}"
            )
    listed = set(found.values())
    missing = [one.names[0] for n, one in enumerate(images) if n not in listed]
    if missing:
        raise ValueError(
            f"{file}: lists no image {missing[0]}: expected it under 'images', also without objects"
        )
    return found


def _is_id(x: Any) -> bool:
    return isinstance(x, int | str)


def _coco_rows(
    file: Path,
    entries: Sequence[Any],
    by_id: Mapping[Any, int | None],
    label_of: Mapping[Any, int],
    count: int,
    scored: bool = False,
) -> list[list[_Row]]:
    rows: list[list[_Row]] = [[] for _ in range(count)]
    for number, entry in enumerate(entries, 1):
        place = f"{file}: entry {number}"
        try:
            image, category = entry["image_id"], entry["category_id"]
            left, top, wide, tall = map(float, entry["bbox"])
            score = float(entry["score"]) if scored else 1.0
            if not (_is_id(image) and _is_id(category) and math.isfinite(left + top + wide + tall + score)):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            wanted = "image_id, category_id, bbox of four numbers" + (" and score" if scored else "")
            raise ValueError(f"{place}: expected {wanted}, found {entry}") from None
        if image not in by_id:
            raise ValueError(f"{place}: image_id {image!r} is unknown")
        if category not in label_of:
            raise ValueError(f"{place}: category_id {category!r} is unknown")
        if (n := by_id[image]) is not None:
            crowd = not scored and bool(entry.get("iscrowd"))
            box = (left, top, left + wide, top + tall)
            rows[n].append(_Row(place, label_of[category], box, score, crowd))
    return rows
