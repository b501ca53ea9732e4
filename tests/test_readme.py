"""README and docs promise nothing that does not work: commands, Python examples, links."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from mambadfuse.cli import main
from mambadfuse.data import catalogue, download
from mambadfuse.data.samples import samples
from mambadfuse.ops import cuda

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
TEXT = "\n".join([README, *((ROOT / page).read_text(encoding="utf-8") for page in PAGES)])
LINKED = [
    "README.md", "CONTRIBUTING.md", *PAGES, "benchmarks/NOTES.md", "data_samples/README.md", "notebooks/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "weights").glob("*.md")),
]  # fmt: skip
README_LINES = 150


def blocks(language: str) -> list[str]:
    """The code blocks of README and docs, each text once."""
    return list(dict.fromkeys(re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)))


def commands() -> list[list[str]]:
    """Every line of the shell blocks as words, without its comment; each command once."""
    lines = [
        line for language in ("bash", "powershell") for text in blocks(language) for line in text.splitlines()
    ]
    found = (shlex.split(line.replace("\\", "/"), comments=True) for line in lines)
    return [list(words) for words in dict.fromkeys(tuple(words) for words in found if words)]


def program(words: list[str]) -> str:
    return Path(words[0]).name


OURS = [words for words in commands() if program(words) == "mambadfuse" and "--samples" not in words]
DOWNLOADS = [words for words in OURS if words[1:3] == ["data", "get"]]
EXPORTS = [words for words in OURS if words[1] == "export"]  # test_export.py runs them, and what they write
PIP = [shlex.join(words) for words in commands() if program(words) == "pip"]


@pytest.fixture
def desk(tmp_path) -> Path:
    """A folder with the images that the pages talk about: a piece of a sample pair under the names used there."""
    pair = samples("ivf")[0]
    for side, source in (("infrared", pair.a), ("visible", pair.b)):
        (tmp_path / side).mkdir()
        with Image.open(source) as picture:
            picture.crop((0, 0, 128, 64)).save(tmp_path / f"{side}.png")
        shutil.copy(tmp_path / f"{side}.png", tmp_path / side / "street.png")
    for text in [*blocks("py"), *blocks("yaml")]:  # files, with their name in the first line
        (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    for folder, confidence in (("boxes", ""), ("found", " 0.9")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "street.txt").write_text(f"0 0.5 0.5 0.25 0.5{confidence}\n")
    (tmp_path / "classes.txt").write_text("person\n")
    for method in ("ours", "theirs"):
        shutil.copytree(tmp_path / "visible", tmp_path / "results" / method)
    return tmp_path


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [w for w in OURS if w not in DOWNLOADS + EXPORTS], ids=shlex.join)
def test_commands_of_the_kit_run(words, desk):
    assert run([sys.executable, "-m", "mambadfuse", *words[1:]], desk)
    if "--out" in words and "--dry-run" not in words:
        assert (desk / words[words.index("--out") + 1]).exists()


@pytest.mark.parametrize("words", DOWNLOADS, ids=shlex.join)
def test_downloads_are_those_of_the_catalogue(words, monkeypatch):
    """No test needs the network; what a download does is tested against a server of its own."""
    asked = []
    monkeypatch.setattr(download, "get", lambda name, split: asked.append(catalogue.load(name).split(split)))
    assert main(words[1:]) == 0
    assert asked[0]


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_run(code, desk):
    before = set(desk.rglob("*"))
    assert run([sys.executable, "-c", code], desk) or set(desk.rglob("*")) > before


def test_every_make_command_is_a_target():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    spoken = re.findall(r"\bmake ([a-z-]+)\b`?", "\n".join(re.findall(r"`[^`]*`", TEXT + contributing)))
    shown = [words[1] for words in commands() if program(words) == "make"]
    assert {"fuse", "test"} <= set(shown)
    assert {*shown, *spoken} <= set(targets)


def test_fusing_the_samples_is_what_make_fuse_does():
    """All samples take a while, and `make fuse` is run by every check anyway."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = [shlex.join(words) for words in commands() if "--samples" in words]
    assert shown
    made = makefile.replace(" --overwrite", "")
    assert all(f"\t$(BIN)/{command}\n" in made for command in shown)


def test_the_workflow_runs_the_make_commands_that_are_shown():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    run = re.findall(r"^make .*$", script, flags=re.M)
    assert run == ["make fuse", "make bench-quick", "make test"]
    assert {shlex.join(words) for words in commands() if program(words) == "make"} <= set(run)


def test_make_check_is_a_part_of_make_test():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    needs = dict(re.findall(r"^([a-z-]+): ([a-z -]+?)(?:  ##.*)?$", makefile, flags=re.M))
    recipes = dict(re.findall(r"^([a-z-]+): .*\n\t(.*)$", makefile, flags=re.M))
    assert (needs["test"], needs["lint"], needs["check"]) == ("lint", "style types", "style")
    assert recipes["check"].endswith(" types fast-tests")
    assert recipes["test"] == "$(PYTEST) tests"
    assert recipes["fast-tests"] == '$(PYTEST) -m "not slow" tests'


def test_pip_commands_are_those_of_the_workflow_or_of_the_doctor(monkeypatch):
    """They change the environment, so they are not run here but compared with what is run elsewhere."""
    monkeypatch.setattr(torch.version, "cuda", None)  # then the CUDA backend says how to get it
    _, remedy = cuda.unusable()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    rows = workflow["jobs"]["pip"]["strategy"]["matrix"]["include"]
    steps = [step.get("run", "") for step in workflow["jobs"]["pip"]["steps"]]
    run_by_ci = {
        step.replace("${{ matrix.constraints }}", row["constraints"]) for step in steps for row in rows
    }
    known = "\n".join([*run_by_ci, remedy])
    for command in PIP:
        assert command.replace("'", '"') in known, f"neither the workflow nor the doctor knows: {command}"


def test_conda_commands_name_the_file_and_the_environment():
    """conda itself is not run by any test."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    spoken = [shlex.join(words) for words in commands() if program(words) == "conda"]
    assert spoken == ["conda env create -f environment.yml", f"conda activate {environment['name']}"]


def test_no_other_program_is_asked_for():
    known = {"make", "mambadfuse", "pip", "conda"}
    others = [words for words in commands() if program(words) not in known]
    assert others == [["py", "-3.11", "-m", "venv", ".venv"], [".venv/Scripts/activate"]]  # Windows, not run


def headings(document: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)", document.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", LINKED)
def test_every_relative_link_leads_somewhere(document):
    page = ROOT / document
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{document} links to {link}, which is not there"
            assert not heading or heading in headings(target), f"{document}: {target.name} has no #{heading}"


def test_the_readme_is_short_and_leads_to_every_page():
    assert len(README.splitlines()) <= README_LINES
    assert set(PAGES) <= set(re.findall(r"\]\(([^)#]+)[^)]*\)", README))


def test_the_readme_names_every_folder():
    command = ["git", "-c", "safe.directory=*", "ls-files"]
    try:
        files = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of tracked files")
    folders = {f"{name.split('/')[0]}/" for name in files.splitlines() if "/" in name}
    first_cells = re.findall(r"^\| ([^|]+) \|", README, flags=re.M)
    assert folders <= {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
