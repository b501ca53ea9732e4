"""Numbers with a sign as colours: blue below zero, grey at zero, orange above; from dark to bright in grey print."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

_WIDTH = 8.4  # inches
_COLOURS = ("#02123d", "#1d4fa8", "#8a8a8a", "#f5a31f", "#fff6c4")
DIVERGING = LinearSegmentedColormap.from_list("blue, grey, orange", _COLOURS)


def signed_map(axes: Axes, values: ArrayLike, reach: float, title: str = "") -> AxesImage:
    """Draws a map (H, W) from -reach to reach, without ticks."""
    drawn = axes.imshow(values, cmap=DIVERGING, vmin=-reach, vmax=reach, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=11)
    return drawn


def signed_maps(maps: Mapping[str, ArrayLike], label: str) -> Figure:
    """Maps (H, W) of one size side by side, by title, on one scale that is symmetric about zero.

    Args:
        maps: by title; they share the scale, which ends at the 99th percentile of all their sizes.
        label: what is drawn, with its unit; it stands below the colour bar.

    Raises:
        ValueError: there is no map.

    >>> signed_maps({"a": np.ones((2, 3)), "b": np.zeros((2, 3))}, "grey levels").axes[0].get_title()
    'a'
    """
    if not maps:
        raise ValueError("there must be at least one map to draw, found none")
    values = np.stack([np.asarray(x) for x in maps.values()])
    reach = max(float(np.percentile(np.abs(values), 99)), 1e-12)
    height = _WIDTH / len(maps) * values.shape[1] / values.shape[2] + 1.1
    figure = Figure(figsize=(_WIDTH, height), dpi=100, layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    drawn = [signed_map(ax, x, reach, title) for ax, (title, x) in zip(axes, maps.items(), strict=True)]
    figure.colorbar(drawn[-1], ax=axes, location="bottom", shrink=0.5, aspect=30, label=label, extend="both")
    return figure
