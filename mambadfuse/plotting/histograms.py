"""Histograms of grey levels, of several images on one axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_STYLES = (("0.6", "-"), ("0.6", ":"), ("#0072B2", "-"), ("#D55E00", "--"))
_BINS = 64


def grey_histograms(pictures: Mapping[str, NDArray[np.floating]]) -> Figure:
    """The share of the pixels at each grey level, one line for each image.

    Args:
        pictures: at most four images by name, (H, W), 0 ... 255.

    >>> axes = grey_histograms({"a": np.zeros((4, 4)), "b": np.full((4, 4), 255.0)}).axes[0]
    >>> [float(patch.get_data().values.max()) for patch in axes.patches]
    [100.0, 100.0]
    """
    figure = Figure(figsize=(5.6, 3.6), dpi=100)
    figure.subplots_adjust(left=0.11, right=0.985, top=0.97, bottom=0.14)
    axes = figure.subplots()
    edges = np.linspace(0, 256, _BINS + 1)
    for (colour, line), (name, picture) in zip(_STYLES, pictures.items(), strict=False):
        share = 100 * np.histogram(picture, edges)[0] / picture.size
        axes.stairs(share, edges, color=colour, linestyle=line, linewidth=1.8, label=name)
    axes.set_xlim(0, 256)
    axes.set_xlabel("grey level")
    axes.set_ylabel(f"% of the pixels in {256 // _BINS} levels")
    axes.legend(fontsize=9)
    return figure
