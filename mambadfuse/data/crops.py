"""Training batches: the same random window of both pictures of a pair, in one of eight orientations.

The windows of a step are drawn from (seed, step) alone. There is no sampler state: a run that stops and resumes
at any step sees exactly the batches it would have seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mambadfuse.data.pairs import match_pairs
from mambadfuse.data.video_range import read_luma


@dataclass(frozen=True)
class GreyPair:
    """Two registered pictures as the network reads them: grey, uint8, (H, W) each."""

    name: str
    a: np.ndarray
    b: np.ndarray


def load_grey_pairs(folder_a: str | Path, folder_b: str | Path) -> list[GreyPair]:
    """All pairs of two folders, decoded; colour becomes luma.

    Raises:
        PairError, ImageError: no pairs, or a picture that cannot be read.
        ValueError: the two pictures of a pair differ in size.
    """
    pairs = []
    for pair in match_pairs(folder_a, folder_b).pairs:
        a, b = (read_luma(path) for path in (pair.a, pair.b))
        if a.shape != b.shape:
            raise ValueError(f"{pair.name}: the sizes differ, {pair.a} is {a.shape}, {pair.b} is {b.shape}")
        pairs.append(GreyPair(pair.name, a, b))
    return pairs


def orient(x: np.ndarray, mode: int) -> np.ndarray:
    """One of the eight orientations of a square grid: 0 is the identity; modes as published.

    ``mode``: 0 as is, 1 transposed, 2 upside down, 3 turned by 270 degrees, 4 mirrored, 5 turned by 90 degrees,
    6 by 180 degrees, 7 mirrored at the other diagonal. Turns are counter-clockwise; x (H, W).
    """
    turned = np.rot90(x, {0: 0, 1: 1, 2: 0, 3: 3, 4: 2, 5: 1, 6: 2, 7: 3}[mode])
    return np.flipud(turned) if mode in (1, 2, 4, 7) else turned


def draw_batch(
    sets: Sequence[Sequence[GreyPair]],
    shares: Sequence[float],
    size: int,
    windows: Sequence[tuple[int, int]],
    seed: int,
    step: int,
) -> tuple[Tensor, Tensor]:
    """The batch of one training step, a and b (B, 1, h, w) in [0, 1].

    Args:
        sets: groups of pairs.
        shares: how often a pair is taken from each group, relative to the others.
        size: B.
        windows: sizes (h, w) of which one is drawn for the whole batch.
        seed: of the run.
        step: of the run.

    Raises:
        ValueError: no pair of a drawn group is as large as the window.
    """
    rng = np.random.default_rng((seed, step))
    height, width = windows[int(rng.integers(len(windows)))]
    chances = np.asarray(shares, float) / np.sum(shares)
    crops = [_crop(sets[rng.choice(len(sets), p=chances)], height, width, rng) for _ in range(size)]
    a, b = (np.stack(side)[:, None].astype(np.float32) / 255 for side in zip(*crops, strict=True))
    return torch.from_numpy(a), torch.from_numpy(b)


def _crop(
    pairs: Sequence[GreyPair], height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    fitting = [p for p in pairs if p.a.shape[0] >= height and p.a.shape[1] >= width]
    if not fitting:
        first = f" ({pairs[0].name} and {len(pairs) - 1} more)" if pairs else ""
        raise ValueError(f"none of {len(pairs)} pairs{first} is as large as a window of {height} x {width}")
    pair = fitting[rng.integers(len(fitting))]
    top = rng.integers(pair.a.shape[0] - height + 1)
    left = rng.integers(pair.a.shape[1] - width + 1)
    modes = range(8) if height == width else (0, 2, 4, 6)  # a turn by 90 degrees would change the window
    mode = modes[rng.integers(len(modes))]
    window = np.s_[top : top + height, left : left + width]
    return orient(pair.a[window], mode), orient(pair.b[window], mode)
