"""The glossary stays true: every name in its tables stands in the file that it points to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    (file, name)
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and line.endswith("` |")
    for _, names, _, _, file in [[cell.strip().strip("`") for cell in line.strip("|").split("|")]]
    for name in re.findall(r"\w+", names)
]


def test_the_tables_are_read():
    assert len(ROWS) > 80


@pytest.mark.parametrize(("file", "name"), ROWS)
def test_every_name_exists(file, name):
    text = (ROOT / "mambadfuse" / file).read_text(encoding="utf-8")
    assert re.search(rf"(?<!\w){name}(?!\w)", text), f"{file} does not know {name}"
