"""The book in a browser, opened from its folder: no request leaves it; its pages fit, search, print and can be read."""

import json
import re
from pathlib import Path

import pytest
from book_pages import BOOK, build
from servers import PATIENCE
from setup_notebook import REQUIRED

if not REQUIRED:
    pytest.importorskip("sphinx", reason="the book needs the extra book")
    pytest.importorskip("playwright.sync_api", reason="pip install playwright (its browsers are not needed)")
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
from axe_playwright_python.sync_playwright import Axe

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = [
    "docs/book/index", "docs/book/ten_minutes", "docs/book/faq", "docs/book/commands", "docs/book/bibliography",
    "docs/book/package", "docs/book/api/mambadfuse.metrics", "docs/book/api/mambadfuse.models", "docs/glossary",
    "docs/fusing", "notebooks/README", "notebooks/03_state_space_models", "notebooks/08_reconstruction_and_losses",
    "notebooks/11_ablation_lab", "weights/ivf", "benchmarks/NOTES", "_modules/mambadfuse/fusion/pair",
]  # fmt: skip
WIDTHS = (360, 1280, 1920)
TOO_WIDE = """() => {
    const wide = document.scrollingElement.scrollWidth - window.innerWidth
    if (wide <= 0) return []
    const beyond = e => e.getBoundingClientRect().right > window.innerWidth + 1
    const out = [...document.querySelectorAll('.bd-main *')].filter(beyond)
    return [wide, ...out.slice(0, 5).map(e => e.outerHTML.slice(0, 200))]
}"""
STOPS_SET = """() => [...document.querySelectorAll('pre')]
    .every(e => e.scrollWidth <= e.clientWidth || e.tabIndex >= 0)"""
RAW_FORMULAS = """() => [...document.querySelectorAll('.math')]
    .filter(e => !e.querySelector('mjx-container') || e.querySelector('[data-mml-node=merror]'))
    .map(e => e.innerText)"""


@pytest.fixture(scope="module")
def book() -> Path:
    done = build()
    assert done.returncode == 0, done.stderr
    return BOOK


class Reader:
    """A page of the browser, with the requests and errors of all it has shown."""

    def __init__(self, browser, book: Path, scheme: str) -> None:
        self.page = browser.new_page(color_scheme=scheme)
        self.page.set_default_timeout(1000 * PATIENCE)
        self.root, self.foreign, self.errors = book.as_uri(), [], []
        self.page.on("request", self.note)
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def note(self, request) -> None:
        if not request.url.startswith((self.root, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, name: str, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(f"{self.root}/{name}.html")
        self.page.wait_for_function("!window.MathJax?.startup || window.MathJax.startup.promise")

    def widen(self, width: int) -> None:
        """Makes the window so wide, and waits until the page has been laid out anew.

        The theme lets the keyboard reach wide code, and decides which code is wide a moment after the window changed.
        """
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        self.page.wait_for_function(STOPS_SET)


@pytest.fixture(scope="module", params=["light", "dark"])
def reader(request, chromium, book):
    reader = Reader(chromium, book, request.param)
    yield reader
    reader.page.close()


@pytest.fixture(autouse=True)
def quiet(reader):
    """After every test: nothing was asked of another host, and nothing failed."""
    yield
    assert not reader.foreign
    assert not reader.errors


@pytest.fixture(scope="module", params=PAGES)
def opened(request, reader):
    """The reader with a page that was loaded once, as narrow as on a telephone: the tests widen it."""
    reader.open(request.param, WIDTHS[0])
    return reader


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fits_and_shows_its_formulas(opened, width):
    opened.widen(width)
    assert not opened.page.evaluate(TOO_WIDE)
    assert not opened.page.evaluate(RAW_FORMULAS)


def test_axe_finds_nothing_serious(opened):
    opened.widen(1280)
    found = Axe().run(opened.page, options={"preload": False}).response["violations"]
    serious = [
        (rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"][:5]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert not serious, json.dumps(serious, indent=1)


def test_the_folder_opens_at_the_first_page(reader):
    reader.open("index", 1280)
    reader.page.wait_for_url(f"{reader.root}/docs/book/index.html")


def test_search_works_without_a_server(reader):
    reader.open("search", 1280)
    reader.page.goto(f"{reader.root}/search.html?q=laplacian")
    results = reader.page.locator("#search-results li a")
    results.nth(3).wait_for()  # the page lists them one after another
    results.first.click()
    assert "aplacian" in reader.page.inner_text("main")


def test_a_solution_opens_with_a_click(reader):
    reader.open("notebooks/03_state_space_models", 1280)
    solution = reader.page.locator("details", has_text="Show the solution").first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible()


def test_a_word_of_the_glossary_says_what_it_means(reader):
    reader.open("docs/fusing", 1280)
    word = reader.page.locator("a.glossary-word").first
    assert len(word.get_attribute("title")) > 10
    word.click()
    assert "glossary.html#word-" in reader.page.url


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize(("page", "sheets"), [("docs/teaching/equations", 1), ("docs/glossary", 6)])
def test_sheets_to_print_are_as_many_as_the_teachers_are_told(reader, page, sheets, paper):
    reader.open(page, 1280)
    assert not reader.page.evaluate(RAW_FORMULAS)
    margin = dict.fromkeys(("top", "right", "bottom", "left"), "0.4in")  # as in the dialogue of the browser
    pdf = reader.page.pdf(format=paper, margin=margin)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == sheets


def test_a_page_prints(reader):
    reader.open("notebooks/03_state_space_models", 1280)
    assert reader.page.pdf().startswith(b"%PDF")
