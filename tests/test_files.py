"""Files: written whole or not at all, and never over a source, whatever the path to it."""

import os
from pathlib import Path

import pytest

from mambadfuse.files import atomic_write, require_apart


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
