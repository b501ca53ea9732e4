"""The tables of scores on the cards of weights, read back from their Markdown."""

import re
from pathlib import Path

from mambadfuse.evaluation.table import Scores
from mambadfuse.metrics import EIGHT

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_BETWEEN = re.compile(r"\n\s*\n|(?<=\|)\n(?!\|)|(?<!\|)\n(?=\|)")  # a table is a block of its own


def card_tables(card: str | Path) -> dict[str, dict[str, Scores]]:
    """The tables of a page that have all eight scores: of each, the means by row and score.

    A bold number, or a deviation behind it, makes no difference; a row with a gap is left out, and of rows with one
    name in a table the last is kept. The mean rank is read where a table has one.

    >>> from mambadfuse.resources import resource_folder
    >>> tables = card_tables(resource_folder("weights") / "ct-mri.md")
    >>> [row["these weights"]["SSIM"] > 1 for row in tables.values()]
    [True]

    Args:
        card: a Markdown file.

    Returns:
        The rows of each table, by the paragraph above it, as one line.
    """
    found, above = {}, ""
    for block in _BETWEEN.split(Path(card).read_text(encoding="utf-8").strip()):
        lines = [line.strip("|").split("|") for line in block.splitlines() if line.startswith("|")]
        header, *rows = [[cell.strip(" *") for cell in line] for line in lines] or [[]]
        if set(EIGHT) <= set(header):
            found[above] = dict(filter(None, (_row(header, *row) for row in rows)))
        above = " ".join(block.split())
    return found


def _row(header: list[str], name: str, *cells: str) -> tuple[str, Scores] | None:
    """The name and the means of a row; None if a number is missing, as in the line of dashes."""
    means = {}
    for key, cell in zip(header[1:], cells, strict=False):
        if key in (*EIGHT, "mean rank"):
            number = _NUMBER.match(cell)
            if not number:
                return None
            means[key] = float(number[0])
    return name, means
