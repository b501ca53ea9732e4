"""Weights repacked for the CPU kernels, padded and transposed, and reused until a parameter changes."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

Packed = TypeVar("Packed")


def padded(x: Tensor, *multiples: int) -> Tensor:
    """x with zeros at the end of each axis, so that its size is a multiple of the number given for it."""
    missing = [n for size, multiple in zip(x.shape, multiples, strict=True) for n in (-size % multiple, 0)]
    return F.pad(x, missing[::-1]).contiguous()


def reuse_while_unchanged(pack: Callable[..., Packed]) -> Callable[..., Packed]:
    """Keep the last result of ``pack(*parameters)`` for each first parameter, until any parameter has other values.

    Values are compared with a copy: nothing else detects every change to a parameter (``parameter.data.mul_(2)``
    does not increment its version), and comparing takes a tenth of the time of packing. An entry is dropped with the
    storage of its first parameter; ``torch.utils.swap_tensors`` refuses tensors to which weak references point, but not
    such storages. The result is shared between callers, which must not write to it.
    """
    entries: WeakKeyDictionary[torch.UntypedStorage, tuple[list[Tensor], Packed]] = WeakKeyDictionary()

    @wraps(pack)
    def packed(*parameters: Tensor) -> Packed:
        storage = parameters[0].untyped_storage()
        entry = entries.get(storage)
        if entry is None or not all(map(_equal, parameters, entry[0])):
            copies = [x.detach().clone() for x in parameters]
            entry = copies, pack(*copies)
            entries[storage] = entry
        return entry[1]

    return packed


def _equal(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and x.device == y.device and torch.equal(x, y)
