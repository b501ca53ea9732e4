"""Files as a disk may really hold them: names that are no UTF-8, pipes and sockets, links to nowhere."""

import json
import os
import socket
import sys
from hashlib import sha256

import numpy as np
import pytest
import torch
from torch import nn

from mambadfuse.cli import main
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.images import ImageError, picture_size, read_image, write_image
from mambadfuse.data.issues import problems
from mambadfuse.data.training_pairs import find_training_pairs
from mambadfuse.data.volumes import read_volume
from mambadfuse.files import atomic_write
from mambadfuse.models import checkpoints

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names and files")

RNG = np.random.default_rng(0)
BAD = os.fsdecode(b"bad\xff")


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, a, b):
        return self.share * (a + b)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two folders of two pairs, the name of the second of which is no UTF-8."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: Mean())
    for side in ("a", "b"):
        (tmp_path / side).mkdir()
        for name in ("1", BAD):
            write_image(tmp_path / side / f"{name}.png", RNG.integers(0, 256, (48, 44)).astype(np.uint8))
    return tmp_path


def run(words, capfd):
    """Exit code, stdout and stderr of a command; both must be UTF-8."""
    code = main(words.split())
    captured = capfd.readouterr()
    captured.out.encode()
    captured.err.encode()
    return code, captured.out, captured.err


def test_a_name_that_is_no_text_is_fused_kept_scored_and_written_escaped(place, capfd):
    code, out, _ = run("fuse --a a --b b --out out --sheet sheet.png", capfd)
    assert (code, out.splitlines()[0]) == (0, "2 fused, 0 kept, 0 failed, 0 skipped; results in out")
    assert (place / "out" / f"{BAD}.png").exists()
    assert "0 fused, 2 kept" in run("fuse --a a --b b --out out", capfd)[1]
    assert run("evaluate --fused out --a a --b b --metrics EN --json t.json --csv t.csv", capfd)[0] == 0
    table = json.loads((place / "t.json").read_text(encoding="utf-8"))
    assert table["pictures"] == ["1", "bad\\xff"]
    assert set(table["methods"][0]["scores"]) == {"1", "bad\\xff"}
    assert ",bad\\xff," in (place / "t.csv").read_text(encoding="utf-8")
    code, out, _ = run("faults --fused out --a a --b b --json f.json --csv f.csv", capfd)
    assert code == 0
    assert "bad\\xff" in (place / "f.csv").read_text(encoding="utf-8")
    assert [pair.name for pair in find_training_pairs("a", "b")] == ["1", "bad\\xff"]


def test_a_failure_with_such_a_name_is_one_line_and_the_others_go_on(place, capfd):
    (place / "a" / f"{BAD}.png").write_bytes(b"broken")
    code, out, error = run("fuse --a a --b b --out out", capfd)
    assert code == 1
    assert "1 fused, 0 kept, 1 failed" in out
    assert error.startswith("mambadfuse: failed bad\\xff: a/bad\\xff.png: is not a")
    (place / "b" / f"{BAD}.png").unlink()
    assert "skipped a/bad\\xff.png: has no partner in b" in run("fuse --a a --b b --out out", capfd)[2]


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request, tmp_path):
    """A file that must not be opened: a pipe would block."""
    path = tmp_path / "special.png"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(tmp_path)  # the path of a socket may have 107 bytes at most
            server.bind(path.name)
            os.chdir(here)
    else:
        path.symlink_to("/dev/zero")
    return path


def test_what_is_no_file_is_refused_and_never_opened(place, special, capfd):
    for read in (read_image, picture_size):
        with pytest.raises(ImageError, match=r"special\.png: is a pipe, socket or device, expected an image"):
            read(special)
    code, _, error = run("fuse --a special.png --b b/1.png --out f.png", capfd)
    assert (code, error.count("\n")) == (1, 1)
    assert "special.png: is a pipe, socket or device" in error


def test_what_is_no_file_is_named_in_a_folder(place, special):
    special.rename(place / "a" / "2.png")
    write_image("b/2.png", np.zeros((4, 4), np.uint8))
    (place / "b" / "3.png").symlink_to("nowhere.png")
    reasons = {issue.subject.as_posix(): issue.reason for issue in problems(find_pairs("a", "b").issues)}
    assert reasons == {
        "a/2.png": "is a pipe, socket or device",
        "b/2.png": "has no partner that can be used: a/2.png is a pipe, socket or device",
        "b/3.png": "is a broken link",
    }


def test_a_pipe_in_a_file_of_pairs_is_refused(place, special, capfd):
    (place / "pairs.csv").write_text("special.png,b/1.png\n")
    code, _, error = run("fuse --pairs-file pairs.csv --out out", capfd)
    assert code == 1
    assert "pairs.csv: line 1, column a: special.png: is not a file" in error


def test_what_is_no_file_is_never_replaced(place, special, capfd):
    before = special.lstat()
    (place / "out").mkdir()
    for name in ("1", BAD):
        write_image(place / "out" / f"{name}.png", np.full((48, 44), 128, np.uint8))
    for words in (
        "fuse --a a/1.png --b b/1.png --out special.png --overwrite",
        "fuse --a a --b b --out new --sheet special.png",
        "align --a a/1.png --b b/1.png --out special.png --overwrite",
        "evaluate --fused out --a a --b b --metrics EN --plot special.png",
        "faults --fused out --a a --b b --json special.png",
    ):
        with pytest.raises(SystemExit) as stop:
            main(words.split())
        assert stop.value.code == 2
        assert "special.png: is a pipe, socket or device, expected a file" in capfd.readouterr().err
    for write in (atomic_write, lambda path: atomic_write(path, durable=True)):
        with pytest.raises(OSError, match=r"cannot be written \(is a pipe, socket or device"), write(special):
            pass
    assert (special.lstat().st_ino, special.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert list(place.glob(".*.part")) == []


def test_a_table_or_volume_or_record_that_is_no_file_is_never_opened(place, special, capfd):
    code, _, error = run("evaluate --join special.png", capfd)
    assert code == 1
    assert "special.png: is a pipe, socket or device" in error
    special.rename("special.nii.gz")
    with pytest.raises(ImageError, match=r"special\.nii\.gz: is a pipe, socket or device, expected a volume"):
        read_volume("special.nii.gz")
    (place / "out").mkdir()
    os.rename("special.nii.gz", "out/.fused_with.1.jsonl")
    assert "2 fused" in run("fuse --a a --b b --out out", capfd)[1]
    digest = sha256(b"x.png").hexdigest()[:12]
    os.rename("out/.fused_with.1.jsonl", f"out/.fused_with.{digest}.jsonl")
    code, _, error = run("fuse --a a/1.png --b b/1.png --out out/x.png", capfd)
    assert code == 1
    assert "is a pipe, socket or device" in error


@pytest.mark.parametrize(
    "words",
    [
        "detect report special.png",
        "detect evaluate --a a --b b --boxes special.png --detections special.png",
    ],
)
def test_what_commands_read_beside_images_is_no_pipe(place, special, words, capfd):
    code, _, error = run(words, capfd)
    assert code == 1
    assert "special.png: is a pipe, socket or device, expected a file" in error


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x07bell", "\\x07bell"),
        ("a\rb", "a\\x0db"),
        ("\u202egnp", "\\u202egnp"),
        ("\x9b5m", "\\x9b5m"),
    ],
)
def test_a_name_that_commands_a_terminal_is_fused_and_printed_escaped(place, name, shown, capfd):
    for side in ("a", "b"):
        (place / side / f"{BAD}.png").rename(place / side / f"{name}.png")
    assert "2 fused" in run("fuse --a a --b b --out out", capfd)[1]
    (place / "out" / f"{name}.png").write_bytes(b"broken")
    said = run("fuse --a a --b b --out out", capfd)
    assert f"made again out/{shown}.png: was damaged" in said[2]
    run("evaluate --fused out --a a --b b --metrics EN --csv t.csv", capfd)
    assert f",{shown}," in (place / "t.csv").read_text(encoding="utf-8")
    (place / "b" / f"{name}.png").unlink()
    said = run("data check .", capfd)[1] + run("fuse --a a --b b --out out", capfd)[2]
    assert f"a/{shown}.png: has no partner in b" in said
    assert name not in said
