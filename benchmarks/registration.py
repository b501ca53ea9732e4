"""How often the check for unregistered pairs speaks up: ``python -m benchmarks.registration [--pairs A B ...]``.

Each pair is shifted by 0 to 10 pixels in a random direction and cut to what both sides still show, which the remark
about a shift should notice, or side b is turned about its centre, after which nothing should match. At 0 every remark
is a false alarm, unless the files themselves are off. Made-up pairs come first, then each two folders of ``--pairs``.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.alignment import two_views
from mambadfuse.alignment.registration import registration_remark, shift_remark

Pair = tuple[np.ndarray, np.ndarray]


def shifted(a: np.ndarray, b: np.ndarray, right: int, down: int) -> Pair:
    """A pair of which side a lies ``right`` and ``down`` pixels off, cut to what both sides show, without a border."""
    height, width = a.shape[:2]
    a = a[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    return a, b[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]


def turned(a: np.ndarray, b: np.ndarray, degrees: float) -> Pair:
    """A pair of which side b is turned about its centre; its border is repeated outside."""
    return a, ndimage.rotate(b, degrees, reshape=False, order=1, mode="nearest")


def rates(pairs: Iterable[Pair], shifts: list[int], degrees: list[int]) -> tuple[int, list[float]]:
    """How many pairs there are, and the share with a remark after each shift, then after each turn."""
    rng, remarks = np.random.default_rng(0), []
    for a, b in pairs:
        angle = rng.uniform(0, 2 * np.pi)
        ends = [(round(shift * np.cos(angle)), round(shift * np.sin(angle))) for shift in shifts]
        remarks.append(
            [shift_remark(*shifted(a, b, *end)) is not None for end in ends]
            + [registration_remark(*turned(a, b, degree)) is not None for degree in degrees]
        )
    return len(remarks), np.mean(remarks, 0).tolist()


def files(folder_a: Path, folder_b: Path) -> Iterable[Pair]:
    from mambadfuse.data.discovery import find_pairs
    from mambadfuse.data.limited_range import read_luma

    for pair in find_pairs(folder_a, folder_b).pairs:
        a, b = (read_luma(path).astype(np.float32) / 255 for path in (pair.a, pair.b))
        yield a, b


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registration", description=__doc__)
    parser.add_argument(
        "--pairs", nargs="+", type=Path, default=[], help="folders: A B of one set, A B of the next"
    )
    parser.add_argument("--made-up", type=int, default=100, help="number of made-up pairs")
    parser.add_argument("--shifts", nargs="+", type=int, default=list(range(11)), help="in pixels")
    parser.add_argument("--degrees", nargs="+", type=int, default=[0, 1, 2, 3, 5, 8], help="turns of side b")
    options = parser.parse_args()
    if len(options.pairs) % 2:
        parser.error("--pairs: expected two folders for each set")
    sets: dict[str, Iterable[Pair]] = {}
    if options.made_up:
        sets["made up"] = (two_views(seed) for seed in range(options.made_up))
    for a, b in zip(options.pairs[::2], options.pairs[1::2], strict=True):
        sets["/".join(b.parts[-3:])] = files(a, b)
    heads = [f"{shift} px" for shift in options.shifts] + [f"{degree}°" for degree in options.degrees]
    print(f"{'pairs with a remark, %':40}" + "".join(f"{head:>7}" for head in heads))
    for name, pairs in sets.items():
        count, shares = rates(pairs, options.shifts, options.degrees)
        print(f"{name + f' ({count})':40}" + "".join(f"{100 * share:7.1f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
