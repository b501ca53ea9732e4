"""The whole network: seconds, memory and the share of each stage, for each image size in its own process.

``python -m benchmarks.network 480 640`` measures one size and prints one line of JSON.
"""

import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.machine import affordable, matrix_rate
from mambadfuse import MambaDFuse, MambaDFuseConfig, ops
from mambadfuse.models.flops import forward_flops

STAGES = ["low_level", "high_level_a", "high_level_b", "shallow", "deep", "reconstruction"]


def in_fresh_process(
    height: int, width: int, backend: str = "auto", patience: float = 12.0
) -> dict[str, object]:
    """Measure one size in a new process, whose memory no other measurement has touched."""
    command = [sys.executable, "-m", "benchmarks.network", str(height), str(width), backend, str(patience)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure(height: int, width: int, backend: str, patience: float) -> dict[str, object]:
    """One size: the first pass measures memory and, if another would take longer than the patience, time too."""
    torch.manual_seed(0)
    config = MambaDFuseConfig.published()
    model = MambaDFuse(config).eval()
    a, b = torch.rand(2, 1, 1, height, width)
    with torch.inference_mode(), ops.use_backend(backend):
        model(a[..., :8, :8], b[..., :8, :8])  # compiles, starts threads
        before = _peak_megabytes()
        timed = [_seconds_by_stage(model, a, b)]
        memory = _peak_megabytes() - before
        if timed[0][0] <= patience:
            runs = affordable(timed[0][0], 5, patience)
            timed = [_seconds_by_stage(model, a, b) for _ in range(runs)]
    seconds, stages = sorted(timed, key=lambda row: row[0])[len(timed) // 2]
    rate = matrix_rate()
    limit = forward_flops(config, height, width)["total"] / rate
    return {
        "height": height, "width": width, "backend": backend, "seconds": seconds, "median_of": len(timed),
        "seconds_per_megapixel": seconds / (height * width / 1e6), "arithmetic_limit": limit,
        "times_limit": seconds / limit, "gigaflops_per_second": rate / 1e9, "peak_megabytes": memory,
        "megabytes_per_megapixel": memory / (height * width / 1e6), "stages": stages,
        "share": {stage: spent / seconds for stage, spent in stages.items()},
    }  # fmt: skip


def _peak_megabytes() -> float:
    """Peak resident memory of this process so far; NaN except on Linux.

    Not ``ru_maxrss``, which a child process inherits from its parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M)
    return int(kilobytes) / 1024


def _seconds_by_stage(model: MambaDFuse, a: torch.Tensor, b: torch.Tensor) -> tuple[float, dict[str, float]]:
    """Seconds of one forward pass, and of each stage in it."""
    started: dict[str, float] = {}
    spent: dict[str, float] = defaultdict(float)

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: started.update({name: time.perf_counter()})

    def leave(name: str) -> Callable[..., None]:
        return lambda *_: spent.update({name: spent[name] + time.perf_counter() - started[name]})

    modules = {name: model.get_submodule(name) for name in STAGES}
    hooks = [m.register_forward_pre_hook(enter(name)) for name, m in modules.items()]
    hooks += [m.register_forward_hook(leave(name)) for name, m in modules.items()]
    start = time.perf_counter()
    model(a, b)
    seconds = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    return seconds, dict(spent)


if __name__ == "__main__":
    height, width, backend, patience = [*sys.argv[1:], *["auto", "12"][len(sys.argv) - 3 :]]
    print(json.dumps(measure(int(height), int(width), backend, float(patience))))
