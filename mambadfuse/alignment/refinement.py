"""Refinement: from nearly the right motion to a fraction of a pixel, step by step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mambadfuse.alignment.edges import edge_maps
from mambadfuse.alignment.motion import Matrix, Plane, displacement, generators, normalise, small_motion
from mambadfuse.alignment.resample import Mask, pixel_grid, resample

_BLUR = 1.5
_MARGIN = 4  # pixels next to what is unknown, whose edges are not those of the image
_STEPS = 20
_CLOSE = 0.05  # a step that moves no corner by more pixels is the last
_LONGEST = 0.1  # of a step, in half the longer side
_LEAST_OVERLAP = 0.4  # of the fixed image


def refine(moving: Plane, fixed: Plane, motion: Matrix, model: str) -> tuple[Matrix, float]:
    """Climbs to the nearest maximum of the correlation of both images' edge maps.

    The enhanced correlation coefficient of Evangelidis and Psarakis (2008) on all maps at once: with f the maps of
    ``fixed``, m those of ``moving`` after the motion and J their derivatives by the parameters of a small further
    motion, each step takes the parameters that maximise f·(m + J p) / |m + J p|. The edge maps are
    computed from the moved image, so they turn with it.

    Args:
        moving: (H, W).
        fixed: (H', W').
        motion: the first guess, from pixels of ``fixed`` to pixels of ``moving``.
        model: the motion model, or "similarity".

    Returns:
        The best motion on the way, and its score, which is the correlation times the square root of the overlap.
    """
    size = fixed.shape
    target = edge_maps(fixed, np.ones(size, bool), _BLUR)
    # Coordinates from -1 to 1 give the parameters comparable sizes.
    half = max(size) / 2
    to_unit = np.array([[1, 0, -(size[1] - 1) / 2], [0, 1, -(size[0] - 1) / 2], [0, 0, half]]) / half
    x, y = pixel_grid(size)
    velocities = generators(model, (x - (size[1] - 1) / 2) / half, (y - (size[0] - 1) / 2) / half)
    best, best_score = motion, -1.0
    for _ in range(_STEPS):
        warped, inside = resample(moving, motion, size)
        known = _away_from_edges(inside)
        if known.mean() < _LEAST_OVERLAP:
            break
        maps = edge_maps(warped, inside, _BLUR)
        f, m = target[:, known].ravel(), maps[:, known].ravel()
        score = float(f @ m / np.sqrt((f @ f) * (m @ m) + 1e-12) * np.sqrt(known.mean()))
        if score > best_score:
            best, best_score = motion, score
        down, across = (np.gradient(maps, axis=axis) * half for axis in (1, 2))
        jacobian = np.stack([(across * dx + down * dy)[:, known].ravel() for dx, dy in velocities], 1)
        p = _step(f, m, jacobian)
        p *= min(1, _LONGEST / (np.abs(p).max() + 1e-12))
        change = np.linalg.inv(to_unit) @ small_motion(model, p) @ to_unit
        motion = normalise(motion @ change)
        if displacement(change, np.eye(3), (size[0], size[1])).max() < _CLOSE:
            break
    return best, best_score


def _away_from_edges(inside: Mask) -> Mask:
    """Where an image is known together with its surroundings, the frame of the fixed image excepted."""
    return ndimage.minimum_filter(inside, 2 * _MARGIN + 1, mode="nearest")


def _step(f: Plane, m: Plane, jacobian: Plane) -> NDArray[np.floating[Any]]:
    """argmax over p of  f·(m + J p) / |m + J p|, in closed form; Gauss-Newton towards f where there is no maximum."""
    normal = (jacobian.T @ jacobian).astype(np.float64)
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal)) + 1e-12 * np.eye(len(normal))
    along_f, along_m = (jacobian.T @ f).astype(np.float64), (jacobian.T @ m).astype(np.float64)
    rest_m = m @ m - along_m @ np.linalg.solve(normal, along_m)
    rest_f = f @ m - along_f @ np.linalg.solve(normal, along_m)
    gain = rest_m / rest_f if rest_f > 0 else np.sqrt(m @ m / (f @ f + 1e-12))
    return np.linalg.solve(normal, gain * along_f - along_m)
