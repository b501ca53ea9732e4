"""Boxes in files, YOLO's and COCO's: what is in each image, or what any detector found there."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mambadfuse.data.pairs import Pair
from mambadfuse.detection.boxes import Detections, Objects, as_boxes
from mambadfuse.detection.names import by_name, match, names_of
from mambadfuse.files import require_no_special

_T = TypeVar("_T")
_ROUNDING = 1.0  # pixels by which a box may reach outside its image; it is cut there


@dataclass(frozen=True)
class ImageInfo:
    """What has to be known of an image to find its boxes in a file.

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
        """The image of a pair."""
        return cls(names_of(pair), width, height)


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
        ValueError: an image has no boxes in there, those of several files, or another size; a box reaches outside its
            image, is empty or of an unknown class; two classes have one name; or the file cannot be understood. The
            message names file and line, or entry.
        OSError: a file is missing or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        names = tuple(classes) if classes else _class_names(path)
        rows = [
            _yolo_rows(_required(file, path, one), one, len(names), scored=False)
            for file, one in zip(_yolo_files(path, images), images, strict=True)
        ]
    else:
        content = _json(path, dict)
        names, label_of = _coco_classes(path, content)
        by_id = _coco_images(path, content, images)
        rows = _coco_rows(path, _entries(path, content, "annotations"), by_id, label_of, len(images))
    if twice := _first_twice(names):
        raise ValueError(f"{path}: two of its classes are called {twice}")
    return [_objects(own, one, names) for own, one in zip(rows, images, strict=True)], names


def read_detections(
    path: str | Path, boxes: str | Path, images: Sequence[ImageInfo], classes: Sequence[str]
) -> list[Detections]:
    """What a detector found in each image, be it the kit's or another.

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
        files = _yolo_files(path, images)
        if not any(files):
            raise ValueError(f"{path}: has no detections of these images, such as {images[0].names[0]}.txt")
        rows = [
            _yolo_rows(file, one, len(classes), scored=True) if file else []
            for file, one in zip(files, images, strict=True)
        ]
    else:
        entries = _json(path, list)
        if boxes.is_dir():
            known = by_name([one.names for one in images])
            by_id: Mapping[Any, int | None] = {
                name: found[0] for name, found in known.items() if len(found) == 1
            }
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
            names = [line.strip() for line in text_lines(file)]
            while names and not names[-1]:
                names.pop()
            if "" in names:
                number = names.index("")
                raise ValueError(f"{file}: line {number + 1} is empty, expected the name of class {number}")
            if names:
                return tuple(names)
    raise ValueError(
        f"{folder}: has no classes.txt, in it or beside it: name the classes, in the order of their numbers"
    )


def _required(file: Path | None, folder: Path, image: ImageInfo) -> Path:
    if file is None:
        raise ValueError(
            f"{folder}: has no boxes for {image.names[0]}: expected {image.names[0]}.txt, "
            "which is an empty file if the image has no objects"
        )
    return file


def _yolo_files(folder: Path, images: Sequence[ImageInfo]) -> list[Path | None]:
    """The file of each image, None where there is none."""
    files = [
        next((file for name in one.names if (file := folder / f"{name}.txt").is_file()), None)
        for one in images
    ]
    if twice := _first_twice(filter(None, files)):
        names = [one.names[0] for file, one in zip(files, images, strict=True) if file == twice]
        raise ValueError(
            f"{twice}: could be of {' or '.join(names[:2])}: expected a file of the whole name of each"
        )
    return files


def _first_twice(things: Iterable[_T]) -> _T | None:
    """The first thing that is there more than once; None if there is none."""
    return next((one for one, count in Counter(things).items() if count > 1), None)


def _yolo_rows(file: Path, image: ImageInfo, classes: int, scored: bool) -> list[_Row]:
    rows = []
    for number, line in enumerate(text_lines(file), 1):
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


def text_lines(file: Path) -> list[str]:
    """The lines of a text in UTF-8, without the mark that some editors put at its start.

    Raises:
        ValueError: the file is not UTF-8; the message names it.
        OSError: it is missing or cannot be read.
    """
    require_no_special(file)
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: is not a text in UTF-8 ({error.reason})") from error


def _json(file: Path, kind: type) -> Any:
    require_no_special(file)
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
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
        names = tuple(str(one["name"]) for one in ordered)
        label_of = {one["id"]: n for n, one in enumerate(ordered)}
    except (KeyError, TypeError):
        raise ValueError(f"{file}: expected categories with id and name") from None
    if twice := _first_twice(repr(one["id"]) for one in ordered):
        raise ValueError(f"{file}: two categories have the id {twice}")
    return names, label_of


def _coco_images(
    file: Path, content: Mapping[str, Any], images: Sequence[ImageInfo]
) -> dict[Any, int | None]:
    """For each image id, which of the images it is; None for others, as those of another split."""
    known = by_name([one.names for one in images])
    found: dict[Any, int | None] = {}
    fitting: dict[int, list[tuple[tuple[int, int], dict[str, Any]]]] = defaultdict(list)
    for entry in _entries(file, content, "images"):
        if not {"id", "file_name"} <= entry.keys() or not _is_id(entry["id"]):
            raise ValueError(f"{file}: expected images with id and file_name, found {entry}")
        if entry["id"] in found:
            raise ValueError(f"{file}: two images have the id {entry['id']!r}")
        found[entry["id"]] = None
        meant = match(str(entry["file_name"]), known)
        if meant and len(meant.images) == 1:
            fitting[meant.images[0]].append((meant.fit, entry))
    for n, one in enumerate(images):
        entry = _entry_of(file, one, fitting[n])
        size = entry.get("width"), entry.get("height")
        if size not in ((None, None), (one.width, one.height)):
            raise ValueError(
                f"{file}: says that {entry['file_name']} has {size[0]}x{size[1]} pixels, "
                f"the image has {one.width}x{one.height}"
            )
        found[entry["id"]] = n
    return found


def _entry_of(
    file: Path, image: ImageInfo, fitting: Sequence[tuple[tuple[int, int], dict[str, Any]]]
) -> dict[str, Any]:
    """The entry whose name fits the image best."""
    best = max((fit for fit, _ in fitting), default=None)
    entries = [entry for fit, entry in fitting if fit == best]
    name = image.names[0]
    if not entries:
        raise ValueError(f"{file}: lists no image {name}: expected it under 'images', also without objects")
    if len(entries) > 1:
        names = " and ".join(str(entry["file_name"]) for entry in entries[:2])
        raise ValueError(f"{file}: lists {name} twice, as {names}: expected each image once")
    return entries[0]


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
        except (KeyError, TypeError, ValueError, OverflowError):
            wanted = "image_id, category_id, bbox of four numbers" + (" and score" if scored else "")
            raise ValueError(f"{place}: expected {wanted}, found {entry}") from None
        if image not in by_id:
            raise ValueError(f"{place}: image_id {image!r} is unknown: expected one of {_some(by_id)}")
        if category not in label_of:
            raise ValueError(
                f"{place}: category_id {category!r} is unknown: expected one of {_some(label_of)}"
            )
        if (n := by_id[image]) is not None:
            crowd = not scored and bool(entry.get("iscrowd"))
            box = (left, top, left + wide, top + tall)
            rows[n].append(_Row(place, label_of[category], box, score, crowd))
    return rows


def _some(ids: Iterable[Any]) -> str:
    """The first few of these ids, for a message."""
    shown = [repr(one) for one in islice(ids, 6)]
    return ", ".join(shown[:5] + ["..."] * (len(shown) > 5))
