"""One notebook with all panels, open in JupyterLab and as a Voila app, in a headless Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import servers
from setup_notebook import CHROMIUM, PANELS, REQUIRED, ROOT, copy_notebook

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
HARMLESS = "shared module"  # Voila logs which of two copies of a library it uses
IDLE = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: needs a Chromium; deselect with -m 'not browser'")


@dataclass
class Site:
    """An open page and its errors."""

    name: str
    page: object
    shots: Path
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def panel(self, title: str):
        """The panel of that title; its tab is opened."""
        tab = self.page.get_by_role("tab", name=PANELS[title], exact=True)
        if tab.get_attribute("aria-selected") != "true":
            tab.click()
        return self.page.locator(".mdf-panel").filter(has_text=title)

    def reload(self) -> None:
        """Reloads the page; JupyterLab saves the notebook first."""
        if self.name == "lab":
            self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        self.page.reload(wait_until="commit")

    def shoot(self, title: str, moment: str) -> None:
        name = f"{self.name}_{title}_{moment}.png".lower().replace(" ", "_")
        self.panel(title).screenshot(path=self.shots / name)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    if REQUIRED:
        assert CHROMIUM, "MAMBADFUSE_BROWSER=required, but there is no Chromium on the PATH"
    elif not CHROMIUM:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * servers.PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["lab", "voila"])
def site(request, chromium, tmp_path_factory) -> Iterator[Site]:
    notebook = copy_notebook(tmp_path_factory.mktemp("work"))
    shots = ROOT / "outputs" / "browser"
    shots.mkdir(parents=True, exist_ok=True)
    with getattr(servers, request.param)(notebook, tmp_path_factory.mktemp(request.param)) as address:
        page = chromium.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(1000 * servers.PATIENCE)
        site, own = Site(request.param, page, shots), address.split("://")[1].split("/")[0]

        def note(request) -> None:
            if not request.url.startswith((f"http://{own}", f"ws://{own}", "data:", "blob:")):
                site.foreign.append(request.url)

        page.on("request", note)
        page.on("console", lambda m: site.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: site.errors.append(str(error)))
        page.goto(address, wait_until="commit")
        if request.param == "lab":
            page.wait_for_function(IDLE)
            assert page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        yield site
        if request.param == "lab":
            page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.close()


@pytest.fixture(autouse=True)
def quiet(site) -> Iterator[None]:
    """After every test: no request to a foreign host, no error in the console."""
    yield
    assert not site.foreign
    assert not [text for text in site.errors if HARMLESS not in text]
