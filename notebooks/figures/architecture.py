"""Draws the map of the network, and a copy with the part marked for each notebook that builds one.

python notebooks/figures/architecture.py writes architecture.png and architecture_03.png ... architecture_08.png.
"""

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mambadfuse.files import atomic_write
from mambadfuse.plotting import png

WIDTH, HEIGHT = 1.9, 1.25
NOTEBOOKS = ("03", "04", "05", "06", "07", "08")
PHASES = {"dual-level feature extraction": (1.9, 6.5), "dual-phase feature fusion": (6.8, 11.5)}


class Block(NamedTuple):
    """A box: its centre, its text, the notebook that builds it, and whether it contains a scan (notebook 03)."""

    x: float
    y: float
    text: str
    notebook: str
    scans: bool = True


BLOCKS = {
    "low a": Block(3.05, 3.2, "low level\nCNN", "05", scans=False),
    "low b": Block(3.05, 0.8, "low level\nCNN, the same", "05", scans=False),
    "high a": Block(5.35, 3.2, "high level\nMamba blocks", "04, 05"),
    "high b": Block(5.35, 0.8, "high level\nMamba blocks", "04, 05"),
    "exchange": Block(7.95, 2.0, "shallow fusion\nchannel exchange", "06"),
    "deep": Block(10.35, 2.0, "deep fusion\nM3 blocks", "07"),
    "rebuild": Block(12.95, 2.0, "reconstruction\nMamba, then CNN", "08"),
}
ENDS = {
    "a": (0.75, 3.2, "a\ninfrared\nor MRI"),
    "b": (0.75, 0.8, "b\nvisible, CT,\nPET or SPECT"),
    "fused": (15.1, 2.0, "fused"),
}
ARROWS = [
    ("a", "low a"),
    ("b", "low b"),
    ("low a", "high a"),
    ("low b", "high b"),
    ("high a", "exchange"),
    ("high b", "exchange"),
    ("exchange", "deep"),
    ("deep", "rebuild"),
    ("rebuild", "fused"),
]


def architecture(today: str | None = None) -> Figure:
    """The whole network; each box names its notebook, and those of notebook ``today`` have thick frames."""
    figure = Figure(figsize=(12, 3.9), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.1, 15.8), ylim=(-0.35, 4.85), aspect="equal")
    axes.set_axis_off()
    for title, (left, right) in PHASES.items():
        draw_box(axes, (left, -0.2), (right - left, 4.6), "#f2f2f2", "none")
        axes.text((left + right) / 2, 4.55, title, ha="center", fontsize=11, style="italic")
    for block in BLOCKS.values():
        marked = block.scans if today == "03" else today is not None and today in block.notebook
        face, line = ("#cfcfcf", 3.5) if marked else ("white", 1)
        draw_box(axes, (block.x - WIDTH / 2, block.y - HEIGHT / 2), (WIDTH, HEIGHT), face, "black", line)
        axes.text(block.x, block.y + 0.16, block.text, ha="center", va="center", fontsize=10)
        axes.text(block.x, block.y - 0.44, f"notebook {block.notebook}", ha="center", va="center", fontsize=8)
    for x, y, text in ENDS.values():
        axes.text(x, y, text, ha="center", va="center", fontsize=10, weight="bold")
    for start, end in ARROWS:
        draw_arrow(axes, start, end)
    return figure


def draw_box(
    axes: Axes, corner: tuple[float, float], size: tuple[float, float], face: str, edge: str, line: float = 1
) -> None:
    """A rectangle with rounded corners; ``line`` is the width of its edge in points."""
    shape = "round,pad=0,rounding_size=0.12"
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, fc=face, ec=edge, lw=line))


def draw_arrow(axes: Axes, start: str, end: str) -> None:
    """An arrow from the right edge of one block or end to the left edge of another."""
    (x0, y0), (x1, y1) = ((BLOCKS[name] if name in BLOCKS else ENDS[name])[:2] for name in (start, end))
    tail = (x0 + (WIDTH / 2 if start in BLOCKS else 0.75), y0)
    head = (x1 - (WIDTH / 2 if end in BLOCKS else 0.5), y1 + (0.25 if y0 > y1 else -0.25 if y0 < y1 else 0))
    axes.annotate(
        "", head, tail, arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 2, "shrinkB": 2}
    )


def write(name: str, figure: Figure) -> None:
    """Writes the figure into the folder of this script."""
    with atomic_write(Path(__file__).with_name(name)) as file:
        file.write(png(figure))


if __name__ == "__main__":
    write("architecture.png", architecture())
    for notebook in NOTEBOOKS:
        write(f"architecture_{notebook}.png", architecture(notebook))
