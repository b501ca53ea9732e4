"""The contact sheet of a run of ``mambadfuse fuse``: pairs beside their results, read from their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mambadfuse.cli.messages import complain
from mambadfuse.data.tasks import MODALITIES, TASKS

if TYPE_CHECKING:
    from mambadfuse.data.stretch import Stretch

MOST_ROWS = 24  # more pairs would be too small to judge


class Result(NamedTuple):
    """The files of a pair and of its fused image."""

    name: str
    a: Path
    b: Path
    fused: Path


class Reading(NamedTuple):
    """How the images of one side are read, as by :func:`mambadfuse.data.images.read_image`."""

    stretch: "Stretch | None" = None
    alpha: str = "black"


def draw_sheet(
    results: Sequence[Result],
    path: Path,
    columns: tuple[str, str],
    reading: tuple[Reading, Reading] = (Reading(), Reading()),
) -> None:
    """Draws the results that exist, and prints where.

    Args:
        results: one a row.
        path: of the sheet, a .png file.
        columns: the titles of side a and side b.
        reading: how side a and side b are read.
    """
    from mambadfuse.data.images import read_picture
    from mambadfuse.files import make_folder
    from mambadfuse.plotting import Row, contact_sheet

    done = [result for result in results if result.fused.exists()]
    if not done:
        complain("no contact sheet: there is no result to draw")
        return
    make_folder(path.parent)
    shown = done[:MOST_ROWS]
    hows = (*reading, Reading())
    rows = [
        Row(
            name,
            *(read_picture(file, **how._asdict()).pixels for file, how in zip(files, hows, strict=True)),
        )
        for name, *files in shown
    ]
    contact_sheet(rows, path, columns)
    part = f" (the first {len(shown)} of {len(done)} pairs)" if len(shown) < len(done) else ""
    print(f"contact sheet: {path}{part}")


def titles(task: str) -> tuple[str, str]:
    """Titles for side a and side b of a task."""
    a, b = TASKS[task]
    return MODALITIES[a].title, MODALITIES[b].title
