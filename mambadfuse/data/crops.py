"""Training crops as a PyTorch data set: the same random crop of both images of a pair, in one of eight orientations.

A crop depends on (seed, step, slot) alone, where slot is its place in the batch. There is no sampler state: neither
the number of workers or processes nor an interruption changes a single crop.
"""

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from mambadfuse.data.training_pairs import Picture, Pictures, TrainingPair

Size = tuple[int, int]  # height and width


def orient(x: Picture, mode: int) -> Picture:
    """One of the eight orientations of a square grid, numbered as in the published code.

    Args:
        x: an image, (H, W).
        mode: 0 unchanged, 1 transposed, 2 upside down, 3 turned by 270 degrees, 4 mirrored, 5 turned by 90
            degrees, 6 turned by 180 degrees, 7 transposed along the other diagonal. Turns are counter-clockwise.
    """
    turned = np.rot90(x, {0: 0, 1: 1, 2: 0, 3: 3, 4: 2, 5: 1, 6: 2, 7: 3}[mode])
    return np.flipud(turned) if mode in (1, 2, 4, 7) else turned


class Crop(NamedTuple):
    """One crop of a pair, or a batch of them: a and b float32 in [0, 1], (1, h, w) or (B, 1, h, w)."""

    a: Tensor
    b: Tensor
    name: str | Sequence[str]


@dataclass(frozen=True)
class _Cut:
    """Where a crop comes from: set, pair, corner, size and orientation."""

    group: int
    index: int
    top: int
    left: int
    height: int
    width: int
    mode: int


class PictureCache:
    """The most recently used pairs of images, decoded.

    Args:
        limit: in bytes; the least recently used pairs beyond it are dropped, and so is a single larger pair.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._pairs: OrderedDict[Hashable, Pictures] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Pictures]) -> Pictures:
        """The images known as ``key``, from memory or else by ``read()``."""
        if key in self._pairs:
            self._pairs.move_to_end(key)
            return self._pairs[key]
        pictures = self._pairs[key] = read()
        self.used += _bytes(pictures)
        while self.used > self.limit:
            self.used -= _bytes(self._pairs.popitem(last=False)[1])
        return pictures


class PairedCrops(Dataset[Crop]):
    """An endless data set: crop ``step * batch + slot`` is what training sees at that step in that slot.

    As published, both images are read as 8-bit grey, cropped at one position that is uniform over all that fit,
    and given one of eight orientations (of four, if the crop is not square). Published crops are 128 x 128 for
    infrared-visible and 64 x 64 for medical pairs. Unlike the published code, this draws the pair anew for each crop
    rather than in shuffled epochs, takes pairs from several sets, and skips images smaller than the crop instead of
    yielding smaller crops.

    Args:
        sets: sets of pairs.
        sampling_weights: how often each set is drawn, relative to the others; equally often if None.
        crop_sizes: (h, w), of which one is drawn for all crops of a step.
        batch: crops per step.
        seed: of the run.
        cache_bytes: memory for decoded images, in all workers together.

    Raises:
        ValueError: a sampling weight is not positive, their sum is infinite, or no pair of a set is as large as a crop.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[TrainingPair]],
        sampling_weights: Sequence[float] | None = None,
        *,
        crop_sizes: Sequence[Size] = ((128, 128),),
        batch: int = 12,
        seed: int = 0,
        cache_bytes: int = 2**30,
    ) -> None:
        self.sets, self.crop_sizes, self.batch, self.seed = sets, crop_sizes, batch, seed
        self.sampling_weights = weights = checked_weights(sets, sampling_weights)
        self._probabilities = np.asarray(weights) / np.sum(weights)
        self._fitting = [[_fitting(pairs, size) for pairs in sets] for size in crop_sizes]
        self._cache_bytes = cache_bytes
        self._cache: PictureCache | None = None  # each worker process makes its own

    def __getitem__(self, number: int) -> Crop:
        cut = self._draw(*divmod(number, self.batch))
        pair = self.sets[cut.group][cut.index]
        window = np.s_[cut.top : cut.top + cut.height, cut.left : cut.left + cut.width]
        pictures = self._pictures().get((cut.group, cut.index), pair.pictures)
        a, b = (orient(picture[window], cut.mode) for picture in pictures)
        return Crop(_as_tensor(a), _as_tensor(b), pair.name)

    def names(self, step: int) -> list[str]:
        """The names of the pairs from which the crops of a step are taken, by slot."""
        cuts = [self._draw(step, slot) for slot in range(self.batch)]
        return [self.sets[cut.group][cut.index].name for cut in cuts]

    def fingerprint(self) -> str:
        """The :func:`fingerprint` of the pairs."""
        return fingerprint(self.sets)

    def _draw(self, step: int, slot: int) -> _Cut:
        size = int(np.random.default_rng((self.seed, step, 0)).integers(len(self.crop_sizes)))
        height, width = self.crop_sizes[size]
        rng = np.random.default_rng((self.seed, step, slot + 1))
        group = int(rng.choice(len(self.sets), p=self._probabilities))
        fitting = self._fitting[size][group]
        index = fitting[rng.integers(len(fitting))]
        full_height, full_width = self.sets[group][index].shape
        top, left = int(rng.integers(full_height - height + 1)), int(rng.integers(full_width - width + 1))
        modes = range(8) if height == width else (0, 2, 4, 6)  # a turn by 90 degrees would change the size
        return _Cut(group, index, top, left, height, width, modes[rng.integers(len(modes))])

    def _pictures(self) -> PictureCache:
        if self._cache is None:
            worker = get_worker_info()
            self._cache = PictureCache(self._cache_bytes // (worker.num_workers if worker else 1))
        return self._cache


class StepSampler(Sampler[list[int]]):
    """Which crops one process takes: for each step, ``parts`` lists of indices into :class:`PairedCrops`.

    A batch is divided into parts (accumulated one after the other), and each part among the processes. Together the
    processes take every crop of the batch once, and a part holds the same crops whatever the number of processes.

    Args:
        batch: crops per step.
        steps: the steps to take.
        parts: parts of a step.
        process: the index of this process, from 0.
        processes: the number of processes.

    Raises:
        ValueError: the batch cannot be divided evenly.
    """

    def __init__(
        self, batch: int, steps: range, parts: int = 1, process: int = 0, processes: int = 1
    ) -> None:
        if batch % (parts * processes):
            raise ValueError(
                f"a batch of {batch} cannot be shared evenly: accumulate is {parts}, processes are {processes}"
            )
        self.batch, self.steps, self.parts = batch, steps, parts
        self.own, self.process, self.processes = batch // (parts * processes), process, processes

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            for part in range(self.parts):
                first = step * self.batch + (part * self.processes + self.process) * self.own
                yield list(range(first, first + self.own))


def checked_weights(
    sets: Sequence[Sequence[TrainingPair]], sampling_weights: Sequence[float] | None
) -> list[float]:
    """The sampling weights of the sets, which are equal if none are given.

    >>> checked_weights([[], []], None)
    [1.0, 1.0]

    Raises:
        ValueError: there is no set, there is not one weight for each, one is not positive, or their sum is infinite.
    """
    weights = [1.0] * len(sets) if sampling_weights is None else list(sampling_weights)
    valid = all(weight > 0 for weight in weights) and sum(weights) < math.inf
    if not sets or len(weights) != len(sets) or not valid:
        raise ValueError(
            f"expected a positive sampling weight for each of {len(sets)} sets, of finite sum, found {weights}"
        )
    return weights


def fingerprint(sets: Sequence[Sequence[TrainingPair]]) -> str:
    """The first 16 hex digits of the SHA-256 of the names and contents of all pairs, in their order."""
    content = [[(pair.name, pair.digest()) for pair in pairs] for pairs in sets]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _fitting(pairs: Sequence[TrainingPair], size: Size) -> list[int]:
    """The indices of the pairs that are at least this large."""
    height, width = size
    found = [i for i, pair in enumerate(pairs) if pair.shape[0] >= height and pair.shape[1] >= width]
    if not found:
        first = f" ({pairs[0].name} and {len(pairs) - 1} more)" if pairs else ""
        raise ValueError(f"none of {len(pairs)} pairs{first} is as large as a crop of {height} x {width}")
    return found


def _as_tensor(crop: Picture) -> Tensor:
    return torch.from_numpy(crop.astype(np.float32)[None] / 255)


def _bytes(pictures: Pictures) -> int:
    return sum(picture.nbytes for picture in pictures)
