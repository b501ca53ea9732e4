"""What the browser tests need: an installed Chromium, and the notebook with all panels."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
APP = ROOT / "notebooks" / "app" / "panels.ipynb"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
REQUIRED = os.environ.get("MAMBADFUSE_BROWSER") == "required"
PANELS = {  # the title of each panel, and that of its tab
    "Fusion explorer": "Fusion",
    "Blind preference": "Preference",
    "Scan explorer": "Scan",
    "Channel-exchange explorer": "Channel exchange",
    "M3 explorer": "M3",
    "Ablation lab": "Ablation",
}


def copy_notebook(folder: Path) -> Path:
    """A copy without outputs that JupyterLab may save; its results stay in that folder."""
    notebook, place = nbformat.read(APP, as_version=4), (folder / "results").as_posix()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    text = nbformat.writes(notebook)
    copy = folder / APP.name
    copy.write_text(text.replace("../../outputs", place), encoding="utf-8")
    assert copy.read_text(encoding="utf-8") != text
    return copy


def app_command(notebook: Path) -> tuple[list[str], dict[str, str]]:
    """The command of ``make app`` for another notebook, and its environment variables."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = shlex.split(re.search(r"^app:.*\n\t(.*)$", makefile, flags=re.M)[1])
    start = words.index("$(BIN)/voila")
    assert words[-1] == APP.relative_to(ROOT).as_posix()
    environment = dict(word.split("=", 1) for word in words[:start])
    return [sys.executable, "-m", "voila", *words[start + 1 : -1], str(notebook)], environment
