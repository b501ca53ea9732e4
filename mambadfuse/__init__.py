"""MambaDFuse rebuilt from scratch: fuse infrared with visible and CT, PET or SPECT with MRI images.

The public face is loaded on first use, so that ``import mambadfuse`` is instant::

    import mambadfuse as mdf
    fused = mdf.fuse("ir.png", "vi.png", model="ivf")
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# PyTorch's worker threads otherwise spin while they wait and keep the scan's threads from the cores. Must be set
# before PyTorch is loaded; a value that is set already is left alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOME = {
    "MambaDFuse": "mambadfuse.models.mambadfuse",
    "MambaDFuseConfig": "mambadfuse.models.mambadfuse",
    "evaluate": "mambadfuse.metrics",
    "fuse": "mambadfuse.fusion.pair",
    "load": "mambadfuse.models.checkpoints",
    "load_published": "mambadfuse.models.checkpoints",
    "save": "mambadfuse.models.checkpoints",
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
    "save",
]

if TYPE_CHECKING:
    from mambadfuse import data, losses, metrics, ops
    from mambadfuse.fusion.pair import fuse
    from mambadfuse.metrics import evaluate
    from mambadfuse.models.checkpoints import load, load_published, save
    from mambadfuse.models.mambadfuse import MambaDFuse, MambaDFuseConfig


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"mambadfuse.{name}")
    raise AttributeError(f"module 'mambadfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
