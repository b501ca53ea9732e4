"""Panels without a browser: what a control changes, what is said about bad input, and that nothing is left behind."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from panel_cases import PANELS, TINY, blind_preference, png
from PIL import Image

import mambadfuse as mdf
from mambadfuse.ablation import SHIPPED_RESULTS, Store, compare
from mambadfuse.analysis.comparison import FUSIONS
from mambadfuse.data.samples import samples
from mambadfuse.evaluation.answers import read_answers
from mambadfuse.metrics import EIGHT
from mambadfuse.models.extraction import LowLevelExtraction
from mambadfuse.widgets import (
    AblationLab,
    BlindPreference,
    BranchExplorer,
    ExchangeExplorer,
    FusionExplorer,
    Lecture,
    ScanExplorer,
    lecture,
)
from mambadfuse.widgets.controls import UPLOADED
from mambadfuse.widgets.displays import Display
from mambadfuse.widgets.fusion import FULL
from mambadfuse.widgets.panel import Panel, tree
from mambadfuse.widgets.preference import Contest
from mambadfuse.widgets.scan import OWN, ROW
from mambadfuse.widgets.scores import results_table


@pytest.fixture(params=PANELS)
def another(request, tmp_path):
    """Makes a panel."""
    return lambda: PANELS[request.param](tmp_path)


@pytest.fixture
def panel(another):
    panel = another()
    yield panel
    if panel.comm is not None:
        panel.close()


@pytest.fixture
def fusion():
    panel = FusionExplorer(TINY, side=48)
    yield panel
    panel.close()


def displays(panel: Panel) -> list[str]:
    return [widget.value for widget in tree(panel) if isinstance(widget, Display)]


def upload(panel: FusionExplorer, side: str, name: str, content: bytes) -> None:
    """What the browser does when a file is chosen."""
    button = next(w for w in tree(panel.pairs) if getattr(w, "description", "") == f"Upload {side}")
    file = {"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)}
    button.value = ({**file, "last_modified": datetime.now(UTC)},)


def test_a_panel_opens_without_errors_and_with_pictures(panel):
    assert not panel.text.startswith("Error")
    assert panel.text
    shown = displays(panel)
    assert sum("data:image/png" in value for value in shown) >= len(shown) - 1  # one is for blinking only
    assert not any('alt=""' in value for value in shown)


def test_every_control_and_button_says_what_it_is(panel):
    for widget in tree(panel):
        if isinstance(widget, widgets.Button | widgets.ToggleButton | widgets.FileUpload):
            assert widget.description
            assert widget.tooltip
        elif isinstance(widget, widgets.ValueWidget) and not isinstance(widget, widgets.HTML | widgets.Play):
            assert widget.description


def test_every_slider_changes_what_is_shown(panel):
    for widget in tree(panel):
        if isinstance(widget, widgets.IntSlider | widgets.FloatSlider | widgets.FloatLogSlider):
            before = [*displays(panel), panel.text]
            top = widget.base**widget.max if isinstance(widget, widgets.FloatLogSlider) else widget.max
            low = widget.base**widget.min if isinstance(widget, widgets.FloatLogSlider) else widget.min
            widget.value = low if widget.value == top else top
            assert [*displays(panel), panel.text] != before, widget.description
            assert not panel.text.startswith("Error")


def test_a_closed_panel_leaves_nothing(panel, another):
    here = len(_instances)
    other = another()
    assert len(_instances) > here
    other.closer.click()
    assert len(_instances) == here
    assert other.children == ()


def test_a_closed_lab_is_not_kept(tmp_path):
    panel = PANELS["lab"](tmp_path)
    assert AblationLab.last is panel
    panel.close()
    assert AblationLab.last is None


def test_errors_are_shown_and_the_picture_stays():
    panel = ScanExplorer()
    before = displays(panel)
    panel.numbers.value = "4 0 zero"
    panel.signal.value = OWN
    assert panel.text.startswith("Error: a signal is made of numbers")
    assert displays(panel) == before
    panel.numbers.value = "4 0 0"
    assert "Error" not in panel.text
    assert panel.at.max == 2
    panel.close()


def test_markup_in_a_message_is_shown_as_it_is(fusion):
    upload(fusion, "a", "<img src=x>.png", b"no image")
    assert "&lt;img" in fusion.message.value
    assert "<img" not in fusion.message.value


class TestUploads:
    def test_a_pair_is_fused(self, fusion):
        before = displays(fusion)
        upload(fusion, "a", "mine_a.png", png(40, 44))
        assert fusion.text == "Please upload side b."
        fusion.pairs.list.value = samples()[0].name  # the pair that is shown still
        assert fusion.text.startswith(samples()[0].name)
        fusion.pairs.list.value = UPLOADED
        assert fusion.text == "Please upload side b."
        upload(fusion, "b", "mine_b.png", png(40, 44, seed=1))
        assert fusion.text == "mine_a.png and mine_b.png, 40x44"
        assert displays(fusion) != before
        assert fusion.pairs.list.value == UPLOADED
        fusion.pairs.list.value = samples()[0].name
        assert fusion.text.startswith(samples()[0].name)
        fusion.pairs.list.value = UPLOADED
        assert fusion.text.startswith("mine_a.png")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                b"GIF89a nothing",
                "broken.png: is not a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 or .npy image, or its header",
            ),
            (png(60, 60)[:-400], "broken.png: is truncated or damaged"),
            (b"", "broken.png: is empty (0 bytes)"),
        ],
    )
    def test_a_corrupt_file_is_named_and_the_panel_keeps_working(self, fusion, content, message):
        before = displays(fusion)
        upload(fusion, "a", "../broken.png", content)
        assert fusion.text.startswith(f"Error: {message}")
        assert displays(fusion) == before
        fusion.share.value = 10
        assert "Error" not in fusion.text

    def test_pictures_of_two_sizes_are_reported(self, fusion):
        upload(fusion, "a", "a.png", png(40, 44))
        upload(fusion, "b", "b.png", png(44, 40))
        assert fusion.text == "Error: a and b must be of one size, found 40x44 and 44x40"

    def test_a_coarse_picture_is_shown_while_a_large_one_is_fused(self, fusion):
        shown = []
        fusion.first.observe(lambda change: shown.append(re.search(r'width="(\d+)"', change.new)[1]), "value")
        fusion.side.value = 192
        assert shown == ["96", "192"]
        fusion.share.value = 10  # nothing has to be fused for that
        assert shown == ["96", "192", "192"]

    def test_the_largest_preview_is_bounded_and_says_so(self, fusion):
        for side in "ab":
            upload(fusion, side, f"{side}.png", png(1400, 70))
        fusion.side.value = FULL
        assert fusion.text == "a.png and b.png, 1280x64, reduced from 1400x70"

    def test_a_huge_picture_is_refused(self, fusion):
        buffer = io.BytesIO()
        Image.new("L", (3000, 2000)).save(buffer, format="PNG")
        upload(fusion, "a", "wide.png", buffer.getvalue())
        assert fusion.text == (
            "Error: wide.png: 3000x2000 is too large for a panel, use the command mambadfuse fuse"
        )

    def test_a_name_too_long_for_a_file_of_this_system_is_no_obstacle(self, fusion):
        upload(fusion, "a", 250 * "夜" + ".png", png(40, 44))
        assert fusion.text == "Please upload side b."


class TestSaving:
    def test_the_saved_picture_is_the_fusion_at_full_size(self, fusion, tmp_path):
        upload(fusion, "a", "a.png", png(60, 50))
        upload(fusion, "b", "b.png", png(60, 50, seed=1))
        fusion.name.value = str(tmp_path / "out.png")
        fusion.saver.click()
        assert fusion.text == f"Saved {tmp_path / 'out.png'}"
        pair = fusion.pairs.pair
        with Image.open(tmp_path / "out.png") as saved:
            np.testing.assert_array_equal(np.asarray(saved), mdf.fuse(pair.a, pair.b, TINY["tiny"]))

    def test_no_file_is_overwritten(self, fusion, tmp_path):
        path = tmp_path / "there.png"
        path.write_bytes(b"precious")
        fusion.name.value = str(path)
        fusion.saver.click()
        assert "exists already" in fusion.text
        assert path.read_bytes() == b"precious"

    @pytest.mark.slow
    def test_a_place_that_cannot_be_written_is_reported(self, fusion, tmp_path):
        fusion.name.value = str(tmp_path / "no" / "such" / "folder.png")
        fusion.saver.click()
        assert fusion.text.startswith("Error: ")
        assert "folder.png" in fusion.text


class TestWheel:
    def turn(self, source: widgets.Widget, panel: FusionExplorer, down: float, **where: float) -> None:
        """What the browser reports when the wheel turns over the widget."""
        wheel = next(one for one in panel.wheels if one.source is source)
        box = {"boundingRectWidth": 200, "boundingRectHeight": 180, "relativeX": 0, "relativeY": 180}
        wheel._handle_custom_msg({"event": "wheel", "deltaY": down, **box, **where}, [])

    def test_over_the_details_it_zooms_within_the_bounds_of_the_slider(self, fusion):
        place = fusion.x.value, fusion.y.value
        before = displays(fusion)
        self.turn(fusion.details, fusion, -120)
        assert fusion.zoom.value == 5
        assert displays(fusion) != before
        for turns, end in ((-3, 8), (0, 8), (53.5, 1)):
            for _ in range(10):
                self.turn(fusion.details, fusion, turns)
            assert fusion.zoom.value == end
        assert (fusion.x.value, fusion.y.value) == place
        assert "Error" not in fusion.text

    def test_over_the_whole_picture_the_detail_is_where_the_mouse_is(self, fusion):
        for name in "ab":
            upload(fusion, name, f"{name}.png", png(40, 44))
        height = 200 * 44 / 40  # of the picture; above it are 30 pixels of title
        box = {"boundingRectHeight": height + 30}
        for relative_y, y in ((0, 0), (30, 0), (30 + height / 4, 25), (30 + height, 100)):
            self.turn(fusion.compared, fusion, -120, **box, relativeX=120, relativeY=relative_y)
            assert (fusion.x.value, fusion.y.value) == (60, y)
        assert fusion.zoom.value == 8

    def test_without_ipyevents_the_panel_opens(self, monkeypatch):
        monkeypatch.setattr("mambadfuse.widgets.fusion.Event", None)
        panel = FusionExplorer(TINY, side=48)
        assert "Error" not in panel.text
        assert not panel.wheels
        panel.close()


def test_blinking_is_done_by_the_browser(fusion):
    fusion.blink.value = True
    assert fusion.player.playing
    assert fusion.first.value != fusion.second.value
    fusion.player.value = fusion.stack.selected_index = 1
    fusion.blink.value = False
    assert not fusion.player.playing
    assert fusion.stack.selected_index == 0


def test_a_shared_gate_says_how_far_the_picture_moves():
    panel = BranchExplorer(TINY, side=16)
    panel.gate.value = "shared"
    assert "with one gate: the fused image changes by" in panel.text
    panel.close()


def test_no_exchange_is_reported():
    panel = ExchangeExplorer(TINY, side=16)
    panel.period.value = 0
    assert panel.text.startswith("0 of 8 channels change sides.")
    panel.close()


def test_the_kit_itself_does_without_widgets():
    """ipywidgets and ipyevents belong to an extra: only what is in widgets/ may ask for them."""
    package, asks = Path(mdf.__file__).parent, re.compile(r"^\s*(import|from) ipy(widgets|events)\b", re.M)
    users = {p for p in package.rglob("*.py") if asks.search(p.read_text(encoding="utf-8"))}
    assert {p.parent for p in users} == {package / "widgets"}


def test_no_text_or_control_has_the_tooltip_null(panel):
    described = [w for w in tree(panel) if isinstance(w, widgets.DOMWidget) and hasattr(w, "description")]
    assert described
    assert not [w for w in described if w.tooltip is None]


def test_a_row_of_a_picture_can_be_the_signal():
    panel = ScanExplorer()
    panel.line.value = 40  # moving the slider is enough
    assert panel.signal.value == ROW
    row = panel.pixels(panel.picture.value)[40]  # of a grey picture
    np.testing.assert_allclose(panel.state().u, row)
    assert panel.source.layout.display is None
    panel.signal.value = "one pulse"
    assert panel.source.layout.display == "none"
    panel.close()


def test_beside_the_fusion_stand_scores_faults_or_a_histogram(fusion):
    assert fusion.view.value == "scores"
    fusion.side.value = 96
    assert "VIF" in fusion.table.value
    fusion.view.value = "faults"
    assert "overshoot" in fusion.table.value
    assert '<th scope="col" style="padding: 1px 5px; white-space: nowrap">mean</th>' in fusion.table.value
    fusion.view.value = "histogram"
    assert 'alt="grey levels of a, b, mean and network"' in fusion.table.value


def test_what_a_control_does_not_change_is_not_measured_again(fusion, monkeypatch):
    scored = []
    monkeypatch.setattr(
        "mambadfuse.widgets.fusion.scores_of",
        lambda pictures, name: scored.append(name) or dict.fromkeys(EIGHT, 0.5),
    )
    fusion.side.value = 96
    assert scored == list(FUSIONS)
    fusion.share.value = 10
    fusion.network.value = "untrained"
    assert scored == [*FUSIONS, "network"]
    fusion.view.value = "histogram"
    before = fusion.table.value
    monkeypatch.setattr("mambadfuse.widgets.fusion.histograms", lambda *_: 1 / 0)
    fusion.share.value = 20
    assert fusion.table.value == before
    assert "Error" not in fusion.text


def test_a_pair_that_is_chosen_again_is_not_fused_again(fusion):
    passes, first = [], fusion.pairs.list.value
    hook = TINY["tiny"].register_forward_hook(lambda *_: passes.append(1))
    fusion.pairs.list.value = "icbm152_simulated_z16"
    assert len(passes) == 1
    fusion.pairs.list.value = first
    hook.remove()
    assert len(passes) == 1


def test_at_full_size_the_fast_network_comes_first():
    panel = FusionExplorer(side=FULL)
    assert panel.network.value == "ivf-fast"
    panel.side.value = 96
    panel.pairs.list.value = "icbm152_simulated_z16"
    assert panel.network.value == "ct-mri"
    panel.pairs.list.value = "synthetic_night_street"
    assert panel.network.value == "ivf-fast"
    panel.close()


def test_an_uploaded_pair_keeps_the_network():
    panel = FusionExplorer(side=48)
    for side in "ab":
        upload(panel, side, f"{side}.png", png(40, 44))
    assert panel.network.value == "ivf"
    panel.close()


def test_another_gate_starts_at_deep_fusion(monkeypatch):
    panel = BranchExplorer(TINY, side=16)
    monkeypatch.setattr(LowLevelExtraction, "forward", lambda self, x: 1 / 0)
    panel.gate.value = "shared"
    assert "with one gate" in panel.text
    panel.close()


def test_a_moved_row_is_drawn_once(monkeypatch):
    panel, drawn = ScanExplorer(), []
    monkeypatch.setattr(panel.plot, "show", drawn.append)
    panel.line.value = 40
    assert len(drawn) == 1
    panel.line.value = 50
    assert len(drawn) == 2
    panel.close()


def test_the_network_follows_the_task_of_the_pair():
    panel = ExchangeExplorer(side=16)
    panel.pairs.list.value = "icbm152_simulated_z16"
    assert panel.network.value == "ct-mri"
    panel.network.value = "untrained"
    panel.pairs.list.value = "synthetic_smoke_yard"
    assert panel.network.value == "untrained"
    panel.close()


def test_a_network_of_your_own_stays_whatever_its_name():
    mine = TINY["tiny"]
    panel = ExchangeExplorer({"ivf-mine": mine, "ivf": mine}, side=16)
    assert panel.network.options.count("ivf") == 1
    for name in ("ivf-mine", "ivf"):
        panel.network.value = name
        for pair in ("icbm152_simulated_z16", "synthetic_smoke_yard"):
            panel.pairs.list.value = pair
            assert panel.network.value == name
    panel.close()


@pytest.mark.parametrize("explorer", [BranchExplorer, ExchangeExplorer])
def test_a_network_without_such_blocks_is_named(explorer):
    panel = explorer({**TINY, "fast": mdf.load("ivf-tiny")}, side=16)
    panel.network.value = "fast"
    assert panel.text == "Error: fast: this panel needs a MambaDFuse, found a FastFusion"
    panel.close()


@pytest.mark.parametrize(
    ("explorer", "change", "message"),
    [
        (BranchExplorer, {"deep_depth": 0}, "This network has no M3 block."),
        (ExchangeExplorer, {"exchange_depth": 0}, "This network has no exchange block."),
    ],
)
def test_what_a_network_without_blocks_cannot_show_is_hidden(explorer, change, message):
    without = mdf.MambaDFuse(replace(TINY["tiny"].config, **change)).eval()
    panel = explorer({**TINY, "without": without}, side=16)
    gallery = panel.maps if explorer is BranchExplorer else panel.gallery
    assert all(display.layout.display is None for display in gallery.children)
    panel.network.value = "without"
    assert panel.text == message
    assert all(display.layout.display == "none" for display in gallery.children)
    panel.network.value = "tiny"
    assert all(display.layout.display is None for display in gallery.children)
    panel.close()


def test_the_exchange_shows_the_fused_picture_and_how_it_changes():
    panel = ExchangeExplorer(TINY, side=16)
    titles = [re.search('alt="(.*?)"', display.value)[1] for display in panel.fused.children]
    assert titles == ["fused", "fused, exchange as trained", "difference, at most 1 of 255 levels"]
    first, second, _ = (display.value.split("base64,")[1] for display in panel.fused.children)
    assert first == second
    panel.close()


class TestBlindPreference:
    def test_the_methods_are_hidden_until_results_are_wanted(self, tmp_path):
        panel = blind_preference(tmp_path)
        shown = " ".join(w.value for w in tree(panel) if isinstance(w, widgets.HTML))
        assert not [method for method in ("ours", "theirs", "mean") if f">{method}<" in shown]
        for choice in ("left", "right", "tie"):
            panel.answer(choice)
        panel.results.value = True
        found = {
            standing for standing in ("ours", "theirs", "mean") if f">{standing}</th>" in panel.table.value
        }
        assert found == {method for answer in panel.answers for method in (answer.left, answer.right)}
        panel.close()

    def test_buttons_and_letters_answer_and_every_answer_is_on_disk(self, tmp_path):
        panel = blind_preference(tmp_path)
        panel.judge.value = "Ada"
        asked = []
        for act in (
            panel.left.click,
            panel.tie.click,
            lambda: setattr(panel.typed, "value", "r"),
            lambda: setattr(panel.typed, "value", "C"),
        ):
            asked.append(panel.question)
            act()
            assert len(read_answers(tmp_path / "answers.jsonl")) == len(asked)
        given = read_answers(tmp_path / "answers.jsonl")
        assert [answer.choice for answer in given] == ["left", "tie", "right", "tie"]
        assert [(answer.picture, answer.left, answer.right) for answer in given] == asked
        assert {answer.judge for answer in given} == {"Ada"}
        assert panel.typed.value == ""
        panel.typed.value = "x"
        assert panel.text.startswith("Type l for left")
        assert len(read_answers(tmp_path / "answers.jsonl")) == 4
        panel.close()

    def test_a_panel_continues_where_the_last_one_stopped(self, tmp_path):
        panel = blind_preference(tmp_path)
        for _ in range(5):
            panel.left.click()
        panel.close()
        panel = blind_preference(tmp_path, seed=1)
        assert "5 answers" in panel.text
        done = {(x.picture, *sorted((x.left, x.right))) for x in panel.answers}
        name, *two = panel.question
        assert len(done) == 5
        assert (name, *sorted(two)) not in done
        panel.close()

    @pytest.mark.parametrize("given", [{"fused": "ours"}, {"a": "ir", "b": "vi"}])
    def test_fused_images_and_sources_go_together(self, tmp_path, given):
        with pytest.raises(ValueError, match=r"expected .* their sources, or neither: found"):
            BlindPreference(**given, out=tmp_path / "answers.jsonl")

    def test_a_large_folder_is_scored_once(self, tmp_path, monkeypatch):
        scored = []
        monkeypatch.setattr(
            "mambadfuse.widgets.preference.evaluate",
            lambda fused, a, b, metrics: scored.append(1) or dict.fromkeys(metrics, 1.0),
        )
        panel = blind_preference(tmp_path)
        for _ in range(3):
            panel.left.click()
        pairs, fusions = panel.contest.pairs, panel.contest.fusions
        names = {f"{name}{k or ''}": name for name in pairs for k in range(60)}
        panel.contest = Contest(
            {new: pairs[name] for new, name in names.items()},
            {new: fusions[name] for new, name in names.items()},
        )
        panel.results.value = True
        assert len(scored) == 3 * len(names)
        panel.left.click()
        assert len(scored) == 3 * len(names)
        panel.close()

    @pytest.mark.parametrize("seed", range(4))
    def test_it_begins_with_quick_methods_and_fuses_ahead(self, tmp_path, monkeypatch, seed):
        pair, made = samples("ivf")[0], []

        def fusion(method):
            return lambda: made.append(method) or np.zeros((48, 44), np.uint8)

        methods = ("maximum", "mean", "network")
        contest = Contest(
            {pair.name: pair}, {pair.name: {m: fusion(m) for m in methods}}, frozenset({"network"})
        )
        monkeypatch.setattr("mambadfuse.widgets.preference.sample_contest", lambda: contest)
        panel = BlindPreference(out=tmp_path / "answers.jsonl", seed=seed)
        assert sorted(panel.question[1:]) == ["maximum", "mean"]
        panel.ahead.submit(int).result()  # what was submitted before is done
        upcoming = panel.upcoming
        assert {"network", *panel.question[1:]} == set(made)
        panel.left.click()
        assert panel.question == upcoming
        panel.close()

    def test_sources_are_shown_on_request(self, tmp_path):
        panel = blind_preference(tmp_path)
        assert panel.gallery.layout.display == "none"
        panel.sources.value = True
        assert [re.search('alt="(.*?)"', d.value)[1] for d in panel.gallery.children] == [
            "source a",
            "source b",
        ]
        panel.close()


class TestLecture:
    @pytest.fixture
    def page(self, monkeypatch, tmp_path):
        makers = [lambda: ScanExplorer(), lambda: BranchExplorer(TINY, side=16), lambda: 1 / 0]
        found = [
            lecture.Part(title, "What is it?", "00", make)
            for title, make in zip(("Scan", "M3", "Broken"), makers, strict=True)
        ]
        monkeypatch.setattr(lecture, "parts", lambda out: found)
        page = Lecture(tmp_path)
        yield page
        page.close()

    def test_a_panel_is_made_when_its_tab_is_opened(self, page):
        assert list(page.panels) == [0]
        page.tabs.selected_index = 1
        assert isinstance(page.panels[1], BranchExplorer)
        assert page.panels[1] in page.pages[1].children

    def test_where_a_panel_was_closed_it_can_be_opened_again(self, page):
        before = page.panels[0]
        before.closer.click()
        assert not page.panels
        opener = page.pages[0].children[-1]
        assert opener.description == "Open Scan"
        opener.click()
        assert page.panels[0] is not before
        assert page.panels[0] in page.pages[0].children

    def test_an_error_stays_in_its_tab(self, page):
        page.tabs.selected_index = 2
        assert "Error: division by zero" in page.pages[2].children[-1].value
        page.tabs.selected_index = 0
        assert page.panels[0] in page.pages[0].children

    def test_large_and_dark_are_classes_of_the_page(self, page):
        page.large.value = page.dark.value = True
        assert {"mdf-large", "mdf-dark"} <= set(page._dom_classes)
        page.dark.value = False
        assert "mdf-dark" not in page._dom_classes

    def test_closing_it_closes_every_panel(self, page):
        panel = page.panels[0]
        page.close()
        assert panel.comm is None
        assert not page.panels

    def test_the_parts_of_the_kit_have_a_sentence_and_a_notebook_each(self, tmp_path):
        found = lecture.parts(tmp_path)
        assert len({part.title for part in found}) == len(found) == 6
        for part in found:
            assert len(list((Path(__file__).parents[1] / "notebooks").glob(f"{part.notebook}_*.ipynb"))) == 1
            assert 8 <= len(part.sentence.split()) <= 25


def test_results_are_shown_with_their_intervals_and_verdicts():
    rows = ("default", "norm-once", "intensity-off")
    shipped = [
        replace(result, likeness=0.1) if result.row == "intensity-off" else result
        for result in Store(SHIPPED_RESULTS).results()
        if result.row in rows
    ]
    report = compare(shipped, primary="VIF")
    table = results_table(report)
    effect = report.only(["norm-once"]).lines[1].effects["VIF"]
    assert f"[{effect.seeds.low:+.3f}, {effect.seeds.high:+.3f}]" in table
    assert f"{effect.verdict}</td>" in table
    assert "not learnt</td>" in table
    assert table.count('scope="row"') == 3
