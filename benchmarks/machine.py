"""The machine that is measured, its arithmetic rate, and how calls are timed."""

import platform
import statistics
import time
from collections.abc import Callable

import numba
import numpy
import torch


def seconds_of(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def affordable(seconds: float, runs: int, patience: float) -> int:
    """How many calls of ``seconds`` to make: ``runs``, or as many as fit into ``patience``, but at least one."""
    return max(1, min(runs, int(patience / seconds)))


def median_seconds(
    function: Callable[[], object], runs: int = 5, patience: float = 12.0
) -> tuple[float, int]:
    """Median over ``runs`` calls, fewer if they take long, after one that is not counted; and their number."""
    count = affordable(seconds_of(function), runs, patience)
    return statistics.median(seconds_of(function) for _ in range(count)), count


def facts() -> dict[str, object]:
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": numpy.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def matrix_rate(size: int = 2048) -> float:
    """Floating-point operations per second of a large float32 matrix product: the ceiling for everything."""
    a, b = torch.rand(2, size, size)
    return 2 * size**3 / median_seconds(lambda: a @ b)[0]
