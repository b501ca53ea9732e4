"""The slides in a browser, opened from their folder: nothing overflows, every formula is set, and they print."""

import re
import runpy

import pytest
from setup_notebook import REQUIRED, ROOT

if not REQUIRED:
    pytest.importorskip("sphinx_revealjs", reason="the slides need the extra book")
    pytest.importorskip("playwright.sync_api", reason="pip install playwright (its browsers are not needed)")

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BUILD = runpy.run_path(str(ROOT / "docs" / "teaching" / "slides" / "build.py"))
DECKS = BUILD["decks"]()
OVERFLOWS = """() => {
    const slide = document.querySelector('section.present > div')
    const edge = slide.getBoundingClientRect()
    const beyond = ({right, bottom}) => right > edge.right + 1 || bottom > edge.bottom + 1
    const text = [...slide.querySelectorAll('*')]
        .filter(e => beyond(e.getBoundingClientRect())).map(e => e.outerHTML.slice(0, 100))
    const small = [...slide.querySelectorAll('img')].filter(e => e.clientHeight < 360).map(e => e.src)
    return [...text, ...small]
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    BUILD["deck"].__globals__["OUT"] = out = tmp_path_factory.mktemp("slides")
    BUILD["write_static"]()
    for stem in DECKS:
        BUILD["write"](f"{stem}.html", BUILD["deck"](stem))
    return out


@pytest.fixture
def page(chromium):
    page = chromium.new_page(viewport={"width": 1366, "height": 768})
    yield page
    page.close()


@pytest.fixture(autouse=True)
def quiet(page, folder):
    """After every test: nothing was asked of another host, and nothing failed."""
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield
    assert all(url.startswith((folder.as_uri(), "data:")) for url in requests)
    assert not errors


@pytest.mark.parametrize("stem", DECKS)
def test_no_slide_overflows(page, folder, stem):
    page.goto((folder / f"{stem}.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number})")
        assert not page.evaluate(OVERFLOWS), f"{stem}, slide {number + 1}"
    assert not page.query_selector("[data-mml-node=merror]")


def test_a_key_turns_the_slide(page, folder):
    page.goto((folder / "00_start_here.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getIndices().h") == 1


def test_each_slide_is_a_page_of_the_pdf(page, folder):
    page.goto((folder / "00_start_here.html").as_uri() + "?print-pdf")
    page.wait_for_selector("body[data-ready]")
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(BUILD["slides"]("00_start_here")) + 1
