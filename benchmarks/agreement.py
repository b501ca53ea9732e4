"""How much the fused image depends on backend, number of threads and length of the tiles: not at all, or by rounding.

Weights ``ivf``, a toy pair of 96 x 128 pixels, the largest difference from float64 in images of [0, 1].
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch

import mambadfuse as mdf
from mambadfuse.data.synthetic import synthetic_pair

SIZE = (96, 128)
BOUND = 2e-5


@contextmanager
def _set(backend: str, threads: int, tile: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            patch("mambadfuse.ops.cpu.pipeline.TILE", tile),
            patch("mambadfuse.models.execution.TILE", tile),
            mdf.ops.use_backend(backend),
        ):
            yield
    finally:
        torch.set_num_threads(before)


def largest_differences(quick: bool) -> list[dict[str, object]]:
    """One row for each backend, number of threads and length of the tiles."""
    pair = synthetic_pair(0, SIZE)
    a, b = (torch.from_numpy(plane)[None, None].float() for plane in (pair.a, pair.b))
    model = mdf.load("ivf").eval()
    with torch.inference_mode():
        exact = model.double()(a.double(), b.double())
        model.float()
    cases = [("numba", threads, tile) for threads in (1, 2, 3) for tile in (100, 1024, 8192)]
    cases += [("torch", 2, 1024), ("torch", 1, 8192)] + ([] if quick else [("reference", 2, 8192)])
    rows = []
    for backend, threads, tile in cases:
        with torch.inference_mode(), _set(backend, threads, tile):
            largest = (model(a, b) - exact).abs().max().item()
        rows.append({"backend": backend, "threads": threads, "tile": tile, "largest_difference": largest})
        print(f"  {backend:10} {threads} threads, tiles of {tile:5}: {largest:.1e}", flush=True)
    worst = max(row["largest_difference"] for row in rows)
    print(f"  largest: {worst:.1e}, {'within' if worst <= BOUND else 'beyond'} {BOUND}", flush=True)
    return rows
