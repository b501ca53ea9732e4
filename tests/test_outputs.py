"""No command ever writes to a source: every output of every command, by every path to every kind of source."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import mambadfuse as mdf
from mambadfuse import cli
from mambadfuse.data.images import write_image

RNG = np.random.default_rng(0)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two folders of pairs, one that holds both sides, their results, and files of pairs, settings and results."""
    monkeypatch.chdir(tmp_path)
    names = {
        "ir": ["1"],
        "vi": ["1"],
        "tree/ir": ["1"],
        "tree/vi": ["1"],
        "tree/gt": ["1"],
        "made/ir": ["1"],
        "both": ["IR_1", "VIS_1"],
        "done": ["1", "IR_1"],
    }
    for folder, name in ((folder, name) for folder, own in names.items() for name in own):
        Path(folder).mkdir(exist_ok=True, parents=True)
        write_image(f"{folder}/{name}.png", RNG.integers(0, 256, (32, 32)).astype(np.uint8))
    Path("pairs.csv").write_text("ir/1.png,vi/1.png\n")
    Path("table.yaml").write_text('default: {question: "?", changes: {}}\n')
    Path("set.yaml").write_text("steps: 1\n")
    Path("head").mkdir()
    for name in ("mri", "ct"):
        Path(f"head/{name}.nii").write_bytes(b"volume")
    Path("mine.safetensors").write_bytes(b"weights")
    Path("old.jsonl").write_bytes(b"")
    return tmp_path


SCORES = ["--json", "--csv", "--plot", "--boxes"]
REPORTS = ["--json", "--csv", "--html", "--markdown", "--latex", "--picture-csv"]
FOLDERS, ONE, FILE = "--a ir --b vi", "--a both", "--pairs-file pairs.csv"
TRAIN, ABLATE = "train --pairs ir vi --validate both both", "ablate --pairs ir vi --validate both both"
# command, its outputs, the inputs that none of them may be
COMMANDS = [
    ("align --a ir/1.png --b vi/1.png --out new.png", ["--out", "--transform", "--overlay"], ["ir/1.png", "vi/1.png"]),
    ("fuse --a head/mri.nii --b head/ct.nii --out new.nii", ["--out"], ["head/mri.nii", "head/ct.nii"]),
    ("fuse --a ir/1.png --b vi/1.png --out new.png", ["--out", "--sheet"], ["ir/1.png", "vi/1.png"]),
    (f"fuse {FOLDERS} --out new", ["--sheet"], ["ir/1.png", "vi/1.png", "mine.safetensors"]),
    (f"fuse {ONE} --out new", ["--sheet"], ["both/IR_1.png", "both/VIS_1.png"]),
    ("fuse --a tree --out new", ["--sheet"], ["tree/ir/1.png", "tree/gt/1.png"]),
    ("evaluate --a tree --fused made", SCORES, ["tree/gt/1.png"]),
    ("faults --a tree --fused made", ["--json", "--csv"], ["tree/gt/1.png"]),
    (f"fuse {FILE} --out new", ["--sheet"], ["ir/1.png", "vi/1.png", "pairs.csv"]),
    (f"evaluate {FOLDERS} --fused done", SCORES, ["ir/1.png", "vi/1.png", "done/1.png"]),
    (f"evaluate {ONE} --fused done", SCORES, ["both/IR_1.png", "done/IR_1.png"]),
    (f"evaluate {FILE} --fused done", SCORES, ["ir/1.png", "done/1.png", "pairs.csv"]),
    (f"faults {FOLDERS} --fused done", ["--json", "--csv"], ["ir/1.png", "vi/1.png", "done/1.png"]),
    (f"faults {FILE} --fused done", ["--json", "--csv"], ["ir/1.png", "pairs.csv"]),
    (f"detect evaluate {FOLDERS} --boxes set.json --detections old.json", ["--json"], ["ir/1.png", "vi/1.png"]),
    (f"detect evaluate {FILE} --boxes set.json --weights mine.safetensors", ["--json"], ["ir/1.png", "pairs.csv"]),
    ("export --out new.onnx", ["--out"], ["mine.safetensors"]),
    (f"{TRAIN} --config set.yaml --out new.safetensors", ["--out"], ["ir/1.png", "both/VIS_1.png", "set.yaml"]),
    ("train --pairs-file pairs.csv --out new.safetensors", ["--out"], ["vi/1.png", "pairs.csv"]),
    (f"{ABLATE} --table table.yaml", REPORTS, ["ir/1.png", "both/VIS_1.png", "table.yaml"]),
    ("ablate --pairs-file pairs.csv --validate-file pairs.csv", ["--json", "--csv"], ["ir/1.png", "pairs.csv"]),
    ("ablate --report old.jsonl", REPORTS, ["old.jsonl"]),
]  # fmt: skip
CASES = [
    pytest.param(command, output, source, id=f"{command} {output} {source}")
    for command, outputs, sources in COMMANDS
    for output in outputs
    for source in sources
]
SUFFIX = {"--sheet": ".png", "--plot": ".png", "--boxes": ".png"}


def everything():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def refused(words, capsys):
    """The usage error; nothing in the place has changed."""
    before = everything()
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert everything() == before
    return capsys.readouterr().err


@pytest.mark.parametrize("way", ["itself", "dots", "link", "hard link"])
@pytest.mark.parametrize(("command", "output", "source"), CASES)
def test_no_output_replaces_a_source(place, capsys, command, output, source, way):
    suffix = ".safetensors" if command.startswith("train") else SUFFIX.get(output, Path(source).suffix)
    path = Path(source)
    if way == "dots":
        path = Path("done", "..", source)
    elif way != "itself":
        path = Path(f"other{suffix}")
        path.symlink_to(source) if way == "link" else os.link(source, path)
    words = command.split()
    if "mine.safetensors" in source:
        words += ["--model", source]
    if output in words:
        words[words.index(output) + 1] = str(path)
    else:
        words += [output, str(path)]
    if path.suffix == suffix or not (command.startswith("train") or output in SUFFIX):
        assert "would replace its own source" in refused(words, capsys)
    else:
        assert "expected the name of a" in refused(words, capsys)


@pytest.mark.parametrize(
    "words",
    [
        "fuse --a ir --b vi --out new --sheet ir/sheet.png",
        "evaluate --a ir --b vi --fused done --csv vi/scores.csv",
        "faults --a ir --b vi --fused done --json ir/deep/faults.json",
        "train --pairs ir vi --out vi/mine.safetensors",
        "train --pairs both both --validate ir vi --out vi/mine.safetensors",
        "ablate --pairs ir vi --validate both both --json vi/table.json",
    ],
)
def test_no_output_lies_in_a_folder_of_sources(place, capsys, words):
    assert "a folder of sources; choose a place outside it" in refused(words.split(), capsys)


@pytest.mark.parametrize("out", ["ir", "ir/new", ".", "vi/../ir", "link", "link/new"])
def test_a_folder_of_results_neither_lies_in_a_folder_of_sources_nor_holds_one(place, capsys, out):
    Path("link").symlink_to("ir")
    before = everything()
    assert cli.main(["fuse", "--a", "ir", "--b", "vi", "--out", out, "--overwrite"]) == 1
    assert "the results need a folder of their own, outside the sources" in capsys.readouterr().err
    assert everything() == before


@pytest.mark.parametrize("pairs", ["--a linked --b vi", "--pairs-file pairs.csv"])
def test_a_result_is_no_source_even_if_that_lies_elsewhere(place, capsys, pairs):
    """The folder of results holds what a link in a folder of sources leads to, or a file that a CSV file lists."""
    Path("linked").mkdir()
    Path("linked/1.png").symlink_to(Path("ir/1.png").resolve())
    assert "1.png: would replace its own source" in refused(
        f"fuse {pairs} --out ir --overwrite".split(), capsys
    )


@pytest.mark.parametrize(
    "words",
    [
        "fuse --a ir --b vi --out new --sheet new/1.png",
        "fuse --a ir/1.png --b vi/1.png --out new.png --sheet new.png",
        "evaluate --a ir --b vi --fused done --json t --csv t",
        "ablate --report old.jsonl --json t --csv t",
    ],
)
def test_two_outputs_never_share_a_name(place, capsys, words):
    assert "two outputs would have this name" in refused(words.split(), capsys)


def test_an_image_in_no_pair_is_a_source_as_well(place, capsys):
    shutil.copy("ir/1.png", "both/RGB.png")
    command = "evaluate --a both --fused done --plot both/RGB.png"
    assert "would replace its own source" in refused(command.split(), capsys)


def test_outputs_beside_the_results_may_be_written_again(place):
    words = "evaluate --a ir --b vi --fused done --metrics EN --csv done/t.csv --plot done/plot.png"
    command = words.split()
    assert cli.main(command) == cli.main(command) == 0


@pytest.mark.parametrize(
    "words",
    [
        "fuse --a ir/1.png --b vi/1.png --out new.png --sheet done/1.png",
        "fuse --a ir --b vi --out new --sheet done/1.png",
        "evaluate --a ir --b vi --fused made/ir --plot done/1.png",
        "evaluate --a ir --b vi --fused made/ir --csv done/1.png",
        "faults --a ir --b vi --fused made/ir --json done/1.png",
        "ablate --report old.jsonl --html done/1.png",
        "ablate --report old.jsonl --figures figures",
    ],
)
def test_no_report_replaces_an_image_that_the_command_does_not_read(place, capsys, words):
    Path("figures").mkdir()
    shutil.copy("ir/1.png", "figures/cost.png")
    assert "neither a text nor a figure of mambadfuse" in refused(words.split(), capsys)


def test_a_sheet_may_be_drawn_again(place):
    words = [
        "fuse",
        "--a",
        "ir/1.png",
        "--b",
        "vi/1.png",
        "--model",
        "ivf-fast",
        "--out",
        "new.png",
        "--sheet",
        "sheet.png",
    ]
    assert cli.main(words) == cli.main(words) == 0


@pytest.mark.parametrize(
    "words",
    [
        "train --pairs ir vi --set init_from=mine.safetensors --out mine.safetensors",
        "train --pairs ir vi --set teacher=mine.safetensors --out mine.safetensors",
    ],
)
def test_weights_to_begin_with_are_a_source(place, capsys, words):
    mdf.save(mdf.MambaDFuse(mdf.MambaDFuseConfig.lite()), "mine.safetensors")
    assert "mine.safetensors: would replace its own source" in refused(words.split(), capsys)


@pytest.mark.parametrize(
    "words",
    [
        "detect evaluate --a ir --b vi --boxes set.json --detections done --json done/new.json",
        "detect evaluate --a ir --b vi --boxes set.json --weights w --input done --json done/new.json",
        "detect train --a ir --b vi --boxes set.json --input done --out done/new.safetensors",
        "fuse --a ir --b vi --out ir/new.mp4",
        "fuse --a ir --b vi --out vi/new.mp4",
    ],
)
def test_folders_of_results_and_frames_that_are_read_take_no_output(place, capsys, words):
    assert "a folder of sources; choose a place outside it" in refused(words.split(), capsys)


@pytest.mark.parametrize(
    "words",
    [
        "fuse --a ir/1.png --b vi/1.png --out OUT.png",
        "fuse --a ir/1.png --b vi/1.png --out new.png --sheet OUT.png",
        "fuse --a ir --b vi --out OUT",
        "fuse --a ir --b vi --out OUT.mp4",
        "fuse --a head/mri.nii --b head/ct.nii --out OUT.nii",
        "fuse --samples --out OUT",
        "align --a ir/1.png --b vi/1.png --out OUT.png",
        "align --a ir --b vi --out new --overlay OUT",
        "evaluate --a ir --b vi --fused done --plot OUT.png",
        "faults --a ir --b vi --fused done --csv OUT",
        "train --pairs ir vi --steps 1 --out OUT.safetensors",
        "ablate --pairs ir vi --validate both both --seeds 1 --out OUT",
        "ablate --report old.jsonl --json OUT",
        "detect train --a ir --b vi --boxes set.json --input a --out OUT.safetensors",
        "detect matrix --model ivf-fast --scenes 1 --test-scenes 1 --out OUT",
        "export --out OUT.onnx",
    ],
)
@pytest.mark.parametrize(
    ("out", "why"),
    [
        (
            "pairs.csv/new",
            "cannot be written: expected a place for new files, found pairs.csv, which .*Not a dir",
        ),
        ("n" * 300, ".*File name too long"),
    ],
)
def test_a_place_that_takes_no_file_is_named_before_the_work(place, capsys, words, out, why):
    before = everything()
    assert cli.main(words.replace("OUT", out).split()) == 1
    assert re.search(rf"^mambadfuse: \S*{out}\S*: {why}", capsys.readouterr().err, re.M)
    assert everything() == before


@pytest.mark.parametrize(
    "words",
    [
        "fuse --a ir/1.png --b bad.png --out new/f.png",
        "fuse --a ir/1.png --b vi/1.png --model nothing --out new/f.png",
        "fuse --pairs-file bad.csv --out new",
        "align --a ir/1.png --b bad.png --out new/f.png --overlay new/o.png",
        "align --pairs-file bad.csv --out new/a --transform new/b",
        "evaluate --a ir --b vi --fused done --metrics NOTHING --csv new/t.csv",
        "faults --a ir --b vi --fused done --model nothing --csv new/t.csv",
        "train --pairs ir vi --set steps=x --out new/mine.safetensors",
        "train --pairs ir vi --set teacher=nothing --out new/mine.safetensors",
        "train --pairs ir vi --set crop_sizes=64x64 --out new/mine.safetensors",
        "train --pairs ir vi --set batch=1e9 crop_sizes=32x32 device=cpu --out new/mine.safetensors",
        "train --pairs-file half.csv --set crop_sizes=16x16 device=cpu --out new/mine.safetensors",
        "ablate --pairs ir vi --validate both both --rows nothing --out new",
        "ablate --pairs-file half.csv --validate-file big.csv --rows default --set steps=1 device=cpu --out new",
        "ablate --pairs ir vi --validate both both --margin nothing --out new",
        "ablate --pairs ir vi --validate both both --tensorboard ir --out new",
        "ablate --pairs ir vi --validate both both --json new/t.json --set steps=x --out new",
        "detect train --a ir --b vi --boxes set.json --input a --out new/d.safetensors",
        "detect matrix --model nothing --scenes 1 --test-scenes 1 --out new",
        "detect matrix --model ivf-fast nothing --scenes 1 --test-scenes 1 --out new",
        "detect matrix --model ivf-fast --scenes 1 --test-scenes 1 --learning-rate 1e300 --out new",
        "export --model nothing --out new/net.onnx",
    ],
)
def test_a_command_that_refuses_makes_no_folder(place, capsys, words):
    Path("bad.png").write_bytes(b"no image")
    Path("half.png").write_bytes(Path("vi/1.png").read_bytes()[:500])  # which shows once it is decoded
    Path("half.csv").write_text("ir/1.png,half.png\n")
    for name in ("big_ir.png", "big_vi.png"):
        write_image(name, RNG.integers(0, 256, (48, 48)).astype(np.uint8))
    Path("big.csv").write_text("big_ir.png,big_vi.png\n")
    Path("bad.csv").write_text("ir/1.png,bad.png,deep/1\n")
    before = sorted(Path().rglob("*"))
    assert cli.main(words.split()) == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("fuse --a ir/1.png --b vi/1.png --model ivf-fast --out new/f.png", "new/"),
        (
            "evaluate --a ir --b vi --fused done --metrics EN --json new/t.json",
            "new/t.json: cannot be written",
        ),
        ("align --a ir/1.png --b vi/1.png --out new/f.png", "new/"),
    ],
)
def test_a_full_disk_is_said_and_leaves_nothing(place, capsys, words, named):
    import resource

    before = everything()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))  # as if 20 bytes were free for each file
    try:
        assert cli.main(words.split()) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert named in capsys.readouterr().err
    assert everything() == before


@pytest.mark.parametrize(
    "words",
    [
        "align --a ir/1.png --b vi/1.png --out new.png --overlay done/1.png",
        "align --a ir/1.png --b vi/1.png --out new.png --transform done/1.png",
        "align --pairs-file pairs.csv --out new --overlay done",
    ],
)
def test_what_is_beside_a_moved_image_replaces_no_file_of_others(place, capsys, words):
    before = everything()
    assert cli.main(words.split()) == 1
    assert "no record of its settings" in capsys.readouterr().err
    assert everything() == before
