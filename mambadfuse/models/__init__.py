"""The network, file by file as the paper tells it."""

from mambadfuse.models.mambadfuse import MambaDFuse, MambaDFuseConfig

__all__ = ["MambaDFuse", "MambaDFuseConfig"]
