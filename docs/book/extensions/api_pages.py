"""The API reference: a page for each part of the package, ``docs/book/api/*.md``, before Sphinx looks for pages."""

import re
from pathlib import Path
from pkgutil import walk_packages

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

import mambadfuse

NDARRAY = re.compile(
    r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\]"
)
FOLDER = Path(__file__).parents[1] / "api"


def modules() -> dict[str, list[str]]:
    """The modules of the package by the part they are in: ``{"mambadfuse.data": ["mambadfuse.data.images", ...]}``.

    Modules that belong to no part are those of ``mambadfuse``.
    """
    found: dict[str, list[str]] = {"mambadfuse": []}
    for module in walk_packages(mambadfuse.__path__, "mambadfuse."):
        if module.name.endswith("__main__"):  # importing it would run a command
            continue
        part = ".".join(module.name.split(".")[:2])
        if module.ispkg and part == module.name:
            found[part] = []
        found[part if part in found else "mambadfuse"].append(module.name)
    return found


def page(part: str, names: list[str]) -> str:
    """The text of a page: what the part is for, then each of its modules."""
    blocks = [f"# {part}", automodule(part, "no-members")]
    for name in names:
        if name != part:
            blocks += [f"## {name.removeprefix('mambadfuse.')}", automodule(name, "members")]
    return "\n\n".join(blocks) + "\n"


def automodule(name: str, option: str) -> str:
    """A directive of Sphinx's autodoc."""
    return f"```{{eval-rst}}\n.. automodule:: {name}\n   :{option}:\n   :ignore-module-all:\n```"


def write(app: Sphinx) -> None:
    """Writes the pages that are new or have changed."""
    FOLDER.mkdir(exist_ok=True)
    pages = {f"{part}.md": page(part, names) for part, names in modules().items()}
    for old in FOLDER.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def as_text(app: Sphinx, kind: str, name: str, what: object, options: object, lines: list[str]) -> None:
    """In the docstrings, bars are those of absolute values; in reStructuredText they would mark a substitution."""
    if kind in ("attribute", "data", "property"):
        lines[:0] = [
            "..",
            "",
        ]  # of the first line, sphinx.ext.napoleon would take what precedes a colon for a type
    for number, line in enumerate(lines):
        if ">>>" not in line:
            pieces = re.split(r"(``.*?``)", line)
            lines[number] = "".join(
                piece if piece.startswith("``") else piece.replace("|", "\\|") for piece in pieces
            )


def short(
    app: Sphinx, kind: str, name: str, what: object, options: object, signature: str, result: str
) -> tuple:
    """A signature with ArrayLike and NDArray by their names, where Sphinx would write out what they stand for."""
    return tuple(
        text
        and NDARRAY.sub(r"NDArray[\1]", text.replace(stringify_annotation(ArrayLike, "smart"), "ArrayLike"))
        for text in (signature, result)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", as_text, priority=400)  # before sphinx.ext.napoleon
    app.connect("autodoc-process-signature", short)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
