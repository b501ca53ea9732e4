"""What bfloat16 does to a fused image and to a gradient, on every backend, both against float32 on the same backend."""

import torch
import torch.nn.functional as F
from torch import Tensor

import mambadfuse as mdf
from benchmarks.gpu.check import Check, Row, each_backend, require
from benchmarks.gpu.settings import Settings
from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.losses import FusionLoss


def fused_and_gradient(settings: Settings, in_bf16: bool) -> tuple[Tensor, Tensor]:
    """The made-up pair as weights "ivf" fuse it, and the gradient of its loss, all parameters in one vector."""
    made_up = synthetic_pair(0, settings.pair)
    a, b = (
        torch.from_numpy(plane)[None, None].to(settings.device, torch.float32)
        for plane in (made_up.a, made_up.b)
    )
    model = mdf.load("ivf").to(settings.device)
    with torch.autocast(settings.device, torch.bfloat16, enabled=in_bf16):
        fused = model(a, b).float()
    FusionLoss.vif().to(settings.device)(fused, a, b).total.backward()
    return fused.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def measure(settings: Settings, backend: str) -> Row:
    require(backend)
    with mdf.ops.use_backend(backend):
        (fused, gradient), (fused32, gradient32) = (fused_and_gradient(settings, x) for x in (True, False))
    difference = 255 * (fused - fused32).abs()
    return {
        "mean difference, grey levels": difference.mean().item(),
        "largest": difference.max().item(),
        "cosine of the gradients": F.cosine_similarity(gradient, gradient32, dim=0).item(),
        "ratio of their norms": (gradient.norm() / gradient32.norm()).item(),
    }


CHECK = Check("bfloat16 against float32", False, each_backend, measure)
