"""What is recorded beside results: a result among its sources is no source, and two runs do not mix their records."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from torch import nn

import mambadfuse as mdf
from mambadfuse.cli import main
from mambadfuse.data.checking import check
from mambadfuse.data.discovery import find_images_with_alpha, find_pairs
from mambadfuse.data.images import write_image
from mambadfuse.data.pairs import PairError
from mambadfuse.fusion import manifest
from mambadfuse.fusion.manifest import MANIFEST, recording
from mambadfuse.locks import BusyError
from mambadfuse.models import checkpoints

RNG = np.random.default_rng(0)

needs_signals = pytest.mark.skipif(os.name == "nt", reason="kills by a signal of POSIX")


class Mean(nn.Module):
    def forward(self, a, b):
        return (a + b) / 2


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, and a network that needs no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "load", lambda source: Mean())
    return tmp_path


def command(words):
    return main(words.split())


def draw(*names, shape=(40, 48)):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write_image(name, RNG.integers(0, 256, shape).astype(np.uint8))


@pytest.mark.parametrize(
    ("a", "b", "out"),
    [
        ("both/ir.png", "both/vi.png", "both/fused.png"),
        ("both/ir.png", "both/vi.png", "both/ir_fused.png"),
        ("both/IR_1.png", "both/VIS_1.png", "both/IR_1_VIS_1.tif"),
        ("both/DJI_1_T.png", "both/DJI_1_W.png", "both/DJI_1_V.png"),
        ("ir/1.png", "vi/1.png", "vi/1_fused.png"),
        ("ir/1.png", "vi/1.png", "ir/ir_1.tif"),
    ],
)
@pytest.mark.parametrize("tool", ["fuse", "align"])
def test_a_result_beside_its_sources_is_not_read_as_one(place, a, b, out, tool):
    draw(a, b)
    folders = [place / name for name in dict.fromkeys((a.split("/")[0], b.split("/")[0]))]
    (before,) = find_pairs(*folders).pairs
    assert main([tool, "--a", a, "--b", b, "--out", out]) == 0
    found = find_pairs(*folders)
    assert found.pairs == (before,)
    (note,) = found.issues
    assert str(note) == f"{place / out}: not used as a source: a result, made from images of this folder"
    assert note.severity == "note"
    assert check(place).ok
    assert main(["fuse", *(f"--{s}={f}" for s, f in zip("ab", folders, strict=False)), "--out", "new"]) == 0
    assert main([tool, "--a", a, "--b", b, "--out", out]) == 0


def test_a_result_beside_links_to_its_sources_is_not_read_as_one(place):
    draw("store/1.png", "store/2.png")
    (place / "both").mkdir()
    (place / "both/IR_1.png").symlink_to(place / "store/1.png")
    (place / "both/VIS_1.png").symlink_to(place / "store/2.png")
    assert command("fuse --a both/IR_1.png --b both/VIS_1.png --out both/IR_1_fused.png") == 0
    found = find_pairs("both")
    assert [pair.name for pair in found.pairs] == ["IR_1"]
    (note,) = found.issues
    assert (note.subject.name, note.severity) == ("IR_1_fused.png", "note")


def test_files_beside_a_moved_image_are_no_sources(place):
    draw("both/ir.png", "both/vi.png")
    words = "align --a both/ir.png --b both/vi.png --out both/moved_ir.png --overlay both/ir_vi.png"
    assert command(words) == 0
    found = find_pairs("both")
    assert [pair.name for pair in found.pairs] == ["ir"]
    assert sorted(issue.subject.name for issue in found.issues) == ["ir_vi.png", "moved_ir.png"]


def test_a_file_beside_a_result_stays_on_record_when_the_next_command_makes_another(place):
    draw("both/ir.png", "both/vi.png")
    words = "align --a both/ir.png --b both/vi.png --out both/moved_ir.png"
    assert command(f"{words} --overlay both/ir_vi.png") == 0
    assert command(f"{words} --transform both/motion.json") == 0
    assert command(words) == 0
    found = find_pairs("both")
    assert [pair.name for pair in found.pairs] == ["ir"]
    names = {issue.subject.name for issue in found.issues if "not used as a source" in issue.reason}
    assert names == {"moved_ir.png", "ir_vi.png", "motion.json"}


def test_a_result_in_a_folder_below_its_sources_is_no_source(place):
    draw("ir/1.png", "vi/1.png")
    assert command("fuse --a ir/1.png --b vi/1.png --out ir/fused/1.png") == 0
    found = find_pairs("ir", "vi")
    assert [pair.name for pair in found.pairs] == ["1"]
    (note,) = found.issues
    assert (note.subject, note.severity) == (Path("ir/fused/1.png"), "note")


@pytest.mark.parametrize("name", [".fused_with.json", ".fused_with.0123456789ab.json"])
def test_a_record_of_an_older_version_is_named(place, capsys, caplog, name):
    draw("both/IR_1.png", "both/VIS_1.png", "both/new.png")
    Path("both", name).write_text('{"new": {"sources": ["both/IR_1.png"]}}')
    assert command("fuse --a both/IR_1.png --b both/VIS_1.png --out both/new.png") == 1
    said = f"as {name} is a record of an older version, which does not know the content of results"
    assert said in capsys.readouterr().err
    assert [pair.name for pair in find_pairs("both").pairs] == ["IR_1"]
    assert f"both/{name}: is a record of an older version" in caplog.text.replace("\\", "/")


def test_a_result_beside_an_image_with_alpha_is_no_source(place):
    (place / "four").mkdir()
    Image.fromarray(RNG.integers(1, 256, (40, 48, 4)).astype(np.uint8)).save("four/1.png")
    assert command("fuse --b four/1.png --alpha a --out four/1_fused.png") == 0
    assert [pair.name for pair in find_images_with_alpha("four").pairs] == ["1"]


def test_results_from_elsewhere_are_sources_of_a_second_fusion(place):
    draw("mri/1.png", "ct/1.png", "mri/2.png", "ct/2.png", "pet/1.png", "pet/2.png")
    mdf.fuse_folders("mri", "ct", "first", progress=False)
    assert command("fuse --a mri/1.png --b ct/1.png --out single/1.png") == 0
    assert len(find_pairs("first", "pet").pairs) == 2
    assert len(find_pairs("single", "pet").pairs) == 1


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        "{",
        '{"name": 5, "sha256": "", "settings": {}}',
        '{"name": "1.png", "sha256": "", "settings": 5}',
        '{"name": "1.png", "sha256": 5, "settings": {"sources": 5}}',
        '{"name": "1.png", "sha256": "", "settings": {"sources": [5, null]}}',
        '{"name": "1.png", "sha256": "", "settings": {"sources": ["1.png"]}}',
        "\xff",
    ],
)
def test_a_damaged_record_hides_no_source(place, record):
    draw("ir/1.png", "vi/1.png")
    (place / "ir" / MANIFEST).write_text(record, encoding="latin-1")
    assert [pair.name for pair in find_pairs("ir", "vi").pairs] == ["1"]


def test_a_record_that_another_process_removes_meanwhile_is_left_out(place, monkeypatch):
    draw("ir/1.png", "vi/1.png")
    (place / "ir" / MANIFEST).write_text("{}")
    looked_at = Path.is_file

    def look_and_remove(path):
        found = looked_at(path)
        if path.name == MANIFEST:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", look_and_remove)
    assert [pair.name for pair in find_pairs("ir", "vi").pairs] == ["1"]


def test_a_folder_of_nothing_but_results_has_no_pair(place):
    draw("both/ir.png", "both/vi.png")
    assert command("fuse --a both/ir.png --b both/vi.png --out both/f.png") == 0
    (place / "both/ir.png").unlink()
    (place / "both/vi.png").unlink()
    with pytest.raises(PairError):
        find_pairs("both")


@pytest.mark.parametrize("moment", ["copied", "moved, and older"])
@pytest.mark.parametrize("tool", ["fuse", "align"])
def test_a_source_in_the_place_of_a_result_is_a_source(place, capsys, tool, moment):
    draw("both/IR_1.png", "both/VIS_1.png", "other.png", "both/VIS_2.png")
    words = f"{tool} --a both/IR_1.png --b both/VIS_1.png --out both/IR_2.png"
    assert command(words) == 0
    assert [pair.name for pair in find_pairs("both").pairs] == ["IR_1"]
    if moment == "copied":
        shutil.copyfile("other.png", "both/IR_2.png")
    else:
        os.utime("other.png", (1, 1))
        os.replace("other.png", "both/IR_2.png")
    source = Path("both/IR_2.png").read_bytes()
    found = find_pairs("both")
    assert [pair.name for pair in found.pairs] == ["IR_1", "IR_2"]
    assert not found.issues
    capsys.readouterr()
    assert command(words) == 1
    error = capsys.readouterr().err
    assert "both/IR_2.png: exists already, and is not the file that was written under this name" in error
    assert Path("both/IR_2.png").read_bytes() == source


def test_an_image_in_the_place_of_a_result_of_a_folder_is_not_replaced(place, capsys):
    draw("a/1.png", "a/2.png", "b/1.png", "b/2.png", "other.png")
    assert command("fuse --a a --b b --out out") == 0
    os.utime("other.png", (1, 1))  # older than the sources, as an outdated result is
    os.replace("other.png", "out/2.png")
    other = Path("out/2.png").read_bytes()
    assert command("fuse --a a --b b --out out") == 1
    assert "1 of 2 results exist already" in (error := capsys.readouterr().err)
    assert "(2.png is not the file that was written under this name)" in error
    assert Path("out/2.png").read_bytes() == other
    assert command("fuse --a a --b b --out out --overwrite") == 0
    assert command("fuse --a a --b b --out out") == 0


@pytest.mark.parametrize("times", [True, False])
def test_a_folder_that_was_moved_or_copied_is_recognised(place, capsys, times):
    draw("before/ir/1.png", "before/vi/1.png")
    words = "--a {0}/ir/1.png --b {0}/vi/1.png --out {0}/vi/1_fused.png"
    assert command("fuse " + words.format("before")) == 0
    copy = shutil.copy2 if times else shutil.copyfile
    shutil.copytree("before", "after", copy_function=copy)
    shutil.rmtree("before")
    found = find_pairs("after/ir", "after/vi")
    assert [pair.name for pair in found.pairs] == ["1"]
    (note,) = found.issues
    assert note.reason == "not used as a source: a result, made from images of this folder"
    result = Path("after/vi/1_fused.png")
    os.utime(result)  # without times, the order of copying would decide which is newer
    assert command("fuse " + words.format("after")) == 0
    assert f"kept {result}" in capsys.readouterr().out


def run(out, settings, part=None, overwrite=True):
    return recording(out, [out / "1.png", out / "2.png"], settings, overwrite, part)


def write(record, file):
    write_image(file, RNG.integers(0, 256, (4, 5)).astype(np.uint8), record.of(file))


def names_on_record(out, part=None):
    lines = (out / f".fused_with{f'.{part}' if part else ''}.jsonl").read_text().splitlines()
    return {json.loads(line)["name"] for line in lines}


@pytest.mark.parametrize(
    ("first", "second"), [(None, None), ("1-of-2", "1-of-2"), (None, "1-of-2"), ("1-of-2", None)]
)
def test_two_runs_do_not_write_the_same_results_at_once(place, monkeypatch, first, second):
    monkeypatch.setattr(manifest, "_LOCK_TIMEOUT", 0)
    out = place / "out"
    with run(out, {"colour": "a"}, first) as record:
        write(record, out / "1.png")
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        with pytest.raises(BusyError, match=r"out: another process is writing results there: wait for it"):
            run(out, {"colour": "b"}, second).__enter__()
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not list(out.glob("*.lock"))
    with run(out, {"colour": "b"}, second) as record:
        write(record, out / "2.png")
    assert names_on_record(out, second) >= {"2.png"}


def test_parts_of_one_folder_are_written_at_once(place):
    out = place / "out"
    with run(out, {"colour": "a"}, "1-of-2"), run(out, {"colour": "a"}, "2-of-2") as record:
        write(record, out / "1.png")
    assert not list(out.glob(".*.lock"))


def test_shards_of_different_counts_are_not_written_at_once(place, monkeypatch):
    monkeypatch.setattr(manifest, "_LOCK_TIMEOUT", 0)
    out = place / "out"
    with run(out, {"colour": "a"}, "1-of-3"):
        message = (
            r"out: another process is writing shard 1/3 there, which shares results with shard 2/4: wait"
        )
        with pytest.raises(BusyError, match=message):
            run(out, {"colour": "a"}, "2-of-4").__enter__()
        with run(out, {"colour": "a"}, "2-of-3"), run(out, {"colour": "a"}, "0123456789ab"):
            pass
    with run(out, {"colour": "a"}, "2-of-4"):
        pass


def test_the_command_names_the_folder_that_is_in_use(place, monkeypatch, capsys):
    monkeypatch.setattr(manifest, "_LOCK_TIMEOUT", 0)
    draw("ir/1.png", "vi/1.png")
    (place / "out").mkdir()
    with FileLock(place / "out" / ".fused_with.lock"):
        assert command("fuse --a ir --b vi --out out --overwrite") == 1
        assert command("fuse --a ir/1.png --b vi/1.png --out out/1.png") == 1
    assert capsys.readouterr().err.count("out: another process is writing results there") == 2
    assert not list((place / "out").glob("*.png"))
    assert command("fuse --a ir --b vi --out out") == 0


def ended(target, *words):
    process = multiprocessing.get_context("fork").Process(target=target, args=words)
    process.start()
    process.join()
    return process.exitcode


def hold_and_die(out):
    with run(out, {"colour": "a"}):
        os.kill(os.getpid(), signal.SIGKILL)


@needs_signals
@pytest.mark.parametrize("part", [None, "1-of-2"])
def test_the_lock_of_a_killed_run_is_taken_over(place, part):
    out = place / "out"
    assert ended(hold_and_die, out) == -signal.SIGKILL
    with run(out, {"colour": "b"}, part) as record:
        write(record, out / "1.png")
    assert names_on_record(out, part) == {"1.png"}


def fuse_and_die(replacing, moment):
    """Is killed before or after the result of this name is put in its place."""
    replace = os.replace

    def replaced(source, target):
        if target.name == replacing and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if target.name == replacing:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replaced
    mdf.fuse_folders("a", "b", "out", Mean(), progress=False)


@needs_signals
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("there", ["nothing", "an outdated result"])
def test_a_run_that_is_killed_as_a_result_appears_is_resumed(place, there, moment):
    names = [f"{k}.png" for k in (1, 2, 3)]
    draw(*(f"{side}/{name}" for side in "ab" for name in names))
    whole = mdf.fuse_folders("a", "b", "whole", Mean(), progress=False).written
    if there == "an outdated result":
        mdf.fuse_folders("b", "a", "out", Mean(), progress=False)
        for name in names:
            os.utime(f"out/{name}", (1, 1))
    assert ended(fuse_and_die, "2.png", moment) == -signal.SIGKILL
    report = mdf.fuse_folders("a", "b", "out", Mean(), progress=False)
    assert [file.name for file in report.kept] == names[: 1 if moment == "before" else 2]
    assert [Path("out", file.name).read_bytes() for file in whole] == [file.read_bytes() for file in whole]
    assert names_on_record(Path("out")) == set(names)
    assert len(Path("out", MANIFEST).read_text().splitlines()) == 3
