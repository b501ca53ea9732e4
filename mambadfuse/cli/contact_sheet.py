"""The contact sheet of a run of ``mambadfuse fuse``: pairs beside their results, read from their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mambadfuse.cli.messages import complain, say
from mambadfuse.data.tasks import MODALITIES, TASKS

MOST_ROWS = 24  # more pairs would be too small to judge


class Result(NamedTuple):
    """The files of a pair and of its fused image."""

    name: str
    a: Path
    b: Path
    fused: Path


def draw_sheet(results: Sequence[Result], path: Path, columns: tuple[str, str]) -> None:
    """Draws the results that exist, and prints where.

    Args:
        results: one a row.
        path: of the sheet, a .png file.
        columns: the titles of side a and side b.
    """
    from mambadfuse.data.images import read_image
    from mambadfuse.files import make_folder
    from mambadfuse.plotting import Row, contact_sheet

    done = [result for result in results if result.fused.exists()]
    if not done:
        complain("no contact sheet: there is no result to draw")
        return
    make_folder(path.parent)
    shown = done[:MOST_ROWS]
    rows = [Row(name, *(read_image(file) for file in files)) for name, *files in shown]
    contact_sheet(rows, path, columns)
    part = f" (the first {len(shown)} of {len(done)} pairs)" if len(shown) < len(done) else ""
    say(f"contact sheet: {path}{part}")


def titles(task: str) -> tuple[str, str]:
    """Titles for side a and side b of a task."""
    a, b = TASKS[task]
    return MODALITIES[a].title, MODALITIES[b].title
