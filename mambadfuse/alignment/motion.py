"""Motion models: families of plane motions as 3 x 3 matrices in pixel coordinates (x, y, 1).

x counts columns and y rows, both from 0 at the centre of the first pixel; a matrix is defined up to a factor, and its
last element is 1 here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
Plane = NDArray[np.float32]

# From rigid to flexible; "similarity" is only a step on the way to the last two.
MODELS = ("translation", "euclidean", "affine", "homography")


def check_model(model: str) -> None:
    """Refuses the name of an unknown motion model.

    Raises:
        ValueError: it is none of ``MODELS``.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, found {model!r}")


def generators(model: str, x: Plane, y: Plane) -> list[tuple[Plane, Plane]]:
    """The velocity (dx, dy) of every point (x, y) by each parameter of a model, where the motion is the identity."""
    one, zero = np.ones_like(x), np.zeros_like(x)
    shifts, turn, growth = [(one, zero), (zero, one)], (-y, x), (x, y)
    linear = [(x, zero), (y, zero), (zero, x), (zero, y)]
    return {
        "translation": shifts,
        "euclidean": [*shifts, turn],
        "similarity": [*shifts, turn, growth],
        "affine": [*shifts, *linear],
        "homography": [*shifts, *linear, (x * x, x * y), (x * y, y * y)],
    }[model]


def small_motion(model: str, p: NDArray[np.floating[Any]]) -> Matrix:
    """The motion of a model with parameters p, in the order of :func:`generators`."""
    matrix = np.eye(3)
    matrix[:2, 2] = p[:2]
    if model in ("euclidean", "similarity"):
        growth = 1 + p[3] if model == "similarity" else 1
        cosine, sine = growth * np.cos(p[2]), growth * np.sin(p[2])
        matrix[:2, :2] = [[cosine, -sine], [sine, cosine]]
    elif model in ("affine", "homography"):
        matrix[:2, :2] += p[2:6].reshape(2, 2)
        if model == "homography":
            matrix[2, :2] = -p[6:]
    return matrix


def normalise(matrix: Matrix) -> Matrix:
    """The same motion with 1 as its last element."""
    return matrix / matrix[2, 2]


def scaling(factor: float) -> Matrix:
    """From the pixel coordinates of an image to those of one resampled to ``factor`` times as many pixels a side."""
    return np.diag([factor, factor, 1.0])


def corners(size: tuple[int, int]) -> Matrix:
    """The centres of the four corner pixels of an image of size (H, W) as columns (x, y, 1)."""
    bottom, right = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])


def displacement(one: Matrix, other: Matrix, size: tuple[int, int]) -> NDArray[np.floating[Any]]:
    """How far apart two motions take each corner of an image of size (H, W): four distances in pixels.

    >>> import numpy as np
    >>> from mambadfuse.alignment.motion import displacement
    >>> shift = np.array([[1, 0, 3], [0, 1, 4], [0, 0, 1.0]])
    >>> displacement(shift, np.eye(3), (48, 64))
    array([5., 5., 5., 5.])
    """
    ends = [matrix @ corners(size) for matrix in (one, other)]
    apart = ends[0][:2] / ends[0][2] - ends[1][:2] / ends[1][2]
    return np.hypot(apart[0], apart[1])
