"""Every control of every panel, operated by keyboard and by mouse, in JupyterLab and in Voila."""

import io
import re

import numpy as np
import psutil
import pytest
from PIL import Image
from setup_notebook import PANELS, REQUIRED

from mambadfuse.widgets.panel import COMPUTING

if not REQUIRED:
    pytest.importorskip("playwright.sync_api", reason="pip install playwright (its browsers are not needed)")
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STATE = """panel => [...panel.querySelectorAll('img')].map(i => i.src).join()
    + panel.querySelector('[role=status]').innerText"""
SETTLED = f"""([panel, before]) => {{
    const now = ({STATE})(panel), last = panel.dataset.seen
    panel.dataset.seen = now
    return now === last && now !== before && panel.querySelector('[role=status]').innerText !== '{COMPUTING}'
}}"""
POLLING = 100  # milliseconds


class changes:
    """After the block, waits until images or message have changed and settled, without an error."""

    def __init__(self, panel: Locator) -> None:
        self.panel = panel

    def __enter__(self) -> None:
        self.before = self.panel.evaluate(STATE)

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            settle(self.panel, self.before)
            expect(status(self.panel)).not_to_contain_text("Error")


def settle(panel: Locator, before: str = "") -> None:
    """Waits until images and message are other than before and no longer change."""
    panel.page.wait_for_function(SETTLED, arg=[panel.element_handle(), before], polling=POLLING)


def status(panel: Locator) -> Locator:
    return panel.get_by_role("status")


def control(panel: Locator, description: str) -> Locator:
    """The list or text field with this description next to it."""
    return panel.get_by_label(description, exact=True)


def choose(panel: Locator, description: str, option: str) -> None:
    control(panel, description).select_option(label=option)


def picture(seed: int, width: int = 96, height: int = 80) -> bytes:
    buffer = io.BytesIO()
    rows = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8), dtype=np.uint8)
    Image.fromarray(rows.repeat(8, 0).repeat(8, 1)).save(buffer, format="PNG")
    return buffer.getvalue()


def upload(panel: Locator, side: str, name: str, content: bytes) -> None:
    with panel.page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name=f"Upload {side}").click()
    chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": content}])


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_opens_with_pictures_and_fits_the_window(site, title):
    panel = site.panel(title)
    expect(status(panel)).not_to_be_empty()
    expect(status(panel)).not_to_contain_text("Error")
    image = panel.locator("img:visible").first
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") > 30
    box = panel.bounding_box()
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth + 1")
    assert box["x"] + box["width"] <= 1280
    site.shoot(title, "open")


def at_the_end(handle: Locator) -> bool:
    now, top = (float(handle.get_attribute(f"aria-value{end}")) for end in ("now", "max"))
    return now == top


@pytest.mark.parametrize("title", [title for title in PANELS if title != "Blind preference"])
def test_every_slider_moves_by_keyboard_and_by_mouse(site, title):
    panel = site.panel(title)
    sliders = panel.locator(".widget-slider:visible")
    expect(sliders).not_to_have_count(0)
    for slider in sliders.all():
        handle = slider.locator(".noUi-handle")
        with changes(panel):
            handle.focus()
            handle.press("Home" if at_the_end(handle) else "End")
        with changes(panel):
            box = slider.locator(".noUi-target").bounding_box()
            place = 0.2 if at_the_end(handle) else 0.8
            site.page.mouse.click(box["x"] + place * box["width"], box["y"] + box["height"] / 2)
    site.shoot(title, "moved")


def test_scan_explorer(site):
    panel = site.panel("Scan explorer")
    with changes(panel):
        choose(panel, "signal", "steps in noise")
    choose(panel, "signal", "own numbers")
    numbers = control(panel, "numbers")
    with changes(panel):
        numbers.fill("4 0 0 2 0 0 0 0")
        numbers.press("Enter")
    numbers.fill("4 0 two")
    numbers.press("Enter")
    expect(status(panel)).to_contain_text("Error: a signal is made of numbers")
    site.shoot("Scan explorer", "error")


class TestFusionExplorer:
    title = "Fusion explorer"

    def test_pairs_networks_colours(self, site):
        panel = site.panel(self.title)
        for description, option in (
            ("pair", "pet-mri: icbm152_simulated_z04"),
            ("network", "untrained"),
            ("network", "ivf"),
            ("colour of", "grey"),
            ("colour of", "auto"),
            ("left", "laplacian pyramid"),
            ("right", "b"),
        ):
            with changes(panel):
                choose(panel, description, option)
        expect(status(panel)).to_contain_text("icbm152_simulated_z04")
        expect(panel.locator("table")).to_contain_text("VIF")
        site.shoot(self.title, "pet")

    def test_blinking(self, site):
        panel = site.panel(self.title)
        choose(panel, "left", "a")
        choose(panel, "right", "network")
        button = panel.get_by_role("button", name="Blink")
        button.focus()
        button.press("Enter")
        title = panel.locator("figure:visible figcaption").first
        for _ in range(2):
            expect(title).to_have_text("a")
            expect(title).to_have_text("network")
        button.press("Enter")
        expect(title).to_have_text("a | network")

    def test_dragging_over_the_picture_moves_the_border(self, site):
        panel = site.panel(self.title)
        settle(panel)
        handle = panel.locator(".mdf-split .noUi-handle")
        handle.scroll_into_view_if_needed()
        box = panel.locator(".mdf-compared img:visible").bounding_box()
        over = panel.locator(".mdf-split .noUi-target").bounding_box()
        assert all(abs(over[key] - box[key]) < 3 for key in box)
        border, height = handle.bounding_box(), box["y"] + 0.8 * box["height"]
        with changes(panel):
            handle.hover(position={"x": border["width"] / 2, "y": height - border["y"]})
            site.page.mouse.down()
            site.page.mouse.move(box["x"] + 0.7 * box["width"], height, steps=3)
            site.page.mouse.up()
        expect(handle).to_have_attribute("aria-valuenow", "70.0")
        site.shoot(self.title, "dragged")

    def test_the_wheel_over_the_pictures_zooms(self, site):
        panel, mouse, before = site.panel(self.title), site.page.mouse, site.page.viewport_size
        site.page.set_viewport_size({"width": 1280, "height": 600})  # the page can scroll
        zoom, x, y = (
            panel.locator(".widget-slider").filter(has_text=text).locator(".noUi-handle")
            for text in ("zoom", "detail x %", "detail y %")
        )
        zoom.focus()
        with changes(panel):
            zoom.press("Home")
        for number, turn, value in ((0, -120, 2), (1, -120, 3), (1, 120, 2)):
            picture = panel.locator("img:visible").nth(number)  # the whole picture, then the first detail
            picture.scroll_into_view_if_needed()
            box = picture.bounding_box()
            mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.7 * box["height"])
            with changes(panel):
                mouse.wheel(0, turn)
            expect(zoom).to_have_attribute("aria-valuenow", f"{value}.0")
            assert picture.bounding_box() == box
            for handle, percent in ((x, 20), (y, 70)):
                assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(percent, abs=2)
        site.page.set_viewport_size(before)
        site.shoot(self.title, "zoomed")

    def test_uploads_and_saving(self, site, tmp_path):
        panel = site.panel(self.title)
        upload(panel, "a", "broken.png", picture(0)[:200])
        expect(status(panel)).to_contain_text("Error: broken.png: is truncated or damaged")
        site.shoot(self.title, "corrupt")
        upload(panel, "a", "mine_a.png", picture(1))
        expect(status(panel)).to_have_text("Please upload side b.")
        with changes(panel):
            upload(panel, "b", "mine_b.png", picture(2))
            expect(status(panel)).to_contain_text("mine_a.png and mine_b.png, 96x80")
        path = tmp_path / "fused.png"
        control(panel, "file").fill(str(path))
        panel.get_by_role("button", name="Save").click()
        expect(status(panel)).to_contain_text("Saved")
        with Image.open(path) as saved:
            assert saved.size == (96, 80)
        site.shoot(self.title, "uploaded")


def test_exchange_explorer(site):
    panel = site.panel("Channel-exchange explorer")
    with changes(panel):
        choose(panel, "pair", "ct-mri: icbm152_simulated_z16")
    with changes(panel):
        choose(panel, "network", "untrained")
    expect(status(panel)).to_contain_text("channels change sides")


def test_blind_preference_by_keys_and_buttons(site):
    panel = site.panel("Blind preference")
    expect(status(panel)).to_contain_text("0 answers")
    with changes(panel):
        control(panel, "or type").press("l")
    expect(status(panel)).to_contain_text("1 answer ")
    expect(control(panel, "or type")).to_have_value("")
    with changes(panel):
        panel.get_by_role("button", name="Cannot tell").press("Enter")
    expect(status(panel)).to_contain_text("2 answers")
    expect(panel.get_by_role("table")).to_have_count(0)
    panel.get_by_role("button", name="Results").press("Enter")
    expect(panel.get_by_role("table")).to_contain_text("strength")
    expect(panel.get_by_role("table")).to_contain_text("VIF")
    site.shoot("Blind preference", "results")


def test_a_row_of_a_picture_is_a_signal(site):
    panel = site.panel("Scan explorer")
    with changes(panel):
        choose(panel, "signal", "row of a picture")
    expect(panel.get_by_role("img", name="row 100")).to_be_visible()
    with changes(panel):
        choose(panel, "signal", "steps in noise")


def test_no_tooltip_says_null_and_no_link_leads_nowhere(site):
    for title in PANELS:
        site.panel(title)
    page = site.page.locator(".mdf-lecture")
    expect(page.locator("[title=null]")).to_have_count(0)
    expect(page.locator("a")).to_have_count(0)


@pytest.mark.parametrize("width", [1024, 1366, 1920, 3840])
def test_the_page_is_as_wide_as_the_window(site, width):
    if site.name == "lab":
        pytest.skip("JupyterLab has margins and a sidebar of its own")
    before = site.page.viewport_size
    site.page.set_viewport_size({"width": width, "height": width * 9 // 16})
    for title in PANELS:
        panel = site.panel(title)
        expect(panel).to_be_visible()
        assert width - 100 <= panel.bounding_box()["width"] <= width
        assert site.page.evaluate("document.documentElement.scrollWidth") <= width
    site.page.set_viewport_size(before)


SMALLEST = """page => Math.min(...[...page.querySelectorAll('*')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => parseFloat(getComputedStyle(e).fontSize)))"""


def test_large_type_and_long_sliders(site):
    page = site.page.locator(".mdf-lecture")
    page.get_by_label("large type").check()
    for title in PANELS:
        panel = site.panel(title)
        site.page.wait_for_function(f"page => ({SMALLEST})(page) >= 18", arg=page.element_handle())
        for slider in panel.locator(".noUi-target:visible").all():
            assert slider.bounding_box()["width"] >= 300
        site.shoot(title, "large")
    page.get_by_label("large type").uncheck()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, theme):
    if site.name == "lab":
        pytest.skip("the page around the panels is JupyterLab's own")
    dark = site.page.locator(".mdf-lecture").get_by_label("dark", exact=True)
    dark.set_checked(theme == "dark")
    for title in PANELS:
        site.panel(title)
        found = Axe().run(site.page, options={"preload": False}).response["violations"]
        serious = [
            f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")
        ]
        assert not serious, title
        site.shoot(title, theme)
    dark.set_checked(False)


def test_m3_explorer(site):
    panel = site.panel("M3 explorer")
    with changes(panel):
        choose(panel, "gate", "shared")
    expect(status(panel)).to_contain_text("with one gate")
    site.shoot("M3 explorer", "shared")
    with changes(panel):
        choose(panel, "pair", "ivf: synthetic_night_street")


PAUSED = re.compile(r"^default: paused, step \d+ of 1000; gate-shared: paused, step \d+ of 1000$")
TRAINING = re.compile(r"^default: training, step \d+ of 1000; gate-shared: training, step \d+ of 1000$")


def steps(panel: Locator) -> list[int]:
    """The step of each variant, from the message."""
    return [int(number) for number in re.findall(r"step (\d+) of", status(panel).inner_text())]


class TestAblationLab:
    title = "Ablation lab"

    def test_ticks_and_questions(self, site):
        panel = site.panel(self.title)
        tick = panel.get_by_label("residual-dropped", exact=True)
        question = panel.get_by_text("to drop the running sums")
        expect(question).to_have_count(0)
        tick.press(" ")
        expect(question).to_be_visible()
        tick.click()
        expect(question).to_have_count(0)

    def test_one_row_alone_is_refused(self, site):
        panel = site.panel(self.title)
        other = panel.get_by_label("gate-shared", exact=True)
        other.click()
        panel.get_by_role("button", name="Train").click()
        expect(status(panel)).to_contain_text("Error: tick 2 to 6 rows, found 1")
        other.click()

    def test_two_variants_train_pause_resume_and_stop(self, site):
        panel = site.panel(self.title)
        choose(panel, "budget", "minutes")
        train, pause, stop = (panel.get_by_role("button", name=n) for n in ("Train", "Pause", "Stop"))
        train.click()
        expect(panel.locator("table")).to_contain_text("VIF")
        expect(train).to_be_disabled()
        expect(panel.locator("figcaption")).to_contain_text(["loss", "a", "b", "default", "gate-shared"])
        for _ in range(2):  # figures and numbers change without user input
            before = panel.evaluate(STATE), panel.locator("table").inner_text()
            panel.page.wait_for_function(
                "([panel, text]) => panel.querySelector('table').innerText !== text",
                arg=[panel.element_handle(), before[1]],
            )
            assert panel.evaluate(STATE) != before[0]
        site.shoot(self.title, "training")
        with changes(site.panel("Scan explorer")):  # the notebook is free
            choose(site.panel("Scan explorer"), "signal", "one pulse")
        panel = site.panel(self.title)
        pause.press("Enter")
        expect(status(panel)).to_have_text(PAUSED)
        paused = steps(panel)
        with changes(panel):
            choose(panel, "score", "SSIM")
        assert steps(panel) == paused
        site.shoot(self.title, "paused")
        train.press("Enter")
        expect(status(panel)).to_have_text(TRAINING)
        panel.page.wait_for_function(
            "([panel, text]) => !panel.querySelector('[role=status]').innerText.includes(text)",
            arg=[panel.element_handle(), f"step {paused[0]} of"],
        )
        assert min(new - old for new, old in zip(steps(panel), paused, strict=True)) >= 0
        stop.press("Enter")
        expect(status(panel)).to_contain_text("Stopped.")
        expect(stop).to_be_disabled()
        site.shoot(self.title, "stopped")


def workers() -> set[psutil.Process]:
    """All processes that train a variant for a page of these tests; those of other programs do not count."""
    found, family = psutil.process_iter(["cmdline"]), set(psutil.Process().children(recursive=True))
    training = {one for one in found if "mambadfuse.ablation.worker" in (one.info["cmdline"] or ())}
    return training & family


def test_a_page_that_is_opened_again_leaves_no_training_unseen(site):
    """JupyterLab shows the panel still training; the app starts afresh, and its old kernel ends with all processes."""
    panel, others = site.panel("Ablation lab"), workers()
    panel.get_by_role("button", name="Train").click()
    expect(status(panel)).to_have_text(TRAINING)
    mine = workers() - others
    assert len(mine) == 2
    site.reload()
    panel = site.panel("Ablation lab")
    if site.name == "lab":
        expect(status(panel)).to_have_text(TRAINING)
        panel.get_by_role("button", name="Stop").press("Enter")
        expect(status(panel)).to_contain_text("Stopped.")
    _, alive = psutil.wait_procs(mine, timeout=60)
    assert not alive
    expect(status(panel)).to_contain_text("2 rows to train")


@pytest.mark.parametrize("title", PANELS)
def test_closing_empties_the_panel(site, title):
    panel = site.panel(title)
    button = panel.get_by_role("button", name="Close")
    button.scroll_into_view_if_needed()
    button.press("Enter")
    expect(site.page.get_by_text(title, exact=False)).to_have_count(0)
    site.page.get_by_role("button", name=f"Open {PANELS[title]}").press("Enter")
    expect(status(site.panel(title))).not_to_be_empty()
