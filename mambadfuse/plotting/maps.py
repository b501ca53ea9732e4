"""Maps of one quantity, side by side on one scale, and the details of a Laplacian pyramid."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

_COLUMN = 2.7  # inches
_REACH = 40  # grey levels, black and white in a map of details


def map_panel(
    maps: Mapping[str, ArrayLike], *, label: str, low: float = 0.0, high: float = 1.0, columns: int = 3
) -> Figure:
    """Maps (H, W) by title, from dark (``low``) to bright (``high``), with one bar for all.

    The colours are those of cividis, whose brightness rises evenly: they can be told apart in grey and by the
    colour-blind.

    Raises:
        ValueError: there is no map.

    >>> panel = map_panel({"SSIM": np.eye(4), "VIF": np.ones((4, 4))}, label="kept of a")
    >>> [axes.get_title() for axes in panel.axes]
    ['SSIM', 'VIF', '']
    """
    if not maps:
        raise ValueError("there must be at least one map to draw, found none")
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    height = max(np.shape(x)[0] / np.shape(x)[1] for x in maps.values()) * _COLUMN + 0.3
    figure = Figure(figsize=(columns * _COLUMN + 0.8, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (title, x) in zip(grid, maps.items(), strict=False):
        drawn = axes.imshow(x, cmap="cividis", vmin=low, vmax=high)
        axes.set_title(title, fontsize=10)
    figure.colorbar(drawn, ax=grid.tolist(), label=label, fraction=0.03)
    return figure


def detail_panel(details_a: Sequence[ArrayLike], details_b: Sequence[ArrayLike]) -> Figure:
    """The details of two sources at each scale, and whose is the stronger one.

    One row for each scale: the detail of a and of b, mid-grey for none, white for +40 and black for -40 grey levels;
    then white where that of a is chosen.

    >>> panel = detail_panel([np.zeros((4, 4))], [np.ones((4, 4))])
    >>> [axes.get_title() for axes in panel.axes]
    ['$L_0$ of a', '$L_0$ of b', 'white: a is chosen', '']
    """
    rows = len(details_a)
    aspect = np.shape(details_a[0])[0] / np.shape(details_a[0])[1]
    figure = Figure(
        figsize=(3 * _COLUMN + 0.8, rows * (_COLUMN * aspect + 0.3)), dpi=90, layout="constrained"
    )
    grid = figure.subplots(rows, 3, squeeze=False)
    for k, (axes, L_a, L_b) in enumerate(zip(grid, details_a, details_b, strict=True)):
        for column, (side, L) in enumerate((("a", L_a), ("b", L_b))):
            drawn = axes[column].imshow(L, cmap="gray", vmin=-_REACH, vmax=_REACH)
            axes[column].set_title(f"$L_{k}$ of {side}", fontsize=10)
        axes[2].imshow(np.abs(L_a) >= np.abs(L_b), cmap="gray", vmin=0, vmax=1)
        axes[2].set_title("white: a is chosen", fontsize=10)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
    figure.colorbar(
        drawn, ax=grid.ravel().tolist(), label="grey levels of detail", location="left", fraction=0.03
    )
    return figure
