"""MambaDFuse rebuilt from scratch: fuse infrared with visible and CT, PET or SPECT with MRI images.

The public face is loaded on first use, so that ``import mambadfuse`` is instant:

>>> import mambadfuse as mdf
>>> fused = mdf.fuse("ir.png", "vi.png", model="ivf")  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "MambaDFuse": "mambadfuse.model",
    "MambaDFuseConfig": "mambadfuse.model",
    "evaluate": "mambadfuse.metrics",
    "fuse": "mambadfuse.fusing",
    "load": "mambadfuse.checkpoints",
    "load_published": "mambadfuse.checkpoints",
    "save_checkpoint": "mambadfuse.checkpoints",
}
_ROOMS = ("data", "losses", "metrics", "ops")

__all__ = [
    "MambaDFuse",
    "MambaDFuseConfig",
    "data",
    "evaluate",
    "fuse",
    "load",
    "load_published",
    "losses",
    "metrics",
    "ops",
    "save_checkpoint",
]

if TYPE_CHECKING:
    from mambadfuse import data, losses, metrics, ops
    from mambadfuse.checkpoints import load, load_published, save_checkpoint
    from mambadfuse.fusing import fuse
    from mambadfuse.metrics import evaluate
    from mambadfuse.model import MambaDFuse, MambaDFuseConfig


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"mambadfuse.{name}")
    raise AttributeError(f"module 'mambadfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
