"""Decoded images kept in memory, up to a number of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from mambadfuse.data.training_pairs import Pictures


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
        self.used += _size(pictures)
        while self.used > self.limit:
            self.used -= _size(self._pairs.popitem(last=False)[1])
        return pictures


def _size(pictures: Pictures) -> int:
    return sum(picture.nbytes for picture in pictures)
