"""Threads for the Numba kernels, which release the global interpreter lock: ``torch.get_num_threads()`` of them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise

import torch

from mambadfuse.ops.cpu.kernel import Kernel


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="mambadfuse-ops")


if hasattr(os, "register_at_fork"):  # a forked child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_concurrently(functions: list[Callable[[], None]]) -> None:
    """Call all functions, the first one in the calling thread, and wait for them.

    Where there are more functions than threads, the later ones wait: no function may depend on one behind it.
    """
    others = [_pool().submit(function) for function in functions[1:]]
    functions[0]()
    for other in others:
        other.result()


def parallel_for(kernel: Kernel, jobs: int, *arguments: object) -> None:
    """Call ``kernel(first, last, *arguments)`` on each thread with its share of the jobs 0..jobs-1."""
    if jobs == 0:  # an empty batch
        return
    compute = kernel.compiled
    shares = min(torch.get_num_threads(), jobs)
    bounds = [jobs * k // shares for k in range(shares + 1)]
    run_concurrently([partial(compute, first, last, *arguments) for first, last in pairwise(bounds)])
