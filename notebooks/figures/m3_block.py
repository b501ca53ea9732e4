"""Draws m3_block.png, one M3 block with a gate per branch and with one gate: python notebooks/figures/m3_block.py"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from mambadfuse.files import atomic_write
from mambadfuse.plotting import png

BRANCHES = {"f": 1.0, "a": 3.4, "b": 5.8}
GATE = "#cfcfcf"


def m3_block() -> Figure:
    """Left: a gate for each branch (published code). Right: one gate for the sum (figure of the paper)."""
    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    for axes, own in zip(figure.subplots(1, 2), (True, False), strict=True):
        axes.set(xlim=(-0.2, 7.4), ylim=(-0.5, 7.6), aspect="equal")
        axes.set_axis_off()
        for branch in BRANCHES:
            draw_branch(axes, branch, own)
        draw_end(axes, own)
        title = 'gate="own": the published code' if own else 'gate="shared": the figure of the paper'
        axes.set_title(title, fontsize=12, weight="bold")
    return figure


def draw_branch(axes: Axes, branch: str, own: bool) -> None:
    """Norm, projection, convolution and scan of one branch, and its gate if it has one."""
    x = BRANCHES[branch]
    axes.text(
        x,
        7.3,
        "r' = f + r" if branch == "f" else branch,
        ha="center",
        va="center",
        fontsize=11,
        weight="bold",
    )
    arrow(axes, (x, 7.1), (x, 6.75))
    box(axes, x, 6.45, f"LN$_{branch}$" + (" twice" if own else ""))
    arrow(axes, (x, 6.15), (x, 5.75))
    box(axes, x, 5.45, f"in_proj$_{branch}$")
    arrow(axes, (x - 0.3, 5.15), (x - 0.3, 4.65))
    axes.text(x - 0.42, 4.9, "u", ha="right", va="center", fontsize=10)
    box(axes, x - 0.3, 4.25, "conv, scan", height=0.8, width=1.2)
    gated = own or branch == "f"
    if not gated:
        arrow(axes, (x - 0.3, 3.85), (x - 0.3, 2.9))
        return
    axes.text(x + 0.68, 4.9, "z", ha="left", va="center", fontsize=10)
    axes.text(x + 0.68, 4.25, "silu", ha="left", va="center", fontsize=9, rotation=90)
    if own:
        axes.plot([x + 0.6, x + 0.6], [5.15, 3.3], color="black", lw=1)
        arrow(axes, (x + 0.6, 3.3), (x - 0.08, 3.3))
        arrow(axes, (x - 0.3, 3.85), (x - 0.3, 3.52))
        node(axes, x - 0.3, 3.3, r"$\times$", GATE)
        arrow(axes, (x - 0.3, 3.08), (x - 0.3, 2.9))
    else:
        arrow(axes, (x - 0.3, 3.85), (x - 0.3, 2.9))


def draw_end(axes: Axes, own: bool) -> None:
    """The sum of the three branches and what follows it."""
    middle = BRANCHES["a"] - 0.3
    axes.plot([BRANCHES["f"] - 0.3, BRANCHES["b"] - 0.3], [2.9, 2.9], color="black", lw=1)
    arrow(axes, (middle, 2.9), (middle, 2.52))
    node(axes, middle, 2.3, "+", "white")
    if not own:
        node(axes, middle, 1.62, r"$\times$", GATE)
        arrow(axes, (middle, 2.08), (middle, 1.84))
        gate = BRANCHES["f"] + 0.6
        axes.plot(
            [gate, gate], [3.05, 2.75], color="white", lw=5, zorder=2
        )  # crosses the sum without joining
        axes.plot([gate, gate], [5.15, 1.62], color="black", lw=1, zorder=2)
        arrow(axes, (gate, 1.62), (middle - 0.22, 1.62))
    arrow(axes, (middle, 2.08 if own else 1.4), (middle, 1.15))
    box(axes, middle, 0.85, "out_proj")
    if own:
        arrow(axes, (middle + 0.8, 0.85), (middle + 1.5, 0.85))
        box(axes, middle + 2.5, 0.85, "3x3 conv\n+ skip", height=0.8, width=2.0)
        arrow(axes, (middle + 2.5, 0.45), (middle + 2.5, 0.05))
        axes.text(middle + 2.5, -0.15, "f'", ha="center", va="center", fontsize=11, weight="bold")
    else:
        arrow(axes, (middle, 0.55), (middle, 0.05))
        axes.text(middle, -0.15, "f'", ha="center", va="center", fontsize=11, weight="bold")


def box(axes: Axes, x: float, y: float, text: str, height: float = 0.6, width: float = 1.6) -> None:
    """A rectangle with rounded corners around its text."""
    corner, shape = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.1"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=shape, fc="white", ec="black"))
    axes.text(x, y, text, ha="center", va="center", fontsize=10)


def node(axes: Axes, x: float, y: float, sign: str, face: str) -> None:
    """The circle of a sum or a product; products with a gate are filled."""
    axes.add_patch(Circle((x, y), 0.22, fc=face, ec="black", zorder=3))
    axes.text(x, y - 0.01, sign, ha="center", va="center", fontsize=13, zorder=4)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A thin black arrow."""
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
    )


if __name__ == "__main__":
    with atomic_write(Path(__file__).with_name("m3_block.png")) as file:
        file.write(png(m3_block()))
