"""The slides of the notebooks: complete, made of cells that exist, and without a request to anywhere."""

import re
import runpy
from argparse import ArgumentTypeError
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

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
        (
            "- {title: A, text: x}\n- {title: B, code: c99-01/2}",
            "slide 2, 'B': code of c99-01: .* found 'c99-01'",
        ),
        (
            "- {title: A, figure: c-picture/2}",
            "slide 1, 'A': figure of c-picture: .* its 1 pictures, found '2'",
        ),
        (
            "- {title: A, figure: c-picture/x}",
            "slide 1, 'A': figure of c-picture: .* its 1 pictures, found 'x'",
        ),
        ("- {title: A, figure: c-bare}", "slide 1, 'A': figure of c-bare: expected .* alternative text"),
        ("- {title: A, figure: c-prints}", "slide 1, 'A': figure of c-prints: .* its 0 pictures"),
        (
            "- {title: A, printed: c-prints/2-4}",
            "slide 1, 'A': printed of c-prints: .* 2 lines, .* found '2-4'",
        ),
        ("- {title: A, printed: c-picture}", "slide 1, 'A': printed of c-picture: .* 0 lines"),
        ("- {title: A, code: c-prints/9}", "slide 1, 'A': code of c-prints: .* 1 lines, .* found '9'"),
        ("- {title: A, code: c-prints/last}", "slide 1, 'A': code of c-prints: .* found 'last'"),
        (
            "- {title: 'A', text: '{{c-prints/4}}'}",
            "slide 1, 'A': .*c-prints/4.*: expected .* 3 numbers .* found 4",
        ),
        (
            "- {title: 'A', text: '{{c-none/1}}'}",
            "slide 1, 'A': .*c-none/1.*: expected the id .* found 'c-none'",
        ),
        (
            "- {title: 'A', text: 'of {{c-prints}} pictures'}",
            "slide 1, 'A': .*expected places .* found '{{c-prints}}",
        ),
    ],
)
def test_what_cannot_be_shown_is_named_with_its_slide_and_cell(tmp_path, monkeypatch, content, message):
    lists(tmp_path, monkeypatch, content)
    with pytest.raises(ValueError, match=f"^00_start_here.yaml: {message}"):
        BUILD["deck"]("00_start_here")


def lists(folder: Path, monkeypatch, content: str) -> None:
    """Makes this the list of slides of a small notebook."""
    png = (ROOT / ".github" / "fused_samples.png").read_bytes()
    pictures = [new_output("display_data", {"image/png": b64encode(png).decode()}) for _ in range(2)]
    pictures[0]["metadata"] = {"image/png": {"alt": "Sample pairs"}}
    numbers = new_output("stream", text="12.50 and +1,148,\n-3 of them\n")
    cells = [
        new_markdown_cell("# 00 · A notebook\n\n**Its promise.**", id="c-title"),
        new_code_cell("print(numbers)", id="c-prints", outputs=[numbers]),
        new_code_cell("show(pair)", id="c-picture", outputs=pictures[:1]),
        new_code_cell("show(pair)", id="c-bare", outputs=pictures[1:]),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "00_start_here.ipynb")
    (folder / "00_start_here.yaml").write_text(content, encoding="utf-8")
    for name in ("HERE", "NOTEBOOKS", "OUT"):
        monkeypatch.setitem(BUILD["deck"].__globals__, name, folder)


def test_a_number_is_taken_from_what_a_cell_printed(tmp_path, monkeypatch):
    text = "'{{c-prints/1}}, {{c-prints/2}}, {{c-prints/3}}'"
    lists(tmp_path, monkeypatch, f"- {{title: 'At {{{{c-prints/1}}}}', text: {text}}}")
    page = BUILD["deck"]("00_start_here")
    assert "<h2>At 12.50</h2>" in page
    assert "<p>12.50, +1,148, -3</p>" in page


def said(entry: dict[str, str]) -> str:
    """The title and text of a slide without formulas."""
    return re.sub(r"\$\$.*?\$\$|\$.*?\$", "", f"{entry['title']}\n{entry.get('text', '')}", flags=re.S)


@pytest.mark.parametrize("stem", DECKS)
def test_numbers_and_names_written_into_slides_stand_in_the_notebook(stem):
    """In its text, code, stored outputs, or what its pictures are said to show. A digit alone is left to its reader."""
    known = []
    for cell in BUILD["cells"](stem).values():
        alts = [alt for _, alt in BUILD["pictures"](cell)]
        known += [cell["source"], BUILD["printed"](cell), *alts]
    text = "\n".join(known).replace(",", "")
    numbers = set(re.findall(r"\d+(?:\.\d+)?", text))
    for entry in BUILD["slides"](stem):
        prose = BUILD["COPIED"].sub("", said(entry)).replace(",", "")
        assert {n for n in re.findall(r"\d+(?:\.\d+)?", prose) if len(n) > 1} <= numbers, entry["title"]
        assert not [name for name in re.findall(r"(?<!`)`([\w-]+)`", prose) if name not in text], entry[
            "title"
        ]


@pytest.mark.parametrize(
    ("named", "chosen"),
    [("06", ["06_channel_exchange"]), ("06 07", ["06_channel_exchange", "07_m3_deep_fusion"])],
)
def test_lessons_are_chosen_by_their_numbers(named, chosen):
    assert [BUILD["lesson"](number) for number in named.split()] == chosen


@pytest.mark.parametrize("number", ["6", "99", "06_channel_exchange"])
def test_a_number_without_slides_is_refused(number):
    with pytest.raises(
        ArgumentTypeError, match=rf"expected numbers of notebooks, 00, .*, 13; found '{number}'"
    ):
        BUILD["lesson"](number)


@pytest.mark.parametrize(
    ("chosen", "left"), [("", "a\nb\nc"), ("2", "b\nc"), ("2-2", "b"), ("1-2", "a\nb"), ("3-3", "c")]
)
def test_lines_are_counted_from_one(chosen, left):
    assert BUILD["lines"]("a\nb\nc", chosen) == left


def test_long_lines_are_smaller_and_very_long_ones_are_wrapped():
    sizes = [
        float(re.search(r"font-size: ([\d.]+)px", BUILD["preformatted"]("x" * n, ""))[1])
        for n in (10, 80, 300)
    ]
    assert sizes == [36, pytest.approx(24.6, abs=0.1), 24]
