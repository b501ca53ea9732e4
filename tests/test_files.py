"""Files: written whole or not at all, and never over a source, whatever the path to it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambadfuse.files import atomic_write, made_folder, require_apart, require_report, require_writable
from mambadfuse.plotting import png

linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has such a folder")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The files ir/1.png and vi/1.png."""
    monkeypatch.chdir(tmp_path)
    for side in ("ir", "vi"):
        Path(side).mkdir()
        Path(side, "1.png").write_bytes(side.encode())
    return tmp_path


@pytest.mark.parametrize("way", ["itself", "absolute", "dots", "link", "hard link", "linked folder"])
def test_a_source_is_recognised_by_whatever_path(place, way):
    source = Path("ir/1.png")
    if way == "link":
        Path("other.png").symlink_to(source)
    if way == "hard link":
        os.link(source, "other.png")
    if way == "linked folder":
        Path("other").symlink_to("ir")
    output = {
        "itself": source,
        "absolute": source.absolute(),
        "dots": "vi/../ir/1.png",
        "link": "other.png",
        "hard link": "other.png",
        "linked folder": "other/1.png",
    }[way]
    with pytest.raises(ValueError, match="would replace its own source"):
        require_apart(["new.png", output], ["vi/1.png", source])


def test_a_source_that_is_a_link_is_what_it_leads_to(place):
    Path("link.png").symlink_to("vi/1.png")
    with pytest.raises(ValueError, match=r"vi.1\.png: would replace its own source"):
        require_apart(["vi/1.png"], ["link.png"])


@pytest.mark.parametrize("output", ["ir", "ir/new.png", "ir/deep/er/new.png", "linked/new.png", "vi/../ir/x"])
def test_a_folder_of_sources_takes_no_output(place, output):
    Path("linked").symlink_to("ir")
    with pytest.raises(ValueError, match="lies in ir, a folder of sources"):
        require_apart([output], [], ["vi", "ir"])


def test_outputs_elsewhere_pass_even_if_they_exist_or_only_look_alike(place):
    Path("fused.png").write_bytes(b"old")
    require_apart(["fused.png", "irx/1.png", "IR2/1.png", "1.png"], ["ir/1.png", "vi/1.png"], ["ir", "vi"])


def test_two_outputs_need_two_names(place):
    with pytest.raises(ValueError, match="two outputs would have this name"):
        require_apart(["s.png", "ir/../s.png"], [])


def test_an_error_leaves_the_old_file_and_nothing_else(place):
    def fails():
        with atomic_write(Path("vi/1.png")) as file:
            file.write(b"half")
            raise OSError("full")

    with pytest.raises(OSError, match=r"1\.png: cannot be written"):
        fails()
    assert [path.read_bytes() for path in Path("vi").iterdir()] == [b"vi"]


@pytest.mark.parametrize("output", ["new.png", "new/deep/er/new.png", "ir", "ir/1.png", "linked/new.png"])
def test_where_files_can_be_made_nothing_is_left_behind(place, output):
    Path("linked").symlink_to("ir")
    before = sorted(Path().rglob("*"))
    require_writable([Path(output)])
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("output", "found", "why"),
    [
        ("ir/1.png/new.png", "ir/1.png", "Not a directory"),
        ("ir/1.png/new/new.png", "ir/1.png", "Not a directory"),
        ("n" * 300 + ".png", "n" * 300 + ".png", "File name too long"),
        pytest.param("/proc/new.png", "/proc", "No such file", marks=linux),
    ],
)
def test_where_no_file_can_be_made_is_said(place, output, found, why):
    with pytest.raises(
        OSError, match=rf"^{output}: cannot be written: expected a place .*{found}, which .*{why}"
    ):
        require_writable([Path("new.png"), Path(output)])


def test_a_folder_that_takes_no_file_is_said(place):
    os.chmod("ir", 0o500)
    if os.access("ir", os.W_OK):
        pytest.skip("this user may write anywhere")
    with pytest.raises(OSError, match=r"^ir.new\.png: cannot be written: .*Permission denied"):
        require_writable([Path("ir/new.png")])


def test_a_new_folder_stays_if_something_is_in_it(place):
    with made_folder(Path("new/deep")):
        pass
    assert not Path("new").exists()
    with made_folder(Path("new/deep")):
        Path("new/1.png").touch()
    assert [path.name for path in Path("new").iterdir()] == ["1.png"]
    with made_folder(Path("empty")), made_folder(Path("empty")):
        Path("empty/1.png").touch()
    Path("empty/1.png").unlink()
    with made_folder(Path("empty")):
        pass
    assert Path("empty").exists(), "it was there before"


def test_a_report_replaces_reports_alone(place):
    Path("table.csv").write_text("夜,1\n" * 2000, encoding="utf-8")
    Path("plot.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    for path in ("table.csv", "plot.png", "ir/1.png", "new.png"):  # ir/1.png holds a word
        require_report(Path(path))
    for suffix in ("png", "jpg", "tif", "bmp", "gif", "webp"):
        Image.new("L", (4, 4)).save(f"picture.{suffix}")
        with pytest.raises(
            ValueError, match=rf"^picture\.{suffix}: is there already, and neither a text nor"
        ):
            require_report(Path(f"picture.{suffix}"))
    with pytest.raises(IsADirectoryError, match=r"^ir: cannot be written \(it is a folder"):
        require_report(Path("ir"))
