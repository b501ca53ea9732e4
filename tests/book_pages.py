"""The book as ``make book`` writes it, and what stands on its pages."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "outputs" / "book"


def build() -> subprocess.CompletedProcess[str]:
    """Runs the command of ``make book``; what is up to date is kept."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^book:.*\n\t(.*)$", makefile, flags=re.M)[1]
    words = shlex.split(recipe)
    start = words.index("$(BIN)/python")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | dict(word.split("=", 1) for word in words[:start])
    BOOK.parent.mkdir(exist_ok=True)
    with FileLock(BOOK.with_suffix(".lock")):  # other test files want it as well
        return subprocess.run(
            [sys.executable, *words[start + 1 :]],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=3600,
            check=False,
        )


@dataclass
class Page:
    """What a page holds."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    pictures: list[dict[str, str | None]] = field(default_factory=list)


class Reader(HTMLParser):
    """Collects it."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        for name in ("id", "name"):
            if attributes.get(name):
                self.page.ids.add(attributes[name])
        if tag == "a" and attributes.get("href"):
            self.page.links.append(attributes["href"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "icon", "preload"):
            self.page.loaded.append(attributes["href"])
        if attributes.get("src"):
            self.page.loaded.append(attributes["src"])
        if tag == "img":
            self.page.pictures.append(attributes)


def read(path: Path) -> Page:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page
