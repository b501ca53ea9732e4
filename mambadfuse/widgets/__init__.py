"""Panels for notebooks and lecture halls: dials around the pure functions of :mod:`mambadfuse.analysis`.

Each is one line in a notebook, and works with the keyboard alone. Nothing runs while no dial is moved; ``close()``,
or the button, frees all that a panel holds:

>>> from mambadfuse.widgets import ScanExplorer
>>> ScanExplorer()
"""

from mambadfuse.widgets.branches import BranchExplorer
from mambadfuse.widgets.exchange import ExchangeExplorer
from mambadfuse.widgets.fusion import FusionExplorer
from mambadfuse.widgets.lab import AblationLab
from mambadfuse.widgets.scan import ScanExplorer

__all__ = ["AblationLab", "BranchExplorer", "ExchangeExplorer", "FusionExplorer", "ScanExplorer"]
