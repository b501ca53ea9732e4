"""The components that docs/components.md shows, as files in a folder that is the current one."""

import re
import sys
from pathlib import Path

from mambadfuse import components

PAGE = Path(__file__).parents[1] / "docs" / "components.md"
MODULES = ("attention", "gated_conv", "mine")
MIXER = "model.mixer=attention:RowAttention"


def install(folder: Path, monkeypatch) -> Path:
    """Write them, go there, and forget any of the same name, until the end of the test."""
    for text in re.findall(
        r"^```(?:py|yaml)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S
    ):
        (folder / text.split("\n")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    forget(monkeypatch)
    return folder


def forget(monkeypatch) -> None:
    """As if the process had just begun."""
    for name in MODULES:
        sys.modules.pop(name, None)
    monkeypatch.setattr(components, "_named", {})
    monkeypatch.setattr(components, "_imported", {})


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
