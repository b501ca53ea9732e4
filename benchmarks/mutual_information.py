"""How far pairs of files are off as they come: ``python -m benchmarks.mutual_information --a DIR --b DIR``.

A check on :mod:`benchmarks.alignment`, with nothing of the kit's edge maps or search. A shift and a rotation of side a
are sought that maximise the normalised mutual information (H(a) + H(b)) / H(a, b) of the smoothed magnitudes of the
gradients. Printed is the median displacement of the corners by the kit and by this method, and how far apart the two
are there.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage, optimize

from benchmarks.alignment import files
from mambadfuse.alignment.estimate import estimate
from mambadfuse.alignment.motion import displacement
from mambadfuse.alignment.resample import resample

REACH, BORDER, BINS = 7.0, 12, 32  # pixels and hundredths of a radian; pixels left out; of the histogram
STARTS = ((0.0, 0.0, 0.0), (2.0, 1.0, 0.1))


def gradients(image: np.ndarray) -> np.ndarray:
    blurred = ndimage.gaussian_filter(image, 1.0)
    magnitude = np.hypot(ndimage.sobel(blurred, 0), ndimage.sobel(blurred, 1))
    return np.log(ndimage.gaussian_filter(magnitude, 1.0) + 0.02)


def euclidean(shift_x: float, shift_y: float, hundredths: float, size: tuple[int, ...]) -> np.ndarray:
    """A rotation about the centre and a shift, as a motion of pixels (x, y, 1)."""
    angle, centre = hundredths / 100, np.array([size[1] - 1, size[0] - 1]) / 2
    motion = np.eye(3)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:2, 2] = centre - motion[:2, :2] @ centre + np.array([shift_x, shift_y])
    return motion


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    counts = np.histogram2d(a.ravel(), b.ravel(), BINS)[0] + 1e-3
    joint = counts / counts.sum()
    entropies = [-(p * np.log(p)).sum() for p in (joint.sum(1), joint.sum(0), joint)]
    return (entropies[0] + entropies[1]) / entropies[2]


def motion_by_mutual_information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    moving, fixed = gradients(a), gradients(b)
    inner = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))

    def loss(parameters: np.ndarray) -> float:
        warped, _ = resample(moving, euclidean(*parameters, a.shape), a.shape)
        return -mutual_information(warped[inner], fixed[inner])

    bounds = [(-REACH, REACH), (-REACH, REACH), (-2.0, 2.0)]
    options = {"maxfev": 160, "xtol": 0.02, "ftol": 1e-5}
    found = [optimize.minimize(loss, x, method="Powell", bounds=bounds, options=options) for x in STARTS]
    return euclidean(*min(found, key=lambda one: one.fun).x, a.shape)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutual_information", description=__doc__)
    parser.add_argument("--a", type=Path, required=True, help="folder of registered images, infrared or MRI")
    parser.add_argument("--b", type=Path, required=True, help="folder of their partners, of the same sizes")
    options = parser.parse_args()
    print("pair  kit  mutual information  apart  (pixels, median over the corners)")
    for k, case in enumerate(files(options.a, options.b, 0)):
        kit, other = estimate(case.a, case.b, "euclidean"), motion_by_mutual_information(case.a, case.b)
        pairs = ((np.eye(3), kit), (np.eye(3), other), (kit, other))
        off = [np.median(displacement(*two, case.a.shape)) for two in pairs]
        print(f"{k:4d} {off[0]:4.2f} {off[1]:19.2f} {off[2]:6.2f}", flush=True)


if __name__ == "__main__":
    main()
