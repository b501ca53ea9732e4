"""The published training pipeline as a PyTorch data set: paired random crops, the same window and turn for both.

Which window an item shows depends on (seed, epoch, index) alone: the number of workers, and which of them makes an
item, changes nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from mambadfuse.data.checking import picture_size
from mambadfuse.data.crops import orient
from mambadfuse.data.layouts import PairSet
from mambadfuse.data.pairs import Pair
from mambadfuse.data.video_range import looks_limited, read_luma

Picture = NDArray[np.uint8]


class PictureCache:
    """Decoded pictures, of which the least recently used are forgotten beyond a number of bytes.

    Args:
        limit: in bytes; a picture larger than that is never kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._pictures: OrderedDict[Path, Picture] = OrderedDict()

    def get(self, path: Path, read: Callable[[Path], Picture]) -> Picture:
        """The picture at ``path``, from memory or else by ``read(path)``."""
        if path in self._pictures:
            self._pictures.move_to_end(path)
            return self._pictures[path]
        picture = read(path)
        self._pictures[path] = picture
        self.used += picture.nbytes
        while self.used > self.limit:
            _, forgotten = self._pictures.popitem(last=False)
            self.used -= forgotten.nbytes
        return picture


class PairedCrops(Dataset[tuple[Tensor, Tensor]]):
    """One random crop per pair and epoch: ``crops[i] -> (a, b)``, float32 in [0, 1], (1, size, size) each.

    As published: both pictures are read as 8-bit grey, cut by one window whose corner is uniform over all that fit,
    and turned by one of the eight orientations of :func:`~mambadfuse.data.crops.orient`. Published crops are 128
    wide for infrared-visible and 64 for medical pairs; where a picture is smaller, the published pipeline hands out
    a smaller crop, which cannot be stacked into a batch. Here such a picture is an error, found at once.

    Args:
        sets: of :func:`~mambadfuse.data.layouts.find_sets`.
        size: side of the crops.
        seed: of the run.
        limited: whether side b is limited-range luma and to be expanded; None looks at the pictures of each
            folder named ``*_Y``.
        cache_bytes: how much memory decoded pictures may take, in all workers together.

    Raises:
        ValueError: a picture is smaller than ``size``, or the two of a pair differ in size.
        ImageError: a picture cannot be read.
    """

    def __init__(
        self,
        sets: Sequence[PairSet],
        size: int = 128,
        seed: int = 0,
        limited: bool | None = None,
        cache_bytes: int = 2**30,
    ) -> None:
        self.size, self.seed, self.cache_bytes = size, seed, cache_bytes
        self.pairs: list[Pair] = []
        self._limited: list[bool] = []
        for pairs in sets:
            found = pairs.matching.pairs
            for pair in found:
                _expect_size(pair.a, pair.b, size)
            self.pairs += found
            self._limited += [_is_limited(pairs) if limited is None else limited] * len(found)
        self._cache: PictureCache | None = None  # made by the process that uses it
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that live on see it change

    def __len__(self) -> int:
        return len(self.pairs)

    def set_epoch(self, epoch: int) -> None:
        """New crops for the items; call it before each epoch, also with persistent workers."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair = self.pairs[index]
        a, b = self._read(pair.a, False), self._read(pair.b, self._limited[index])
        rng = np.random.default_rng((self.seed, int(self._epoch), index))
        top, left = (rng.integers(length - self.size + 1) for length in a.shape)
        mode = int(rng.integers(8))
        window = np.s_[top : top + self.size, left : left + self.size]
        return _as_tensor(orient(a[window], mode)), _as_tensor(orient(b[window], mode))

    def _read(self, path: Path, limited: bool) -> Picture:
        if self._cache is None:
            worker = get_worker_info()
            self._cache = PictureCache(self.cache_bytes // (worker.num_workers if worker else 1))
        return self._cache.get(path, lambda path: read_luma(path, limited))


def _expect_size(a: Path, b: Path, size: int) -> None:
    wide, high = picture_size(a)
    if min(wide, high) < size:
        raise ValueError(f"{a}: is {wide}x{high}, smaller than a crop of {size}x{size}")
    if picture_size(b) != (wide, high):
        raise ValueError(f"{a}: is {wide}x{high}, but its partner {b} is {'{}x{}'.format(*picture_size(b))}")


def _is_limited(pairs: PairSet) -> bool:
    named_luma = pairs.folder_b.name.lower().endswith("_y")
    return named_luma and looks_limited([pair.b for pair in pairs.matching.pairs])


def _as_tensor(crop: Picture) -> Tensor:
    return torch.from_numpy(crop.astype(np.float32)[None] / 255)
