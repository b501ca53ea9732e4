"""The stage of the browser tests: a Chromium of this machine, and a notebook with a cell for each panel."""

import os
import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
REQUIRED = os.environ.get("MAMBADFUSE_BROWSER") == "required"
PANELS = {
    "Scan explorer": "ScanExplorer()",
    "Fusion explorer": "FusionExplorer(side=96)",
    "Channel-exchange explorer": "ExchangeExplorer(side=32)",
    "M3 explorer": "BranchExplorer(side=32)",
}


def write_notebook(path: Path) -> None:
    """A cell for each panel, as a reader writes it."""
    cells = [new_code_cell(f"from mambadfuse.widgets import *\n{call}") for call in PANELS.values()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
