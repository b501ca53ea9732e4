"""The first cell of every notebook installs the kit where it is missing, says what it lacks, and else does nothing."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

PATHS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def first_code(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


class Shell:
    """Takes down what the cell would have run."""

    def __init__(self, address: str) -> None:
        self.names, self.ran = {"ADDRESS": address}, []

    def system(self, command: str) -> None:
        self.ran.append("!" + command.format(**self.names))

    def run_line_magic(self, magic: str, line: str) -> None:
        self.ran.append(f"%{magic} {line}")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the cell in an empty folder, with or without the kit, and returns the commands."""

    def run(address: str = "", *, installed: bool) -> list[str]:
        shell = Shell(address)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
        source = re.sub('^ADDRESS = ".*?"', f'ADDRESS = "{address}"', first_code(PATHS[0]), flags=re.M)
        exec(TransformerManager().transform_cell(source), {"get_ipython": lambda: shell})
        return shell.ran

    return run


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_cell_is_the_same_in_every_notebook(path):
    assert first_code(path) == first_code(PATHS[0])


def test_with_the_kit_nothing_is_run(run):
    assert run(installed=True) == []


def test_without_the_kit_it_asks_for_the_address(run):
    with pytest.raises(ModuleNotFoundError, match=r"ADDRESS.*make env"):
        run(installed=False)


def test_with_an_address_the_kit_is_fetched_and_installed(run):
    assert run("https://example.org/kit", installed=False) == [
        "!git clone -q --depth 1 https://example.org/kit kit",
        "%pip install -q ./kit",
    ]


def test_a_fetched_kit_is_worked_in(run, tmp_path):
    """So that paths to other files of the repository are those of a checkout, also after a restart."""
    (tmp_path / "kit" / "notebooks").mkdir(parents=True)
    run(installed=True)
    assert Path.cwd() == tmp_path / "kit" / "notebooks"
