"""A CPU kernel: a function compiled for one signature and kept on disk until any source file of the kernels changes."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from numba import float32, int64, njit, void
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.types import Array, BaseTuple, Type

F1, F2, F3, F4, F5 = (Array(float32, axes, "A") for axes in range(1, 6))  # any strides, channels contiguous
C1, C2, C3, C4, C5 = (Array(float32, axes, "C") for axes in range(1, 6))  # contiguous throughout
ORDER = Array(int64, 1, "C")  # the tokens in the order in which they are read


def group(names: type[tuple], *fields: Type) -> Type:
    """Numba's type for the named tuple class ``names`` with fields of the given types.

    Numba converts neither layouts nor dtypes inside a named tuple: its arrays must be contiguous (C1 to C5).
    """
    return BaseTuple.from_types(fields, names)


class Kernel:
    """A function that is compiled for one signature when it is first needed, then kept on disk.

    One signature serves every memory layout: no caller ever triggers another compilation.
    """

    def __init__(self, function: Callable[..., None], *signature: Type) -> None:
        self.function, self.signature = function, void(*signature)

    @cached_property
    def compiled(self) -> Callable[..., None]:
        """The machine code; calling it releases the GIL."""
        dispatcher: Any = njit(nogil=True)(self.function)
        dispatcher._cache = KernelCache(self.function)  # njit(cache=True) would put a FunctionCache here
        dispatcher.compile(self.signature)
        dispatcher.disable_compile()
        return dispatcher


class KernelCache(FunctionCache):
    """Numba's cache on disk, invalidated when any source file of this package changes.

    Numba looks only at the file that a function is defined in, but most of a kernel is inlined from other files.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), source_digest(files(__package__))
        self._cache_file = IndexDataCacheFile(self.cache_path, self._impl.filename_base, stamp)


def source_digest(folder: Traversable) -> str:
    """SHA-256 over names and contents of the Python files in a folder."""
    sources = sorted((file.name, file.read_bytes()) for file in folder.iterdir() if file.name.endswith(".py"))
    return hashlib.sha256(repr(sources).encode()).hexdigest()
