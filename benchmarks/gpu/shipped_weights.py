"""The shipped networks on a made-up pair, on every backend, against the same networks in float64 on the CPU.

In exact float32 first, by which they are judged; then as PyTorch comes, which rounds the factors of image convolutions
to TF32 on recent GPUs. Images are in [0, 1], differences of the latter in grey levels of 255.
"""

from collections.abc import Iterable

import torch

import mambadfuse as mdf
from benchmarks.gpu.check import Case, Check, Row, each_backend, require
from benchmarks.gpu.settings import Settings
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.resources import resource_folder

BOUND = 1e-4


def cases(settings: Settings) -> Iterable[Case]:
    names = sorted(file.stem for file in resource_folder("weights").glob("*.safetensors"))
    return (case | {"weights": name} for case in each_backend(settings) for name in names)


def measure(settings: Settings, backend: str, weights: str) -> Row:
    require(backend)
    made_up = synthetic_pair(0, settings.pair)
    a, b = (torch.from_numpy(plane)[None, None] for plane in (made_up.a, made_up.b))
    model = mdf.load(weights).eval()
    with torch.inference_mode():
        expected = model.double()(a.double(), b.double())
        model.to(settings.device, torch.float32)
        here = [side.to(settings.device, torch.float32) for side in (a, b)]
        with mdf.ops.use_backend(backend), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            exact = (model(*here).cpu() - expected).abs().max().item()
        with mdf.ops.use_backend(backend):
            as_it_comes = (model(*here).cpu() - expected).abs().max().item()
    return {
        "right": exact <= BOUND,
        "largest difference": exact,
        "bound": BOUND,
        "as PyTorch comes, grey levels": 255 * as_it_comes,
    }


CHECK = Check("The shipped weights against float64", True, cases, measure)
