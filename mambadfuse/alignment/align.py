"""Aligning one image to another: the public function and what it returns."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mambadfuse.alignment.estimate import confidence, estimate
from mambadfuse.alignment.motion import Matrix, Plane, check_model, normalise
from mambadfuse.alignment.resample import Mask, resample, shrink
from mambadfuse.data.colour import Floats, luma
from mambadfuse.data.inputs import ImageLike, to_float_batch

TRUSTED = 0.5  # at a lower confidence, an alignment is as likely chance
SMALLEST = 32  # pixels a side


@dataclass(frozen=True)
class Alignment:
    """One image moved onto another.

    Attributes:
        image: the moved image, float32 in [0, 1], (H, W) or (H, W, 3), in the size (H, W) of the fixed one; black
            where the moving image does not reach.
        inside: where it does, (H, W).
        matrix: takes pixels (x, y, 1) of the moving image to pixels of the fixed one, up to a factor; (3, 3). x counts
            columns and y rows, from 0 at the centre of the first pixel.
        model: the motion model of the matrix.
        confidence: in [0, 1], see :func:`mambadfuse.alignment.estimate.confidence`.
    """

    image: Floats
    inside: Mask
    matrix: Matrix
    model: str
    confidence: float

    @property
    def trusted(self) -> bool:
        """Whether the confidence is at least 0.5."""
        return self.confidence >= TRUSTED

    def to_json(self) -> str:
        """Model, matrix, confidence, and the share of the fixed image that is covered, as a JSON object."""
        record = {
            "model": self.model,
            "matrix": self.matrix.tolist(),
            "maps": "pixels (x, y, 1) of the moving image to pixels of the fixed one",
            "size": list(self.inside.shape),
            "confidence": round(self.confidence, 3),
            "covered": round(float(self.inside.mean()), 4),
        }
        return json.dumps(record, indent=1) + "\n"


def align(moving: ImageLike, fixed: ImageLike, model: str = "affine") -> Alignment:
    """Moves an image of one modality onto an image of another, by the edges that they share.

    One plane motion is estimated for the whole image: parallax, which moves near things more than far ones, is
    not undone. Shifts up to a sixth of each side, rotations of 6 degrees and scales within 10 % are searched; a larger
    difference of the sizes counts as another resolution of the same field. Always look at the confidence.

    >>> import numpy as np
    >>> import mambadfuse as mdf
    >>> from mambadfuse.data.samples import samples
    >>> pair = samples("ivf")[1]
    >>> visible = mdf.read_image(pair.b)
    >>> found = mdf.align(mdf.read_image(pair.a)[:200, :260], visible[6:206, 9:269], model="translation")
    >>> np.round(found.matrix[:2, 2]).astype(int), found.trusted
    (array([-9, -6]), True)

    Args:
        moving: the image to be moved, of any kind that :func:`mambadfuse.fuse` takes.
        fixed: the image that stays as it is.
        model: "translation"; "euclidean", with rotation; "affine", with scale and shear; or "homography". The
            first two keep the size of pixels.

    Raises:
        ImageError: a file or Pillow image cannot be read.
        ValueError: the model is unknown; an input is a batch, has a side of fewer than 32 pixels, is not
            finite or not in [0, 1].
        TypeError: an input is of another kind.
    """
    check_model(model)
    pixels, target = (_single(x, name) for x, name in ((moving, "moving"), (fixed, "fixed")))
    source, goal = _grey(pixels), _grey(target)
    motion = estimate(source, goal, model)
    image, inside = _moved(pixels, motion, goal.shape)
    matrix = normalise(np.linalg.inv(motion))
    return Alignment(image, inside, matrix, model, confidence(source, goal, motion))


def _single(x: ImageLike, name: str) -> Floats:
    """An image as (H, W, C)."""
    batch = to_float_batch(x, name)
    if len(batch) != 1:
        raise ValueError(f"{name} must be one image, found a batch of {len(batch)}")
    if min(batch.shape[1:3]) < SMALLEST:
        found = f"{batch.shape[2]}x{batch.shape[1]}"
        raise ValueError(f"{name} must have at least {SMALLEST} pixels a side, found {found}")
    return batch[0]


def _grey(pixels: Floats) -> Plane:
    plane: Plane = (pixels[..., 0] if pixels.shape[-1] == 1 else luma(pixels)).astype(np.float32)
    return plane


def _moved(pixels: Floats, motion: Matrix, size: tuple[int, ...]) -> tuple[Floats, Mask]:
    """Every channel of an image, (H, W, C), after the motion, by cubic splines; black outside."""
    height, width = size
    growth = float(np.sqrt(abs(np.linalg.det(motion[:2, :2]))))
    channels = [
        resample(shrink(plane, growth), motion, (height, width), order=3)
        for plane in np.moveaxis(pixels, -1, 0)
    ]
    inside = channels[0][1]
    image = np.stack([np.clip(plane, 0, 1) * inside for plane, _ in channels], -1)
    return (image[..., 0] if image.shape[-1] == 1 else image), inside


def overlay(moved: Floats, fixed: Floats) -> NDArray[np.uint8]:
    """A red and cyan picture of two images of one size: edges with a coloured fringe do not lie on each other.

    Args:
        moved: red, float in [0, 1], (H, W) or (H, W, 3).
        fixed: cyan, of the same kind.

    Returns:
        uint8, (H, W, 3).

    Raises:
        ValueError: the sizes differ.
    """
    if moved.shape[:2] != fixed.shape[:2]:
        raise ValueError(f"moved and fixed must be of one size, found shapes {moved.shape} and {fixed.shape}")
    red, cyan = (x if x.ndim == 2 else luma(x) for x in (moved, fixed))
    return np.rint(255 * np.stack([red, cyan, cyan], -1)).astype(np.uint8)
