"""Fused images of an ablation side by side, to be judged by eye: a line for each pair, a column for each row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import fuse_with
from mambadfuse.models.checkpoints import load
from mambadfuse.plotting.fonts import legible

COLUMNS = 4  # images in a line, so that each is three inches wide


def fused_pictures(weights: Mapping[str, str | Path], pairs: Sequence[TrainingPair]) -> Figure:
    """Every pair as fused by the network of every row, after its two sources, each at least three inches wide.

    >>> from mambadfuse.ablation.default_pairs import toy_pairs
    >>> figure = fused_pictures({"default": "ivf"}, toy_pairs([0], (48, 64)))
    >>> [axes.get_title("left") for axes in figure.axes]
    ['toy 0: a', 'b', 'default']

    Args:
        weights: file by row, as :func:`mambadfuse.ablation.kept_weights` finds them.
        pairs: a few; they are fused whole.

    Raises:
        ValueError: there is no pair, or no file.
        CheckpointError: weights cannot be loaded.
    """
    if not (weights and pairs):
        raise ValueError(
            f"found {len(pairs)} pairs and weights of {len(weights)} rows, expected some of each"
        )
    networks = {row: load(path) for row, path in weights.items()}
    lines: list[list[tuple[str, np.ndarray]]] = []
    for pair in pairs:
        a, b = pair.pictures()
        shown = [(f"{pair.name}: a", a), ("b", b)]
        shown += [
            (row, np.asarray(fuse_with(network, a, b, FusionOptions(), warn=False).image))
            for row, network in networks.items()
        ]
        lines += [shown[k : k + COLUMNS] for k in range(0, len(shown), COLUMNS)]
    heights = [max(picture.shape[0] / picture.shape[1] for _, picture in line) for line in lines]
    columns = min(COLUMNS, max(map(len, lines)))
    figure = Figure(figsize=(3.1 * columns, sum(3.1 * h + 0.25 for h in heights)), layout="constrained")
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
    for axes, line in zip(grid, lines, strict=True):
        for one, (title, picture) in zip(axes, line, strict=False):
            one.imshow(picture, cmap="gray", vmin=0, vmax=255)
            text, family = legible(title)
            one.set_title(text, family=family, fontsize=9, loc="left", parse_math=False)
            one.set_axis_off()
        for unused in axes[len(line) :]:
            unused.remove()
    return figure
