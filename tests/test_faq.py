"""The FAQ of the book: its commands run, and print what it shows."""

import io
import json
import re
import shlex
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_readme import desk  # noqa: F401 - a fixture
from test_video import write as write_video

import mambadfuse as mdf
from mambadfuse.cli import main

ROOT = Path(__file__).parents[1]
FAQ = (ROOT / "docs" / "book" / "faq.md").read_text(encoding="utf-8")
TRANSCRIPTS = re.findall(r"^```text\n(\$ .*?)^```", FAQ, flags=re.M | re.S)
BLOCKS = re.findall(r"^```(\w+)\n", FAQ, flags=re.M)
SPOKEN = list(dict.fromkeys(re.findall(r"`((?:mambadfuse |pip |mdf\.|--)[^`]+)`", FAQ)))
FUSE = "mambadfuse fuse --a infrared.png --b visible.png --out result.png"
EVALUATE = "mambadfuse evaluate --fused results/ours --a infrared --b visible"
WHOLE = {  # what the text names in part, as a command that runs
    "--a": FUSE,
    "--b": FUSE,
    "--resize a": f"{FUSE} --resize a",
    "--stretch 29315 31315": f"{FUSE} --stretch 29315 31315",
    "--colour": f"{FUSE} --colour auto",
    "--colour grey": f"{FUSE} --colour grey",
    "--tile 512": f"{FUSE} --tile 512",
    "--model THEIRS.pth": f"{FUSE} --model THEIRS.pth",
    "mambadfuse fuse --align": f"{FUSE} --align",
    "mambadfuse fuse --model mine.safetensors": f"{FUSE} --model mine.safetensors",
    "mambadfuse align": "mambadfuse align --a infrared.png --b visible.png --out moved.png --overlay overlay.png",
    "mambadfuse faults": EVALUATE.replace("evaluate", "faults"),
    "mambadfuse data list NAME": "mambadfuse data list roadscene",
    "--convention literature": f"{EVALUATE} --convention literature",
    "--convention strict": f"{EVALUATE} --convention strict",
}
ELSEWHERE = {  # an option that a block runs, and those of pip, which would change the environment
    "--dry-run", "--no-build-isolation", 'pip install -e ".[medical]"', 'pip install -e ".[video]"',
}  # fmt: skip


@pytest.fixture
def shown(desk, monkeypatch) -> Path:  # noqa: F811 - the fixture
    """The working folder, with the files that the FAQ talks about; all are pieces of one sample pair."""
    with Image.open(desk / "infrared.png") as picture:
        picture.resize((64, 32)).save(desk / "small.png")
        grey = np.asarray(picture.convert("L"))
    warm = np.interp(grey, np.percentile(grey, (1, 99)), (29124, 29288))
    Image.fromarray(np.rint(warm).astype(np.uint16)).save(desk / "kelvin.png")
    monkeypatch.chdir(desk)
    return desk


def told(command: str) -> str:
    """What a command prints, on either stream; it fails exactly where it complains."""
    program, *words = shlex.split(command)
    assert program == "mambadfuse"
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        failed = main(words)
    assert bool(failed) == printed.getvalue().startswith("mambadfuse: "), printed.getvalue()
    return printed.getvalue()


def pattern(text: str) -> str:
    """The expression for a text that may be broken into other lines, and where ... stands for the rest of a message."""
    return r"\s+".join(re.escape(word) for word in text.split()).replace(re.escape("..."), r".*") + r"\s*"


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda text: text.split("\n")[0])
def test_commands_print_what_is_shown(transcript, shown, caplog):
    for part in re.split(r"^\$ ", transcript, flags=re.M)[1:]:
        caplog.clear()
        command, answer = part.split("\n", 1)
        printed = told(command) + "\n".join(caplog.messages)
        assert re.fullmatch(pattern(answer), printed, flags=re.S), printed


def test_nothing_that_is_shown_is_left_out():
    assert len(TRANSCRIPTS) == BLOCKS.count("text")
    assert set(BLOCKS) == {"text", "bash"}  # bash: test_commands_in_the_book_run
    assert {*WHOLE, *ELSEWHERE} <= set(SPOKEN)


def test_pip_is_asked_for_extras_that_there_are():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r"pip install -e \"\.\[(\w+)\]", FAQ))
    assert named
    assert named <= project["optional-dependencies"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("words", [words for words in SPOKEN if words not in ELSEWHERE])
def test_commands_and_options_in_the_text_work(words, shown):
    if ".mp4" in words:
        for name in ("thermal", "visible"):
            write_video(shown / f"{name}.mp4", [80, 120])
    if "mine" in words:
        mdf.save(mdf.MambaDFuse(mdf.MambaDFuseConfig.lite()), shown / "mine.safetensors")
    if "THEIRS" in words:
        write_published(shown / "THEIRS.pth")
    if words.startswith("mdf."):
        assert eval(words, {"mdf": mdf}).config == mdf.MambaDFuseConfig.published()
    else:
        told(WHOLE.get(words, words))


def write_published(path: Path) -> None:
    """Random weights under the names and in the shapes of the authors' file."""
    shapes = json.loads((ROOT / "tests" / "golden" / "state_dict_shapes.json").read_text())
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
