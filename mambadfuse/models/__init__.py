"""The network: the equations of the paper, one file per section, and how they are carried out.

Read in this order: ``mamba``, ``extraction``, ``shallow_fusion``, ``deep_fusion``, ``reconstruction``,
``mambadfuse``.
"""

from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mambadfuse import MambaDFuse

__all__ = ["MambaDFuse", "MambaDFuseConfig"]
