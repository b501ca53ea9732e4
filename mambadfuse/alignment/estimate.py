"""From two grey images to the motion between them, coarse to fine, and how far to trust it."""

from math import ceil, log, sqrt

import numpy as np

from mambadfuse.alignment.edges import edge_maps
from mambadfuse.alignment.motion import Matrix, Plane, normalise, scaling
from mambadfuse.alignment.refinement import refine
from mambadfuse.alignment.resample import halve, resample, shrink
from mambadfuse.alignment.search import search, whitened_correlation_map

COARSEST = 96  # pixels: the shorter side of the smallest image is at least this, if it was to begin with
_ANGLES = np.radians(np.arange(-6, 7, 3))
_SCALE_STEP, _SCALE_REACH = 1.05, 1.1  # scales about that of the sizes
_STARTS = 3
_FIRST_MODEL = {"affine": "similarity", "homography": "similarity"}
# Of the confidence.
_BLUR, _PEAK, _AROUND = 1.0, 1.5, 5.0  # pixels: of edge maps, of the peak, and where its surroundings begin
_REACH = 4  # shifts up to a quarter of each side
_CHANCE, _CERTAIN = 6.0, 12.0  # z of unrelated images and of well aligned ones, see benchmarks/alignment.py


def estimate(moving: Plane, fixed: Plane, model: str) -> Matrix:
    """The motion from pixels of ``fixed`` to pixels of ``moving``, (H, W) each, that best matches their edges.

    A search over shifts, rotations and scales on small images gives a few starts. The best of them after refinement
    is refined again on images of twice the size, until these are the images themselves. Two images of different
    sizes are taken to show about the same field, unless the model knows no scale.
    """
    ratio = _size_ratio(moving, fixed) if model in _FIRST_MODEL else 1.0
    size = (ceil(moving.shape[0] / ratio), ceil(moving.shape[1] / ratio))
    alike = moving if ratio == 1 else resample(shrink(moving, ratio), scaling(ratio), size)[0]
    levels = [(alike, fixed)]
    while min(levels[-1][1].shape) >= 2 * COARSEST:
        levels.append((halve(levels[-1][0]), halve(levels[-1][1])))
    first = _FIRST_MODEL.get(model, model)
    smallest = levels[-1]
    starts = search(*smallest, *_grid(model, *smallest), _STARTS)
    motion, _ = max((refine(*smallest, start, first) for start in starts), key=lambda found: found[1])
    for depth in reversed(range(len(levels))):
        for step in dict.fromkeys(("affine", model) if model == "homography" else (model,)):
            motion, _ = refine(*levels[depth], motion, step)
        if depth:
            motion = scaling(2) @ motion @ scaling(0.5)
    return normalise(scaling(ratio) @ motion)


def _size_ratio(moving: Plane, fixed: Plane) -> float:
    """Pixels of ``moving`` per pixel of ``fixed``, along a side, if both show the same field."""
    return sqrt(moving.size / fixed.size)


def _grid(model: str, moving: Plane, fixed: Plane) -> tuple[list[float], list[float]]:
    """The rotations and scales to start from."""
    angles = [0.0] if model == "translation" else list(_ANGLES)
    if model not in _FIRST_MODEL:
        return angles, [1.0]
    ratios = [side / other for side, other in zip(moving.shape, fixed.shape, strict=True)]
    low, high = min(ratios) / _SCALE_REACH, max(ratios) * _SCALE_REACH
    count = 1 + round(log(high / low) / log(_SCALE_STEP))
    return angles, list(np.geomspace(low, high, count))


def confidence(moving: Plane, fixed: Plane, motion: Matrix) -> float:
    """How far to trust a motion from pixels of ``fixed`` to pixels of ``moving``, in [0, 1].

        z = (peak - mean) / standard deviation,   confidence = (z - 6) / 6, clipped

    The whitened correlation of the edge maps after the motion has its peak where no further shift is needed; mean
    and standard deviation are those of all shifts from 5 pixels to a quarter of each side, on the smallest images of
    :func:`estimate`.
    """
    while min(fixed.shape) >= 2 * COARSEST:
        moving, fixed, motion = halve(moving), halve(fixed), scaling(0.5) @ motion @ scaling(2)
    size = (fixed.shape[0], fixed.shape[1])
    warped = edge_maps(*resample(moving, motion, size), _BLUR)
    reach = (size[0] // _REACH, size[1] // _REACH)
    scores = whitened_correlation_map(edge_maps(fixed, np.ones(size, bool), _BLUR), warped, reach)
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    distance = np.hypot(x, y)
    far = scores[distance > _AROUND]
    z = (scores[distance <= _PEAK].max() - far.mean()) / (far.std() + 1e-12)
    return float(np.clip((z - _CHANCE) / (_CERTAIN - _CHANCE), 0, 1))
