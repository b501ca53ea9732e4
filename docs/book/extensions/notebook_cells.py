"""What the book changes in a notebook when it reads it; the file stays as it is.

Solutions are hidden behind a click, a panel becomes a sentence below the picture of what it draws, progress bars are
left out, and pictures get the alternative text that is stored beside them.
"""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PROGRESS_BAR = re.compile(r"^[^\n]*\d+%\|.*\|")  # a live one is a widget; its text is what it showed first
PANEL = re.compile(r"^\w+\(children=\(")
IN_ITS_PLACE = {
    "output_type": "display_data",
    "metadata": {},
    "data": {
        "text/markdown": "*Here the running notebook has a panel: its controls redraw the picture above.*"
    },
}
ALTS = "alternative texts of pictures by the SHA-256 of their file"


def as_in_the_book(notebook: dict[str, Any]) -> dict[str, Any]:
    """Changes a notebook in place, and returns it."""
    notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"  # knows lines such as "%pip install"
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].setdefault("tags", [])
        if "solution" in tags:
            tags.append("hide-cell")
            cell["metadata"]["mystnb"] = {
                "code_prompt_show": "Show the solution",
                "code_prompt_hide": "Hide the solution",
            }
        cell["outputs"] = [
            IN_ITS_PLACE if PANEL.match(text(output)) else output
            for output in cell["outputs"]
            if not PROGRESS_BAR.match(text(output))
        ]
    return notebook


def text(output: dict[str, Any]) -> str:
    """What stands for an output that is text alone; "" for all others."""
    data = output.get("data", {})
    return "".join(data["text/plain"]) if set(data) == {"text/plain"} else ""


def alternative_texts(notebook: dict[str, Any]) -> dict[str, str]:
    """The texts stored beside the pictures, by the SHA-256 of a picture, which is the name MyST-NB gives its file."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                digest = hashlib.sha256(base64.b64decode("".join(picture))).hexdigest()
                found[digest] = output["metadata"]["image/png"]["alt"]
    return found


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Applies all this to the source of a page, where it is a notebook."""
    path = Path(app.env.doc2path(page))
    if path.suffix == ".ipynb":
        notebook = json.loads(source[0])
        app.env.temp_data[ALTS] = alternative_texts(notebook)
        source[0] = json.dumps(as_in_the_book(notebook))


class AlternativeTexts(SphinxTransform):
    """Writes the texts into the pictures."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Applies the transform to one page."""
        alts = self.env.temp_data.get(ALTS, {})
        for image in self.document.findall(nodes.image):
            if alt := alts.get(Path(image["uri"]).stem):
                image["alt"] = alt


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("source-read", read)
    app.add_transform(AlternativeTexts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
