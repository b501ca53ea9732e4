"""Images to judge by eye: one detail of several images, enlarged, and what fusion added or removed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from mambadfuse.metrics import grey

_COLUMN = 3.0  # inches


class Box(NamedTuple):
    """A rectangle within an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def gallery(pictures: Mapping[str, ArrayLike], columns: int) -> Figure:
    """Images of one size by title, row by row.

    Args:
        pictures: (H, W) or (H, W, 3), uint8 or floats in [0, 1].
        columns: images in a row.

    Raises:
        ValueError: there is no image, or the sizes differ.

    >>> figure = gallery({"a": np.zeros((4, 6)), "b": np.ones((4, 6)), "fused": np.ones((4, 6))}, columns=2)
    >>> [axes.get_title() for axes in figure.axes]
    ['a', 'b', 'fused', '']
    """
    shown = {title: np.asarray(picture) for title, picture in pictures.items()}
    height, width = _common_size(shown)
    figure, axes = _grid(columns, [height / width] * -(-len(shown) // columns))
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, picture) in zip(axes.flat, shown.items(), strict=False):
        _show(ax, picture, title)
    return figure


def zoom_panel(pictures: Mapping[str, ArrayLike], box: Box) -> Figure:
    """Images of one size side by side; below each, the same detail, enlarged without interpolation.

    Args:
        pictures: by title; (H, W) or (H, W, 3), uint8 or floats in [0, 1].
        box: the detail, which is framed in the images above.

    Raises:
        ValueError: there is no image, the sizes differ, or the box is empty or reaches beyond the images.
    """
    shown = {title: np.asarray(picture) for title, picture in pictures.items()}
    height, width = _common_size(shown)
    top, left, tall, wide = box
    if not (0 <= top < top + tall <= height and 0 <= left < left + wide <= width):
        raise ValueError(f"the box must lie in the {width}x{height} pixels of the images, found {box}")
    figure, axes = _grid(len(shown), [height / width, tall / wide])
    for k, (title, picture) in enumerate(shown.items()):
        _show(axes[0, k], picture, title)
        for edge, thickness in (("black", 3), ("white", 1.2)):  # visible on bright and on dark ground
            axes[0, k].add_patch(
                Rectangle(
                    (left - 0.5, top - 0.5), wide, tall, fill=False, edgecolor=edge, linewidth=thickness
                )
            )
        _show(axes[1, k], picture[top : top + tall, left : left + wide], "")
    return figure


def difference_panel(fused: ArrayLike, a: ArrayLike, b: ArrayLike) -> Figure:
    """The fused image and its sources; below each source, how the fused image differs from it.

    Both differences share one scale, in grey levels (0 ... 255): white where fused is brighter, black where it is
    darker, mid-grey where they are equal. Colour images are compared by their luma.

    Args:
        fused: (H, W) or (H, W, 3), uint8 or floats in [0, 1].
        a: first source, in the same form.
        b: second source, in the same form.

    Raises:
        ValueError: the sizes differ.
    """
    pictures = {"a": np.asarray(a), "b": np.asarray(b), "fused": np.asarray(fused)}
    height, width = _common_size(pictures)
    levels = {title: grey(picture, title).astype(int) for title, picture in pictures.items()}
    differences = {side: levels["fused"] - levels[side] for side in "ab"}
    reach = max(1, *(int(np.abs(difference).max()) for difference in differences.values()))
    figure, axes = _grid(3, [height / width] * 2)
    axes[1, 0].axis("off")
    _show(axes[0, 0], pictures["fused"], "fused")
    for k, side in enumerate("ab", start=1):
        _show(axes[0, k], pictures[side], side)
        drawn = axes[1, k].imshow(differences[side], cmap="gray", vmin=-reach, vmax=reach)
        axes[1, k].set_title(f"fused minus {side}")
        axes[1, k].axis("off")
    place = axes[1, 0].inset_axes((0.08, 0.5, 0.84, 0.09))
    bar = figure.colorbar(drawn, cax=place, orientation="horizontal", ticks=[-reach, 0, reach])
    bar.set_label("fused is darker | brighter, grey levels")
    return figure


def _common_size(pictures: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    """Height and width."""
    sizes = {title: picture.shape[:2] for title, picture in pictures.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"the images must be at least one, and of one size, found {sizes}")
    height, width = next(iter(sizes.values()))
    return height, width


def _grid(columns: int, aspects: list[float]) -> tuple[Figure, NDArray[Any]]:
    """A figure with one row for each aspect ratio, height / width, of the images in it."""
    size = (columns * _COLUMN, sum(_COLUMN * aspect + 0.35 for aspect in aspects))
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(len(aspects), columns, squeeze=False, height_ratios=aspects)


def _show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    white = 255 if picture.dtype == np.uint8 else 1
    axes.imshow(picture, cmap="gray", vmin=0, vmax=white, interpolation="nearest")
    axes.set_title(title, parse_math=False)
    axes.axis("off")
