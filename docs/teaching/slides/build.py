"""Writes the slides of the notebooks (make slides): outputs/slides/NN_*.html, and PDF files where there is a browser.

The slides of a notebook are listed in NN_*.yaml beside this file. Each has a title, perhaps a short text, and shows one
cell of the notebook, by its id: the pictures it drew, what it printed, its code, or its text. In titles and texts,
{{c12-60/2}} stands for the second number that a cell printed.
"""

import argparse
import base64
import html
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
SHOWN = (
    "markdown",
    "code",
    "printed",
    "figure",
)  # the parts of a cell that a slide can show, from top to bottom
COPIED = re.compile(r"\{\{([\w-]+)/(\d+)\}\}")  # stands for a number that a cell printed
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?<!,)")
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


def lesson(number: str) -> str:
    """The name of the notebook with this number, an argument of the command.

    Raises:
        ArgumentTypeError: there are no slides for it.
    """
    numbers = {stem[:2]: stem for stem in decks()}
    if number not in numbers:
        raise argparse.ArgumentTypeError(
            f"expected numbers of notebooks, {', '.join(numbers)}; found {number!r}"
        )
    return numbers[number]


def cells(stem: str) -> dict[str, dict[str, Any]]:
    """The cells of a notebook by their ids, their source as one string."""
    notebook = json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))
    return {cell["id"]: cell | {"source": "".join(cell["source"])} for cell in notebook["cells"]}


@contextmanager
def located(where: str) -> Iterator[None]:
    """Says in the message of a ValueError where it happened."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def slides(stem: str) -> list[dict[str, str]]:
    """The slides in the list of a notebook.

    Raises:
        ValueError: a slide has no title, or what no slide has.
    """
    entries = read_yaml(decks()[stem])
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or "title" not in entry or set(entry) - {"title", "text", *SHOWN}:
            raise ValueError(
                f"{stem}.yaml: slide {number}: expected a title, and text or {', '.join(SHOWN)}, found {entry!r}"
            )
    return entries


def cell_named(name: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The cell with this id; raises ValueError if the notebook has none."""
    if name not in known:
        raise ValueError(f"expected the id of a cell of the notebook, found {name!r}")
    return known[name]


def pictures(cell: dict[str, Any]) -> Iterator[tuple[bytes, str]]:
    """The pictures of a cell as PNG files, each with its alternative text: drawn by code or named in Markdown."""
    for output in cell.get("outputs", []):
        if png := output.get("data", {}).get("image/png"):
            yield base64.b64decode("".join(png)), output["metadata"].get("image/png", {}).get("alt", "")
    if cell["cell_type"] == "markdown":
        for alt, path in re.findall(r"!\[([^]]*)\]\((.*?)\)", cell["source"]):
            yield (NOTEBOOKS / path).read_bytes(), alt


def without_margins(png: bytes) -> Image.Image:
    """A picture without the white around it."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    return picture.crop(ImageChops.difference(picture, white).getbbox())


def figure(cell: dict[str, Any], chosen: str, name: str) -> str:
    """Writes a picture of a cell beside the page, and returns the element that shows it."""
    drawn = dict(enumerate(pictures(cell), 1))
    if not chosen.isdecimal() or int(chosen) not in drawn:
        raise ValueError(f"expected the number of one of its {len(drawn)} pictures, found {chosen!r}")
    png, alt = drawn[int(chosen)]
    if not alt:
        raise ValueError("expected a picture with an alternative text, found none")
    path = OUT / "pictures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        without_margins(png).save(file, format="png")
    return f'<img src="pictures/{name}.png" alt="{html.escape(alt)}">'


def printed(cell: dict[str, Any]) -> str:
    """What a cell printed."""
    streams = (output["text"] for output in cell.get("outputs", []) if output["output_type"] == "stream")
    return "".join("".join(text) for text in streams).rstrip()


def lines(text: str, chosen: str) -> str:
    """The chosen lines of a text, such as 4-13, or 4 for all from the fourth; all where nothing is chosen."""
    rows = text.splitlines()
    first, _, last = chosen.partition("-")
    if not re.fullmatch(r"(\d+(-\d+)?)?", chosen) or not 1 <= int(first or 1) <= int(
        last or len(rows)
    ) <= len(rows):
        raise ValueError(f"expected some of its {len(rows)} lines, such as 1-{len(rows)}, found {chosen!r}")
    return "\n".join(rows[int(first or 1) - 1 : int(last or len(rows))])


def with_numbers(text: str, known: dict[str, dict[str, Any]]) -> str:
    """A text with the numbers that its places such as {{c12-60/2}} stand for."""

    def number(place: re.Match[str]) -> str:
        with located(place[0]):
            found = NUMBER.findall(printed(cell_named(place[1], known)))
            if not 1 <= int(place[2]) <= len(found):
                raise ValueError(
                    f"expected one of the {len(found)} numbers that the cell printed, found {place[2]}"
                )
        return found[int(place[2]) - 1]

    copied = COPIED.sub(number, text)
    if "{{" in copied:
        raise ValueError(
            f"expected places such as {{{{c12-60/2}}}}, found {copied[copied.index('{{') :][:20]!r}"
        )
    return copied


def preformatted(text: str, content: str) -> str:
    """Text in a fixed pitch, as large as its longest line and the number of its lines allow."""
    rows = text.splitlines()
    size = min(LARGEST, 1190 / (0.605 * max(map(len, rows))), 480 / (1.35 * len(rows)))
    return f'<pre style="font-size: {size if size >= SMALLEST else WRAPPED:.1f}px">{content}</pre>'


def code(source: str) -> str:
    """Python with its colours."""
    return preformatted(source, highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))


def text(source: str) -> str:
    """Markdown as the text of a slide."""
    return f'<div class="text">{MARKDOWN.render(source)}</div>'


def part(kind: str, cell: dict[str, Any], chosen: str, name: str) -> str:
    """What a slide shows of a cell."""
    if kind == "figure":
        return figure(cell, chosen or "1", name)
    if kind == "markdown":
        if chosen:
            raise ValueError(f"the text of a cell is shown whole, found /{chosen}")
        return text(re.sub(r"^#+ .*\n+|!\[[^]]*\]\(.*?\)", "", cell["source"], flags=re.M))
    if kind == "code":
        return code(lines(cell["source"], chosen))
    shown = lines(printed(cell), chosen)
    return preformatted(shown, html.escape(shown))


def section(entry: dict[str, str], known: dict[str, dict[str, Any]], name: str) -> str:
    """One slide."""
    parts = [f"<h2>{MARKDOWN.renderInline(with_numbers(entry['title'], known))}</h2>"]
    if "text" in entry:
        parts.append(text(with_numbers(entry["text"], known)))
    for kind in SHOWN:
        if kind in entry:
            cell, _, chosen = entry[kind].partition("/")
            with located(f"{kind} of {cell}"):
                parts.append(part(kind, cell_named(cell, known), chosen, name))
    look = "picture" if "figure" in entry else "words"
    return f'<section><div class="{look}">{"".join(parts)}</div></section>'


def title(stem: str) -> tuple[str, str]:
    """The title of a notebook and what it promises, from its first cell."""
    first = next(iter(cells(stem).values()))["source"]
    return re.search(r"^# (.+)\n\n\*\*(.+)\*\*$", first, flags=re.M).groups()


def deck(stem: str) -> str:
    """The page with all slides of a notebook; their pictures are written beside it.

    Raises:
        ValueError: a slide shows what the notebook lacks; says which slide, and which cell.
    """
    heading, promise = title(stem)
    known = cells(stem)
    shown = [f'<section><div class="opening"><h1>{heading}</h1>{MARKDOWN.render(promise)}</div></section>']
    for number, entry in enumerate(slides(stem), 1):
        with located(f"{stem}.yaml: slide {number}, {entry['title']!r}"):
            shown.append(section(entry, known, f"{stem}_{number + 1}"))
    return page(heading, "\n".join(shown))


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
    parser.add_argument(
        "lessons", nargs="*", type=lesson, metavar="NN", help="numbers of notebooks, such as 03; default: all"
    )
    stems = parser.parse_args().lessons or list(decks())
    write_static()
    for stem in stems:
        write(f"{stem}.html", deck(stem))
        print(f"outputs/slides/{stem}.html: {len(slides(stem)) + 1} slides")
    write("index.html", index([stem for stem in decks() if (OUT / f"{stem}.html").exists()]))
    print(print_pdf(stems))


if __name__ == "__main__":
    main()
