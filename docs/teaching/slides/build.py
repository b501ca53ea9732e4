"""Writes the slides of the notebooks (make slides): outputs/slides/NN_*.html, and PDF files where there is a browser.

The slides of a notebook are listed in NN_*.yaml beside this file. Each has a title, perhaps a short text, and shows one
cell of the notebook, by its id: the pictures it drew, what it printed, its code, or its text.
"""

import argparse
import base64
import html
import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image, ImageChops
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from mambadfuse.files import atomic_write
from mambadfuse.training.yaml_text import read_yaml

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[2] / "notebooks"
OUT = HERE.parents[2] / "outputs" / "slides"
SHOWN = ("figure", "printed", "code", "markdown")  # the parts of a cell that a slide can show
WIDTH, HEIGHT = 1280, 720  # of a slide in CSS pixels, before it is scaled to the screen
SMALLEST, LARGEST, WRAPPED = 18, 36, 24  # type in a fixed pitch, in the same pixels; long lines are wrapped
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGE = (HERE / "page.html").read_text(encoding="utf-8")


def formula(content: str, options: dict[str, Any]) -> str:
    """A formula as MathJax finds it."""
    left, right = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
    return f"{left}{html.escape(content)}{right}"


MARKDOWN = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=formula)
MARKDOWN.add_render_rule("link_open", lambda *_: "")  # a link of the notebook leads nowhere from here
MARKDOWN.add_render_rule("link_close", lambda *_: "")


def decks() -> dict[str, Path]:
    """The lists of slides by the names of their notebooks."""
    return {path.stem: path for path in sorted(HERE.glob("[0-9][0-9]_*.yaml"))}


def cells(stem: str) -> dict[str, dict[str, Any]]:
    """The cells of a notebook by their ids, their source as one string."""
    notebook = json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: cell | {"source": "".join(cell["source"])} for cell in notebook["cells"]}


def slides(stem: str) -> list[dict[str, str]]:
    """The slides in the list of a notebook.

    Raises:
        ValueError: a slide has no title, names what no slide has, or shows a cell that the notebook lacks.
    """
    known, entries = cells(stem), read_yaml(decks()[stem])
    for number, entry in enumerate(entries, 1):
        where = f"{stem}.yaml: slide {number}"
        if not isinstance(entry, dict) or "title" not in entry or set(entry) - {"title", "text", *SHOWN}:
            raise ValueError(f"{where}: expected a title, and text or {', '.join(SHOWN)}, found {entry!r}")
        for cell in (entry[part].partition("/")[0] for part in SHOWN if part in entry):
            if cell not in known:
                raise ValueError(f"{where}: expected the id of a cell of the notebook, found {cell!r}")
    return entries


def pictures(cell: dict[str, Any]) -> Iterator[tuple[bytes, str]]:
    """The pictures of a cell as PNG files, each with its alternative text: drawn by code or named in Markdown."""
    for output in cell.get("outputs", []):
        if png := output.get("data", {}).get("image/png"):
            yield base64.b64decode("".join(png)), output["metadata"]["image/png"]["alt"]
    if cell["cell_type"] == "markdown":
        for alt, path in re.findall(r"!\[([^]]*)\]\((.*?)\)", cell["source"]):
            yield (NOTEBOOKS / path).read_bytes(), alt


def without_margins(png: bytes) -> Image.Image:
    """A picture without the white around it."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    return picture.crop(ImageChops.difference(picture, white).getbbox())


def figure(cell: dict[str, Any], number: int, name: str) -> str:
    """Writes a picture of a cell beside the page, and returns the element that shows it."""
    png, alt = list(pictures(cell))[number - 1]
    path = OUT / "pictures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        without_margins(png).save(file, format="png")
    return f'<img src="pictures/{name}.png" alt="{html.escape(alt)}">'


def printed(cell: dict[str, Any]) -> str:
    """What a cell printed."""
    streams = (output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
    return "".join("".join(text) for text in streams).rstrip()


def lines(text: str, chosen: str) -> str:
    """The chosen lines of a text, such as 4-13; all where nothing is chosen."""
    first, _, last = chosen.partition("-")
    return "\n".join(text.splitlines()[int(first or 1) - 1 : int(last) if last else None])


def preformatted(text: str, content: str) -> str:
    """Text in a fixed pitch, as large as its longest line and the number of its lines allow."""
    rows = text.splitlines()
    size = min(LARGEST, 1190 / (0.605 * max(map(len, rows))), 480 / (1.35 * len(rows)))
    return f'<pre style="font-size: {size if size >= SMALLEST else WRAPPED:.1f}px">{content}</pre>'


def code(source: str) -> str:
    """Python with its colours."""
    return preformatted(source, highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))


def section(entry: dict[str, str], known: dict[str, dict[str, Any]], name: str) -> str:
    """One slide."""
    parts = [f"<h2>{MARKDOWN.renderInline(entry['title'])}</h2>"]
    if "text" in entry:
        parts.append(f'<div class="text">{MARKDOWN.render(entry["text"])}</div>')
    if "markdown" in entry:
        source = re.sub(r"^#+ .*\n+|!\[[^]]*\]\(.*?\)", "", known[entry["markdown"]]["source"], flags=re.M)
        parts.append(f'<div class="text">{MARKDOWN.render(source)}</div>')
    if "code" in entry:
        cell, _, chosen = entry["code"].partition("/")
        parts.append(code(lines(known[cell]["source"], chosen)))
    if "printed" in entry:
        cell, _, chosen = entry["printed"].partition("/")
        text = lines(printed(known[cell]), chosen)
        parts.append(preformatted(text, html.escape(text)))
    if "figure" in entry:
        cell, _, number = entry["figure"].partition("/")
        parts.append(figure(known[cell], int(number or 1), name))
    kind = "picture" if "figure" in entry else "words"
    return f'<section><div class="{kind}">{"".join(parts)}</div></section>'


def title(stem: str) -> tuple[str, str]:
    """The title of a notebook and what it promises, from its first cell."""
    first = next(iter(cells(stem).values()))["source"]
    return re.search(r"^# (.+)\n\n\*\*(.+)\*\*$", first, flags=re.M).groups()


def deck(stem: str) -> str:
    """The page with all slides of a notebook; their pictures are written beside it."""
    heading, promise = title(stem)
    known = cells(stem)
    opening = f'<section><div class="opening"><h1>{heading}</h1>{MARKDOWN.render(promise)}</div></section>'
    shown = (section(entry, known, f"{stem}_{number}") for number, entry in enumerate(slides(stem), 2))
    return page(heading, "\n".join([opening, *shown]))


def page(heading: str, content: str) -> str:
    """A page of slides."""
    size = {"width": WIDTH, "height": HEIGHT}
    return (
        PAGE.replace("{{title}}", heading)
        .replace("{{size}}", json.dumps(size))
        .replace("{{slides}}", content)
    )


def index(stems: list[str]) -> str:
    """A page with links to all slides."""
    links = "".join(f'<li><a href="{stem}.html">{title(stem)[0]}</a></li>' for stem in stems)
    return page("Slides", f'<section><div class="index"><h1>Slides</h1><ul>{links}</ul></div></section>')


def write_static() -> None:
    """Copies what the pages load: reveal.js from sphinx-revealjs, MathJax as in the book, and the style."""
    reveal = files("sphinx_revealjs") / "_static" / "revealjs" / "dist"
    mathjax = files("sphinx-mathjax-offline") / "static" / "mathjax" / "tex-svg.js"
    (OUT / "static").mkdir(parents=True, exist_ok=True)
    for source in (reveal / "reveal.js", reveal / "reveal.css", mathjax, HERE / "slides.css"):
        with atomic_write(OUT / "static" / source.name) as file:
            file.write(source.read_bytes())


def write(name: str, text: str) -> None:
    """Writes a page, whole or not at all."""
    with atomic_write(OUT / name) as file:
        file.write(text.encode())


def print_pdf(stems: list[str]) -> str:
    """Prints the slides of each notebook with a browser; says why not where there is none."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not executable:
        return f"no PDF files: none of {', '.join(BROWSERS)} is on the PATH; a browser prints NN_*.html?print-pdf"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for stem in stems:
            sheet = browser.new_page()
            sheet.goto(f"{(OUT / stem).as_uri()}.html?print-pdf")
            sheet.wait_for_selector("body[data-ready]")
            with atomic_write(OUT / f"{stem}.pdf") as file:
                file.write(sheet.pdf(prefer_css_page_size=True, print_background=True))
            sheet.close()
        browser.close()
    return f"PDF files: {len(stems)}"


def main() -> None:
    """Writes what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="of notebooks, such as 03; default: all")
    chosen = parser.parse_args().numbers
    stems = [stem for stem in decks() if not chosen or stem[:2] in chosen]
    write_static()
    for stem in stems:
        write(f"{stem}.html", deck(stem))
        print(f"outputs/slides/{stem}.html: {len(slides(stem)) + 1} slides")
    write("index.html", index([stem for stem in decks() if (OUT / f"{stem}.html").exists()]))
    print(print_pdf(stems))


if __name__ == "__main__":
    main()
