"""Threads for the Numba kernels, which release Python's global lock: as many as PyTorch's own setting says."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise

import torch

from mambadfuse.ops.cpu.kernel import Kernel


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mambadfuse-scan")


if hasattr(os, "register_at_fork"):  # a forked child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def side_by_side(works: list[Callable[[], None]]) -> None:
    """Call all functions, the first one in this thread, and wait for them.

    More functions than threads wait for one another: none may depend on a later one.
    """
    others = [_pool().submit(work) for work in works[1:]]
    works[0]()
    for other in others:
        other.result()


def share_out(kernel: Kernel, jobs: int, *arguments: object) -> None:
    """Call ``kernel(first, last, *arguments)`` so that its jobs are spread over the threads."""
    if jobs == 0:  # an empty batch
        return
    compute = kernel.compiled
    shares = min(torch.get_num_threads(), jobs)
    bounds = [jobs * k // shares for k in range(shares + 1)]
    side_by_side([partial(compute, first, last, *arguments) for first, last in pairwise(bounds)])
