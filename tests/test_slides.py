"""The slides of the notebooks: complete, made of cells that exist, and without a request to anywhere."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("sphinx_revealjs", reason="the slides need the extra book")
import book_pages

ROOT = Path(__file__).parents[1]
SLIDES = ROOT / "docs" / "teaching" / "slides"
BUILD = runpy.run_path(str(SLIDES / "build.py"))
DECKS = BUILD["decks"]()


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The folder of all slides."""
    BUILD["deck"].__globals__["OUT"] = out = tmp_path_factory.mktemp("slides")
    BUILD["write_static"]()
    for stem in DECKS:
        BUILD["write"](f"{stem}.html", BUILD["deck"](stem))
    BUILD["write"]("index.html", BUILD["index"](list(DECKS)))
    return out


def test_every_notebook_has_slides():
    assert list(DECKS) == [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]


@pytest.mark.parametrize("stem", DECKS)
def test_there_are_ten_to_fifteen_and_each_shows_something(stem):
    slides = BUILD["slides"](stem)
    assert 10 <= len(slides) + 1 <= 15  # and the one with the title
    assert all(set(slide) - {"title"} for slide in slides)
    assert len({slide["title"] for slide in slides}) == len(slides)
    assert sum("figure" in slide for slide in slides) >= 3


@pytest.mark.parametrize("stem", DECKS)
def test_a_page_has_its_slides_and_loads_only_what_lies_beside_it(written, stem):
    page = book_pages.read(written / f"{stem}.html")
    text = (written / f"{stem}.html").read_text(encoding="utf-8")
    assert text.count("<section") == len(BUILD["slides"](stem)) + 1
    assert all((written / name).is_file() for name in page.loaded)
    assert "{{" not in re.sub(r"\\\[.*?\\\]|\\\(.*?\\\)", "", text, flags=re.S)
    assert all(len(picture["alt"]) > 20 for picture in page.pictures)
    assert not re.search(r"https?://", text)


def test_the_list_of_slides_links_to_all(written):
    assert book_pages.read(written / "index.html").links == [f"{stem}.html" for stem in DECKS]


@pytest.mark.parametrize("name", ["slides.css", "reveal.css"])
def test_the_styles_load_nothing_from_elsewhere(written, name):
    assert not re.search(r"@import|url\((?!data:)", (written / "static" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- text: No title", "slide 1: expected a title"),
        ("- {title: A, picture: c00-10}", "slide 1: expected a title"),
        ("- {title: A, figure: c00-10}\n- {title: B, code: c99-01/2-3}", "slide 2: .* found 'c99-01'"),
    ],
)
def test_a_slide_that_cannot_be_made_is_named(tmp_path, monkeypatch, content, message):
    (tmp_path / "00_start_here.yaml").write_text(content, encoding="utf-8")
    monkeypatch.setitem(BUILD["slides"].__globals__, "HERE", tmp_path)
    with pytest.raises(ValueError, match=f"00_start_here.yaml: {message}"):
        BUILD["slides"]("00_start_here")


@pytest.mark.parametrize(("chosen", "left"), [("", "a\nb\nc"), ("2", "b\nc"), ("2-2", "b"), ("1-2", "a\nb")])
def test_lines_are_counted_from_one(chosen, left):
    assert BUILD["lines"]("a\nb\nc", chosen) == left


def test_long_lines_are_smaller_and_very_long_ones_are_wrapped():
    sizes = [
        float(re.search(r"font-size: ([\d.]+)px", BUILD["preformatted"]("x" * n, ""))[1])
        for n in (10, 80, 300)
    ]
    assert sizes == [36, pytest.approx(24.6, abs=0.1), 24]
