"""The contact sheet: pairs and their fused images side by side, to be judged by eye."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mambadfuse.files import atomic_write
from mambadfuse.plotting.encode import png
from mambadfuse.plotting.fonts import legible

WIDEST, NARROWEST = 420, 128  # columns, in pixels
GAP, LINE = 8, 24  # the gap between images and the height of a line of text, in pixels
DPI = 100
LARGEST_FILE = 2_000_000  # bytes


class Row(NamedTuple):
    """One pair on the sheet; arrays, (H, W) or (H, W, 3), of uint8 or of floats in [0, 1]."""

    name: str
    a: NDArray[Any]
    b: NDArray[Any]
    fused: NDArray[Any]


def contact_sheet(
    rows: Sequence[Row], path: str | Path, sides: tuple[str, str] = ("side a", "side b")
) -> None:
    """Writes a PNG file of at most 2 MB with one row for each pair: its name above a | b | fused.

    Images keep their size up to a width of 420 pixels; all are reduced together if the file would get too large.

    Args:
        rows: the pairs.
        path: the file to write.
        sides: what each side shows, such as "infrared" and "visible"; the column titles.

    Raises:
        ValueError: there is no row.
        OSError: the file cannot be written.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one row, found none")
    column = max(NARROWEST, min(WIDEST, max(row.a.shape[1] for row in rows)))
    file = png(_draw(rows, column, (*sides, "fused")))
    while len(file) > LARGEST_FILE and column > NARROWEST:
        shrunk = int(column * (LARGEST_FILE / len(file)) ** 0.5)
        column = max(NARROWEST, min(shrunk, column - 1))
        file = png(_draw(rows, column, (*sides, "fused")))
    with atomic_write(Path(path)) as target:
        target.write(file)


def _draw(rows: Sequence[Row], column: int, titles: Sequence[str]) -> Figure:
    """The sheet with columns of ``column`` pixels; narrower images are not enlarged."""
    sizes = [_fit(row.a, column) for row in rows]
    width = GAP + 3 * (column + GAP)
    height = LINE + sum(LINE + tall + GAP for _, tall in sizes)
    sheet = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    lefts = [GAP + k * (column + GAP) for k in range(3)]
    y = height - LINE
    for left, title in zip(lefts, titles, strict=True):
        size = min(10, 1.2 * column / max(1, len(title)))  # a bold letter is 0.8 pixels wide per point
        sheet.text(left / width, y / height, title, fontsize=size, weight="bold", va="bottom")
    for row, (wide, tall) in zip(rows, sizes, strict=True):
        y -= LINE
        name, family = legible(row.name)
        sheet.text(
            GAP / width, (y + 4) / height, name, family=family, fontsize=9, va="bottom", parse_math=False
        )
        y -= tall
        for left, picture in zip(lefts, (row.a, row.b, row.fused), strict=True):
            axes = sheet.add_axes((left / width, y / height, wide / width, tall / height))
            axes.axis("off")
            white = 255 if picture.dtype == np.uint8 else 1
            axes.imshow(picture, cmap="gray", vmin=0, vmax=white, aspect="auto")
        y -= GAP
    return sheet


def _fit(picture: NDArray[Any], column: int) -> tuple[int, int]:
    """Width and height of an image on the sheet, in pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, column / width)
    return round(scale * width), max(1, round(scale * height))
