"""The contact sheet of a run of ``mambadfuse fuse``: pairs beside their results, read from their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mambadfuse.cli.messages import complain, say
from mambadfuse.data.tasks import MODALITIES, TASKS

if TYPE_CHECKING:
    from mambadfuse.data.colour import Floats
    from mambadfuse.data.reading import SideReading

MOST_ROWS = 24  # more pairs would be too small to judge


class Result(NamedTuple):
    """The files of a pair and of its fused image."""

    name: str
    a: Path
    b: Path
    fused: Path


def draw_sheet(
    results: Sequence[Result],
    path: Path,
    columns: tuple[str, str],
    reading: "tuple[SideReading, SideReading] | None" = None,
) -> None:
    """Draws the results that exist, and prints where.

    Args:
        results: one a row.
        path: of the sheet, a .png file.
        columns: the titles of side a and side b.
        reading: how side a and side b are read; None for as they are.
    """
    from mambadfuse.data.images import read_picture
    from mambadfuse.data.reading import PairReading, SideReading
    from mambadfuse.files import make_folder
    from mambadfuse.plotting import Row, contact_sheet

    done = [result for result in results if result.fused.exists()]
    if not done:
        complain("no contact sheet: there is no result to draw")
        return
    shown = done[:MOST_ROWS]
    hows = (*(reading or PairReading().sides), SideReading())

    def pixels(files: Sequence[Path]) -> "list[Floats]":
        return [
            read_picture(file, stretch=how.stretch, alpha=how.alpha).pixels
            for file, how in zip(files, hows, strict=True)
        ]

    rows = [Row(name, *pixels(files)) for name, *files in shown]
    make_folder(path.parent)
    contact_sheet(rows, path, columns)
    part = f" (the first {len(shown)} of {len(done)} pairs)" if len(shown) < len(done) else ""
    say(f"contact sheet: {path}{part}")


def titles(task: str) -> tuple[str, str]:
    """Titles for side a and side b of a task."""
    a, b = TASKS[task]
    return MODALITIES[a].title, MODALITIES[b].title
