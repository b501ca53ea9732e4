"""Boxes in files: YOLO's and COCO's mean the same, and what is wrong with one is said with its place."""

import json

import numpy as np
import pytest

from mambadfuse.detection.box_files import ImageInfo, read_detections, read_objects

IMAGES = [ImageInfo(("1", "IR_1", "VIS_1"), 200, 100), ImageInfo(("night/2", "2"), 100, 100)]
BOXES = [[20, 10, 60, 50], [100, 0, 200, 100]]


@pytest.fixture
def yolo(tmp_path):
    folder = tmp_path / "labels"
    (folder / "night").mkdir(parents=True)
    (folder / "VIS_1.txt").write_text("1 0.2 0.3 0.2 0.4\n\n0 0.75 0.5 0.5 1\n")
    (folder / "night" / "2.txt").write_text("")
    (tmp_path / "classes.txt").write_text("person\ncar\n")
    return folder


def coco():
    return {
        "images": [
            {"id": 7, "file_name": "VIS_1.png", "width": 200, "height": 100},
            {"id": 8, "file_name": "images/night/2.jpg", "width": 100, "height": 100},
            {"id": 9, "file_name": "3.png", "width": 5, "height": 5},
        ],
        "categories": [{"id": 4, "name": "car"}, {"id": 2, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 4, "bbox": [20, 10, 40, 40], "iscrowd": 0},
            {"image_id": 7, "category_id": 2, "bbox": [100, 0, 100, 100], "iscrowd": 1},
            {"image_id": 9, "category_id": 2, "bbox": [0, 0, 3, 3]},
        ],
    }


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_yolo_and_coco_say_the_same(yolo, tmp_path):
    for path in (yolo, written(tmp_path / "coco.json", coco())):
        (first, second), classes = read_objects(path, IMAGES)
        assert classes == ("person", "car")
        np.testing.assert_allclose(first.boxes, BOXES)
        assert first.labels.tolist() == [1, 0]
        assert second.boxes.shape == (0, 4)
    assert first.crowd.tolist() == first.ignored.tolist() == [False, True], "COCO's crowd is ignored"


def test_classes_of_yolo_are_named_or_read(yolo):
    assert read_objects(yolo, IMAGES, ["man", "van"])[1] == ("man", "van")
    (yolo.parent / "classes.txt").rename(yolo / "classes.txt")
    assert read_objects(yolo, IMAGES)[1] == ("person", "car")
    (yolo / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"labels: has no classes.txt, in it or beside it: name the classes"):
        read_objects(yolo, IMAGES)


def test_a_text_as_editors_on_windows_write_it_is_read(yolo):
    for file in (yolo.parent / "classes.txt", yolo / "VIS_1.txt"):
        file.write_text(file.read_text(), encoding="utf-8-sig", newline="\r\n")
    (first, _), classes = read_objects(yolo, IMAGES)
    assert classes == ("person", "car")
    np.testing.assert_allclose(first.boxes, BOXES)


@pytest.mark.parametrize("name", ["classes.txt", "labels/VIS_1.txt"])
def test_a_text_that_is_not_utf8_is_named(yolo, name):
    (yolo.parent / name).write_bytes(b"\xff\xfe1\0")
    with pytest.raises(ValueError, match=f"{name}: is not a text in UTF-8"):
        read_objects(yolo, IMAGES)


def test_a_box_that_reaches_a_pixel_outside_is_cut(yolo):
    (yolo / "VIS_1.txt").write_text("0 0.0275 0.5 0.06 1.01\n")  # left at -0.5, top at -0.5 pixels
    (first, _), _ = read_objects(yolo, IMAGES)
    np.testing.assert_allclose(first.boxes, [[0, 0, 11.5, 100]])


@pytest.mark.parametrize("text", ["person\n\ncar\n", "\nperson\ncar", "\n"])
def test_an_empty_line_names_no_class(yolo, text):
    (yolo.parent / "classes.txt").write_text(text)
    message = (
        "has no classes.txt" if text == "\n" else r"classes\.txt: line [12] is empty, expected the name of"
    )
    with pytest.raises(ValueError, match=message):
        read_objects(yolo, IMAGES)
    (yolo.parent / "classes.txt").write_text("person\ncar\n\n \n")
    assert read_objects(yolo, IMAGES)[1] == ("person", "car"), "what follows the last one is nothing"


def test_two_classes_of_one_name_are_refused(yolo, tmp_path):
    with pytest.raises(ValueError, match="labels: two of its classes are called car"):
        read_objects(yolo, IMAGES, ["car", "car"])
    content = coco()
    content["categories"][1]["name"] = "car"
    with pytest.raises(ValueError, match="two of its classes are called car"):
        read_objects(written(tmp_path / "coco.json", content), IMAGES)


STREETS = [ImageInfo(("day/1", "1"), 100, 100), ImageInfo(("night/1", "1"), 100, 100)]


def streets(*names):
    """A COCO file whose images of these names have one object more each."""
    return {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"image_id": n, "category_id": 1, "bbox": [0, 0, 9, 9]}
            for n in range(len(names))
            for _ in range(n + 1)
        ],
    }


@pytest.mark.parametrize(
    ("images", "names", "counts"),
    [
        (STREETS, ["night/1.png", "day/1.png"], [2, 1]),
        (STREETS, ["x/day/1.png", "x/night/1.png", "x/dusk/1.png"], [1, 2]),
        (STREETS[1:], ["night/1.png", "day/1.png"], [1]),  # the other one is of another split
        (STREETS[1:], ["x/day/1.png", "x/night/1.png"], [2]),
        (STREETS[1:], ["vi/1.png"], [1]),
        ([ImageInfo(("1", "IR_1", "VIS_1"), 9, 9)], ["old/1.png", "1.png"], [2]),
    ],
)
def test_an_image_has_the_boxes_of_the_name_that_fits_best(tmp_path, images, names, counts):
    found, _ = read_objects(written(tmp_path / "coco.json", streets(*names)), images)
    assert [len(one.labels) for one in found] == counts


@pytest.mark.parametrize(
    ("images", "names", "message"),
    [
        (STREETS[1:], ["a/1.png", "b/1.png"], r"lists night/1 twice, as a/1\.png and b/1\.png"),
        (STREETS, ["1.png", "night/1.png"], "lists no image day/1"),
        (IMAGES[:1], ["IR_1.png", "VIS_1.png"], r"lists 1 twice, as IR_1\.png and VIS_1\.png"),
    ],
)
def test_a_name_that_could_be_of_several_images_is_no_name(tmp_path, images, names, message):
    with pytest.raises(ValueError, match=message):
        read_objects(written(tmp_path / "coco.json", streets(*names)), images)


def test_two_images_do_not_share_a_file_or_a_detection(yolo, tmp_path):
    (yolo / "1.txt").write_text("")
    message = r"labels/1\.txt: could be of day/1 or night/1: expected a file of the whole name of each"
    with pytest.raises(ValueError, match=message):
        read_objects(yolo, STREETS)
    with pytest.raises(ValueError, match=message):
        read_detections(yolo, yolo, STREETS, ("person", "car"))
    results = [{"image_id": "1", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]
    with pytest.raises(ValueError, match="image_id '1' is unknown: expected one of 'day/1', 'night/1'"):
        read_detections(written(tmp_path / "r.json", results), yolo, STREETS, ("person", "car"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", "line 1: expected class, centre x, centre y, width, height, found '0 0.5 0.5 0.5'"),
        ("0 0.5 0.5 0.5 0.5 0.9", "line 1: expected class, centre x, centre y, width, height, found"),
        ("0 0.5 x 0.5 0.5", "line 1: expected class"),
        ("0 0.5 nan 0.5 0.5", "line 1: expected class"),
        ("2 0.5 0.5 0.1 0.1", "line 1: class 2 is unknown, there are 2: 0 to 1"),
        ("0.5 0.5 0.5 0.1 0.1", "line 1: class 0.5 is unknown"),
        ("0 100 50 20 20", "are these pixels"),
        ("1 0.9 0.5 0.4 0.4", r"line 1: the box of a car, .*, reaches outside the image of 200x100 pixels"),
        ("1 0.5 0.5 0 0.4", "line 1: the box of a car, .*, is empty"),
    ],
)
def test_lines_of_yolo_that_are_wrong(yolo, line, message):
    (yolo / "VIS_1.txt").write_text(line)
    with pytest.raises(ValueError, match=message):
        read_objects(yolo, IMAGES)


def test_missing_boxes(yolo):
    (yolo / "night" / "2.txt").unlink()
    expected = (
        r"labels: has no boxes for night/2: expected night/2.txt, which is an empty file if the image has no"
    )
    with pytest.raises(ValueError, match=expected):
        read_objects(yolo, IMAGES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"].pop(0), "lists no image 1: expected it under 'images'"),
        (lambda c: c["images"][0].update(width=640), "VIS_1.png has 640x100 pixels, the image has 200x100"),
        (lambda c: c["images"][0].update(file_name=""), "lists no image 1: expected it under 'images'"),
        (lambda c: c["images"][0].pop("file_name"), "expected images with id and file_name"),
        (lambda c: c["images"][0].update(id=[7]), "expected images with id and file_name"),
        (lambda c: c["images"][2].update(id=7), "two images have the id 7"),
        (lambda c: c["categories"][1].update(id=4), "two categories have the id 4"),
        (lambda c: c["annotations"][0].update(image_id=[7]), "entry 1: expected image_id"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, float("nan")]), "entry 1: expected .* bbox"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3, 10**400]), "entry 1: expected .* bbox"),
        (lambda c: c.pop("annotations"), "expected a list of dictionaries under 'annotations'"),
        (
            lambda c: c["annotations"][0].update(category_id=5),
            "entry 1: category_id 5 is unknown: expected one of 2, 4",
        ),
        (
            lambda c: c["annotations"][1].update(image_id=5),
            "entry 2: image_id 5 is unknown: expected one of 7, 8, 9",
        ),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "entry 1: expected .* bbox of four numbers"),
        (lambda c: c["annotations"][0].update(bbox=[190, 0, 20, 5]), "entry 1: .* reaches outside the image"),
        (lambda c: c["annotations"][0].update(bbox=[9, 9, 0, 5]), "entry 1: .* is empty"),
        (lambda c: c["categories"][0].pop("name"), "expected categories with id and name"),
    ],
)
def test_coco_files_that_are_wrong(tmp_path, change, message):
    content = coco()
    change(content)
    with pytest.raises(ValueError, match=message):
        read_objects(written(tmp_path / "coco.json", content), IMAGES)


def test_files_that_are_no_boxes(tmp_path):
    for text in ("{", "[" * 100_000):
        with pytest.raises(ValueError, match="is no JSON"):
            read_objects(written(tmp_path / "coco.json", text), IMAGES)
    with pytest.raises(ValueError, match=r"expected COCO's dictionary of images, .*, found a list"):
        read_objects(written(tmp_path / "coco.json", []), IMAGES)
    with pytest.raises(FileNotFoundError):
        read_objects(tmp_path / "none.json", IMAGES)


def test_detections_of_any_detector(yolo, tmp_path):
    found = tmp_path / "found"
    found.mkdir()
    (found / "1.txt").write_text("1 0.2 0.3 0.2 0.4 0.75\n")
    truth = written(tmp_path / "coco.json", coco())
    entry = {"bbox": [20, 10, 40, 40], "score": 0.75}
    by_id = written(tmp_path / "ids.json", [{**entry, "image_id": 7, "category_id": 4}])
    by_name = written(tmp_path / "names.json", [{**entry, "image_id": "IR_1", "category_id": 1}])
    for path, boxes in ((found, yolo), (found, truth), (by_id, truth), (by_name, yolo)):
        first, second = read_detections(path, boxes, IMAGES, ("person", "car"))
        np.testing.assert_allclose(first.boxes, BOXES[:1])
        assert (first.labels.tolist(), first.scores.tolist()) == ([1], [0.75])
        assert not len(second.labels)


def test_detections_that_are_wrong(yolo, tmp_path):
    found = tmp_path / "found"
    found.mkdir()
    with pytest.raises(ValueError, match=r"found: has no detections of these images, such as 1.txt"):
        read_detections(found, yolo, IMAGES, ("person", "car"))
    (found / "1.txt").write_text("1 0.2 0.3 0.2 0.4\n")
    with pytest.raises(ValueError, match=r"line 1: expected class, .*, confidence, found"):
        read_detections(found, yolo, IMAGES, ("person", "car"))
    results = written(tmp_path / "r.json", [{"image_id": 7, "category_id": 4, "bbox": [0, 0, 1, 1]}])
    with pytest.raises(ValueError, match=r"entry 1: expected .* and score"):
        read_detections(results, written(tmp_path / "coco.json", coco()), IMAGES, ("person", "car"))
