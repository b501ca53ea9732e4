"""Measuring the faults of folders of fused images, of a network, and of the classical baselines."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mambadfuse.data.pairs import PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.evaluation.fault_table import WHITE_PIXELS, FaultTable, tabulate
from mambadfuse.evaluation.faults import Fuse, measure, raster_bias, tile_seam, white_pixels
from mambadfuse.evaluation.methods import Fusion, Judge, Key, folders_by_name, judge_pairs, read_from
from mambadfuse.evaluation.table import BASELINE, RESULT, WEIGHTS, Scores
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import Model, fuse_with, load_model
from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.fusion.tiling import TiledModel

_TILE, _OVERLAP = 256, 64  # pixels


def measure_folders(
    fused: str | Path | Sequence[str | Path],
    a: str | Path | PairSet,
    b: str | Path | None = None,
    *,
    model: Model | None = None,
    contrast: float | None = None,
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    stretch_each: bool = False,
    resize: str | None = None,
    alpha: str = "black",
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> FaultTable:
    """The faults of folders of fused images, and of what a network and the baselines make of the same pairs.

    Pairs and fused images are found as by :func:`mambadfuse.evaluation.folders.evaluate_folders`, colour images are
    judged by their luma, and what cannot be measured becomes one of the problems of the table. Raster bias and tile
    seam are those of the network and of :data:`mambadfuse.fusion.baselines.BASELINES`; tiles have 256 pixels, so that
    a smaller image cannot have a seam. The network fuses each pair up to five times.

    >>> from mambadfuse.evaluation.fault_folders import measure_folders
    >>> from mambadfuse.resources import resource_folder
    >>> images = resource_folder("data_samples") / "ivf"
    >>> table = measure_folders(images / "ir", images / "ir", images / "vi", progress=False)
    >>> for method in table.methods:
    ...     print(f"{method.label}: {method.means['overshoot']:.1f} %")
    ir: 0.0 %
    mean (baseline): 0.0 %
    maximum (baseline): 0.0 %
    laplacian pyramid (baseline): 4.1 %

    Args:
        fused: one folder for each method, or none: ``()``.
        a: the folder of one side, or of both, or the pairs themselves; with a model that of the infrared or MRI side.
        b: the folder of the other side; None or ``a`` if both lie below ``a``.
        model: whose faults are measured as well, as in :func:`mambadfuse.fuse`; None for no network.
        contrast: of the network, as there.
        stretch: how the sources are read, as in :func:`mambadfuse.fuse_folders`: as when they were fused.
        stretch_b: the same for side b.
        stretch_each: as there.
        resize: as there.
        alpha: as there.
        shard: (3, 16) measures the third of 16 equal parts of the pairs alone, see
            :mod:`mambadfuse.evaluation.shards`.
        progress: whether to show a progress bar.

    Returns:
        The table. A folder without any image that can be measured is not in it, but among its problems.

    Raises:
        PairError: a folder is missing or empty, or has no image in common with the others.
        ValueError: a folder is given twice, nothing can be compared, or a contrast is not positive or without model.
        CheckpointError: the weights cannot be loaded.
    """
    if contrast is not None:
        check_contrast(contrast)
        if model is None:
            raise ValueError("contrast is that of a model: give one")
    reading = PairReading.of(stretch, stretch_b, resize, alpha)
    found = reading.find_pairs(a, b)
    judges: dict[Key, Judge] = {
        (RESULT, name): _of_results(read_from(folder, found.pairs))
        for name, folder in folders_by_name(fused).items()
    }
    if model is not None:
        judges[WEIGHTS, _name(model)] = _of_fusing(load_model(model), contrast)
    judges |= {(BASELINE, name): _of_fusing(_Baseline(fusion)) for name, fusion in BASELINES.items()}
    judged = judge_pairs(
        found,
        judges,
        reading,
        "measure",
        stretch_each=stretch_each,
        shard=shard,
        progress=progress,
        in_parallel=model is None,  # a network takes all cores for one pair
    )
    return replace(tabulate(judged.numbers, judged.pictures, judged.problems), shard=shard)


def fusing_faults(
    network: nn.Module, fused: np.ndarray, a: np.ndarray, b: np.ndarray, contrast: float | None = None
) -> dict[str, float]:
    """The faults in ``FAULTS_OF_FUSING`` of a network, by name, which fuses the pair up to four more times.

    Args:
        network: that fuses.
        fused: what it makes of the pair, uint8, (H, W).
        a: first source, in the same form.
        b: second source, in the same form.
        contrast: as in :func:`mambadfuse.fuse`.
    """
    tiled = _fused_by(TiledModel(network, _TILE, _OVERLAP), contrast)
    return {
        "raster bias": raster_bias(_fused_by(network, contrast), a, b, fused),
        "tile seam": tile_seam(fused, tiled(a, b)) if max(a.shape) > _TILE else math.nan,
    }


def _name(model: Model) -> str:
    return type(model).__name__ if isinstance(model, nn.Module) else str(model)


def _of_results(fusion: Fusion) -> Judge:
    return lambda name, a, b: _of_image(fusion(name, a, b), a, b)


def _of_image(fused: np.ndarray, a: np.ndarray, b: np.ndarray) -> Scores:
    return {**measure(fused, a, b), WHITE_PIXELS: white_pixels(fused)}


def _of_fusing(network: nn.Module, contrast: float | None = None) -> Judge:
    def judge(name: str, a: np.ndarray, b: np.ndarray) -> Scores:
        fused = _fused_by(network, contrast)(a, b)
        return {**_of_image(fused, a, b), **fusing_faults(network, fused, a, b, contrast)}

    return judge


def _fused_by(network: nn.Module, contrast: float | None) -> Fuse:
    options = FusionOptions(contrast=contrast)
    return lambda a, b: np.asarray(fuse_with(network, a, b, options, warn=False).image)


class _Baseline(nn.Module):
    """A baseline in the place of a network, from whole grey levels to whole grey levels, (1, 1, H, W)."""

    def __init__(self, fusion: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.fusion = fusion

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        levels_a, levels_b = ((255 * x[0, 0]).round().to(torch.uint8).numpy() for x in (a, b))
        return torch.from_numpy(self.fusion(levels_a, levels_b))[None, None] / 255
