"""The definitions that tests see of a notebook, without anything that it computes."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebook_code import defined_in, definitions


def cells(*sources: str, tags: tuple[str, ...] = ()) -> list:
    return [new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]


def kept(*sources: str) -> set[str]:
    found = defined_in(new_notebook(cells=cells(*sources)))
    return {name for name in found if not name.startswith("__")}


def test_imports_constants_functions_and_classes_are_kept():
    found = kept(
        "import math\nfrom math import pi as circle",
        "N, STEPS = 2, [k for k in range(3)]\nRATE: float = N * math.pi",
        "@staticmethod\ndef double(x=N):\n    return 2 * x",
        "class Unit:\n    size = N",
    )
    assert found == {"math", "circle", "N", "STEPS", "RATE", "double", "Unit"}


def test_nothing_is_computed_and_nothing_is_printed(capsys):
    found = kept(
        "x = 1 / 0\nprint(x)\nraise SystemExit",
        "Y = x + 1  # depends on a result",
        "EMPTY: int",
        "from pathlib import Path\nTHERE = print('made')",
    )
    assert found == {"Path", "THERE"}
    assert capsys.readouterr() == ("", "")


def test_magics_and_comments_break_nothing():
    assert kept("%pip install x\nimport math", "!ls", "%%time\nz = 1", "# nothing", "") == {"math"}


def test_solutions_and_text_are_left_out():
    book = new_notebook(
        cells=[
            new_markdown_cell("class No: is not Python"),
            *cells("def answer():\n    return None"),
            *cells("def answer():\n    return 42", tags=("solution",)),
        ]
    )
    assert defined_in(book)["answer"]() is None


def test_definitions_see_those_of_earlier_cells():
    names = defined_in(
        new_notebook(cells=cells("def one():\n    return 1", "def two():\n    return 2 * one()"))
    )
    assert names["two"]() == 2


def test_the_first_notebook():
    names = definitions("00")
    assert callable(names["overlay"])
    assert "pairs" not in names


def test_a_missing_notebook_is_named():
    with pytest.raises(
        FileNotFoundError, match=r"expected one notebook 77_\*\.ipynb in notebooks/, found none"
    ):
        definitions("77")
