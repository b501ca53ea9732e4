"""No command ever writes to a source: every output of every command, by every path to every kind of source."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

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
