"""MambaDFuse rebuilt from scratch: fuse infrared with visible and CT, PET or SPECT with MRI images.

The public functions are loaded on first use, so ``import mambadfuse`` is instant:

>>> import mambadfuse as mdf
>>> from mambadfuse.data.samples import samples
>>> pair = samples("ivf")[0]
>>> mdf.fuse(pair.a, pair.b, model="ivf").shape
(360, 480, 3)
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# PyTorch's worker threads otherwise spin while they wait and keep the scan's threads from the cores. Must be set
# before PyTorch is loaded; a value that is set already is left alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_MODULE_OF = {
    "MambaDFuse": "mambadfuse.models",
    "MambaDFuseConfig": "mambadfuse.models",
    "align": "mambadfuse.alignment.align",
    "component": "mambadfuse.components",
    "evaluate": "mambadfuse.metrics",
    "evaluate_folders": "mambadfuse.evaluation.folders",
    "export": "mambadfuse.models.export",
    "fuse": "mambadfuse.fusion.pair",
    "fuse_folders": "mambadfuse.fusion.folders",
    "load": "mambadfuse.models.checkpoints",
    "load_published": "mambadfuse.models.checkpoints",
    "read_image": "mambadfuse.data.images",
    "save": "mambadfuse.models.checkpoints",
    "train": "mambadfuse.training",
}
_PACKAGES = ("data", "losses", "metrics", "ops")

__all__ = [
    "MambaDFuse",
    "MambaDFuseConfig",
    "align",
    "component",
    "data",
    "evaluate",
    "evaluate_folders",
    "export",
    "fuse",
    "fuse_folders",
    "load",
    "load_published",
    "losses",
    "metrics",
    "ops",
    "read_image",
    "save",
    "train",
]

if TYPE_CHECKING:
    from mambadfuse import data, losses, metrics, ops
    from mambadfuse.alignment.align import align
    from mambadfuse.components import component
    from mambadfuse.data.images import read_image
    from mambadfuse.evaluation.folders import evaluate_folders
    from mambadfuse.fusion.folders import fuse_folders
    from mambadfuse.fusion.pair import fuse
    from mambadfuse.metrics import evaluate
    from mambadfuse.models import MambaDFuse, MambaDFuseConfig
    from mambadfuse.models.checkpoints import load, load_published, save
    from mambadfuse.models.export import export
    from mambadfuse.training import train


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"mambadfuse.{name}")
    raise AttributeError(f"module 'mambadfuse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
