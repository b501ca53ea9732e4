"""Interactive panels for notebooks and lectures: controls for the pure functions of :mod:`mambadfuse.analysis`.

Each panel is one line in a notebook and can be used with the keyboard alone. Nothing runs until a control changes;
``close()``, or the Close button, releases everything that a panel holds.

>>> from mambadfuse.widgets import ScanExplorer
>>> panel = ScanExplorer()
>>> panel.delta.value = 0.2  # the panel is redrawn
>>> panel.close()
"""

from mambadfuse.widgets.branches import BranchExplorer
from mambadfuse.widgets.exchange import ExchangeExplorer
from mambadfuse.widgets.fusion import FusionExplorer
from mambadfuse.widgets.lab import AblationLab
from mambadfuse.widgets.lecture import Lecture
from mambadfuse.widgets.preference import BlindPreference
from mambadfuse.widgets.scan import ScanExplorer

__all__ = [
    "AblationLab",
    "BlindPreference",
    "BranchExplorer",
    "ExchangeExplorer",
    "FusionExplorer",
    "Lecture",
    "ScanExplorer",
]
