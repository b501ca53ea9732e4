"""The book: its own extensions, the answers it gives, and, once it is made, its pages."""

import re
import runpy
import shlex
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from book_pages import BOOK, ROOT, build, read
from nbformat.v4 import new_markdown_cell, new_notebook
from test_readme import OURS, desk, program, run  # noqa: F401 - desk is a fixture

from mambadfuse.cli import COMMANDS

pytest.importorskip("sphinx", reason="the book needs the extra book")
SOURCE = ROOT / "docs" / "book"
sys.path.insert(0, str(SOURCE / "extensions"))
import api_pages  # noqa: E402 - after the path
import fast_build  # noqa: E402 - after the path
import glossary_links  # noqa: E402 - after the path
import notebook_cells  # noqa: E402 - after the path
import source_links  # noqa: E402 - after the path

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OWN = [SOURCE / "ten_minutes.md", SOURCE / "faq.md"]


def blocks(language: str) -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in OWN)
    return list(dict.fromkeys(re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)))


LINES = list(dict.fromkeys(line for block in blocks("bash") for line in block.splitlines()))
COMMAND_LINES = [line for line in LINES if shlex.split(line) not in OURS]  # test_readme.py runs the others


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_in_the_book_run(line, desk):  # noqa: F811 - the fixture
    words = shlex.split(line)
    assert program(words) == "mambadfuse"
    assert run([sys.executable, "-m", "mambadfuse", *words[1:]], desk)


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_book_runs(code, desk):  # noqa: F811 - the fixture
    assert run([sys.executable, "-c", code], desk)


def output(**data: str) -> dict:
    return {
        "output_type": "display_data",
        "metadata": {},
        "data": {kind.replace("_", "/"): text for kind, text in data.items()},
    }


def test_a_solution_is_hidden_and_a_panel_becomes_a_sentence():
    picture, panel = (
        output(text_plain="<Figure>", image_png="QQ=="),
        output(text_plain="VBox(children=(IntSlider("),
    )
    bar = output(text_plain="trained:   0%|          | 0/3 [00:00<?, ?it/s]")
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "text"},
        {"cell_type": "code", "metadata": {"tags": ["solution"]}, "outputs": [bar, picture]},
        {"cell_type": "code", "metadata": {}, "outputs": [output(text_plain="7"), panel]},
    ]
    notebook = notebook_cells.as_in_the_book({"metadata": {"language_info": {}}, "cells": cells})
    text, solution, last = notebook["cells"]
    assert text == {"cell_type": "markdown", "metadata": {}, "source": "text"}
    assert "hide-cell" in solution["metadata"]["tags"]
    assert solution["outputs"] == [picture]
    assert last["outputs"] == [output(text_plain="7"), notebook_cells.IN_ITS_PLACE]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_panel_draws_is_shown_above_it(path):
    """The sentence that stands for a panel says so."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    panels = [k for k, cell in enumerate(cells) if any(map(is_panel, cell.outputs))]
    assert all(any("image/png" in out.get("data", {}) for out in cells[k - 1].outputs) for k in panels)


def is_panel(out: dict) -> bool:
    return bool(notebook_cells.PANEL.match(notebook_cells.text(out)))


def test_a_word_is_linked_where_it_is_first_used():
    meanings = {
        "Pair": "two images",
        "EN": "entropy",
        "Running sum": "the residual stream",
        "Sum": "not this",
    }
    text = "Two pairs, a pair, EN and the running sum; EN, impair, ENd."
    found = list(glossary_links.linked(text, meanings, "glossary.html"))
    assert "".join(node.astext() for node in found) == text
    links = [
        (node.astext(), node["refuri"], node["reftitle"]) for node in found if node.tagname == "reference"
    ]
    assert links == [
        ("pairs", "glossary.html#word-pair", "two images"),
        ("EN", "glossary.html#word-en", "entropy"),
        ("running sum", "glossary.html#word-running-sum", "the residual stream"),
    ]
    assert set(meanings) == {"Sum"}


def test_files_of_the_package_are_pages_of_the_book():
    assert source_links.source_page(Path("mambadfuse/ops/__init__.py")) == "docs/book/api/mambadfuse.ops.html"
    assert (
        source_links.source_page(Path("mambadfuse/fusion/pair.py")) == "_modules/mambadfuse/fusion/pair.html"
    )
    assert source_links.source_page(Path("mambadfuse/ablation/table.yaml")) is None
    assert source_links.source_page(Path("benchmarks/attention.py")) is None


def test_the_reference_has_every_module():
    files = (ROOT / "mambadfuse").rglob("*.py")
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files
    }
    found = api_pages.modules()
    assert {*found, *(name for part in found.values() for name in part)} == names - {"mambadfuse.__main__"}


def test_pages_that_are_alike_are_read_by_several_processes():
    pages = [f"{kind}/{n}" for kind in ("api", "docs", "notebooks", "weights") for n in range(20)]
    spread = pages.copy()
    fast_build.spread(None, None, spread)
    assert sorted(spread) == sorted(pages)
    for start in range(0, 80, 20):
        kinds = [page.split("/")[0] for page in spread[start : start + 20]]
        assert all(4 <= kinds.count(kind) <= 6 for kind in set(kinds))


def test_the_bibliography_has_every_preprint_that_a_notebook_cites():
    cited = {number for path in NOTEBOOKS for number in preprints(path)}
    assert cited
    assert cited <= preprints(SOURCE / "bibliography.md")


def preprints(path: Path) -> set[str]:
    return set(re.findall(r"arxiv\.org/abs/(\d{4}\.\d{5})", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("address", ["https://github.com/someone/kit", ""])
def test_the_buttons_take_their_address_from_one_place(monkeypatch, address):
    monkeypatch.setenv("BOOK_REPOSITORY", address)
    options = runpy.run_path(str(SOURCE / "conf.py"))["html_theme_options"]
    assert options.get("repository_url", "") == address
    assert ("launch_buttons" in options) == bool(address)
    assert options["use_download_button"]


@pytest.mark.slow
@pytest.mark.parametrize("address", ["https://github.com/someone/kit", ""])
def test_the_buttons_lead_to_the_notebook_or_are_not_there(monkeypatch, tmp_path, address):
    monkeypatch.setenv("BOOK_REPOSITORY", address)
    conf = runpy.run_path(str(SOURCE / "conf.py"))
    names = ("html_theme", "html_theme_options", "nb_execution_mode")
    settings = ['extensions = ["myst_nb"]', *(f"{name} = {conf[name]!r}" for name in names)]
    (tmp_path / "conf.py").write_text("\n".join(settings), encoding="utf-8")
    (tmp_path / "index.md").write_text("# Book\n\n```{toctree}\nlesson\n```\n", encoding="utf-8")
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A lesson")]), tmp_path / "lesson.ipynb")
    run([sys.executable, "-m", "sphinx", "-q", ".", "out"], tmp_path)
    links = set(page_of(tmp_path / "out" / "lesson.html").links)
    at_home = {
        "https://colab.research.google.com/github/someone/kit/blob/main/lesson.ipynb",
        "https://github.com/someone/kit",
        "https://github.com/someone/kit/blob/main/lesson.ipynb?plain=1",
    }
    found = {link for link in links if "github.com" in link or "colab" in link}
    assert found == (at_home if address else set())
    assert "" not in links


def test_the_workflow_publishes_what_make_book_writes():
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["build"]["steps"]
    assert any(step.get("run") == "make book" for step in steps)
    assert [step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", "")] == [
        BOOK.relative_to(ROOT).as_posix()
    ]


@pytest.fixture(scope="module")
def book() -> Path:
    done = build()
    assert done.returncode == 0, done.stderr
    return BOOK


@pytest.fixture(scope="module")
def pages(book) -> list[Path]:
    return sorted(path for path in book.rglob("*.html") if "_modules" not in path.parts)


page_of = cache(read)


@pytest.mark.slow
def test_the_book_is_whole(book):
    sources = [
        *NOTEBOOKS,
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "weights").glob("*.md"),
        *SOURCE.glob("*.md"),
    ]
    assert all((book / path.relative_to(ROOT).with_suffix(".html")).exists() for path in sources)
    assert len(sources) > 35
    commands = page_of(book / "docs/book/commands.html").ids
    assert {f"mambadfuse-{name}" for name in COMMANDS} <= commands
    assert "mambadfuse.fusion.pair.fuse" in page_of(book / "docs/book/api/mambadfuse.fusion.html").ids


@pytest.mark.slow
def test_every_link_within_the_book_leads_somewhere(book, pages):
    broken = []
    for path in pages:
        for link in page_of(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = target.is_file() and (
                not parts.fragment
                or target.suffix != ".html"
                or unquote(parts.fragment) in page_of(target).ids
            )
            if not known:
                broken.append(f"{path.relative_to(book)}: {link}")
    assert not broken


@pytest.mark.slow
def test_every_page_can_be_reached_from_the_first(book, pages):
    """By clicks: the menu shows what is below a page only while that page is open."""
    waiting, reached = [book / "docs/book/index.html"], set()
    while waiting:
        path = waiting.pop()
        if path not in reached and path in pages:
            reached.add(path)
            waiting += [
                (path.parent / unquote(urlsplit(link).path)).resolve() for link in page_of(path).links
            ]
    left = {
        path.relative_to(book).as_posix() for path in set(pages) - reached if path.parent.name != "_static"
    }
    assert left <= {"index.html", "search.html", "genindex.html", "py-modindex.html"}  # Sphinx's own


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(book):
    for path in book.rglob("*.html"):
        foreign = [address for address in page_of(path).loaded if urlsplit(address).netloc]
        assert not foreign, path
    styles = "\n".join(path.read_text(encoding="utf-8") for path in book.rglob("*.css"))
    assert not re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//\S+", styles)


@pytest.mark.slow
def test_every_picture_says_what_it_shows(book, pages):
    for path in pages:
        bare = [picture["src"] for picture in page_of(path).pictures if not picture.get("alt")]
        assert not bare, path
        named = [p["src"] for p in page_of(path).pictures if p["alt"].endswith((".png", ".jpg"))]
        assert not named, f"{path}: the name of a file says nothing"


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_neither_solutions_nor_dead_panels(book, notebook):
    text = (book / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
    cells = nbformat.read(notebook, as_version=4).cells
    solutions = sum("solution" in cell.metadata.get("tags", []) for cell in cells)
    assert text.count("Show the solution") == solutions >= 3
    assert len(re.findall(r"<details class=\"[^\"]*hide", text)) == solutions
    assert not re.search(r"\(children=\(|0%\|", text)
