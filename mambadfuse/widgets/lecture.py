"""All panels as one page for a lecture hall: a tab for each, in the order of a lecture, and a sentence to open it."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as widgets

from mambadfuse.widgets.branches import BranchExplorer
from mambadfuse.widgets.exchange import ExchangeExplorer
from mambadfuse.widgets.fusion import FULL, FusionExplorer
from mambadfuse.widgets.lab import AblationLab
from mambadfuse.widgets.panel import COMPUTING, HTML, Panel
from mambadfuse.widgets.preference import BlindPreference
from mambadfuse.widgets.scan import ScanExplorer

STYLE = Path(__file__).with_name("lecture.css")


@dataclass(frozen=True)
class Part:
    """One part of a lecture.

    Attributes:
        title: of the tab.
        sentence: what to say when it is opened.
        notebook: number of the notebook on which it rests.
        make: makes the panel.
    """

    title: str
    sentence: str
    notebook: str
    make: Callable[[], Panel]


def parts(out: Path) -> list[Part]:
    """The lecture; what its panels store goes to the folder ``out``."""
    return [
        Part(
            "Fusion",
            "Two cameras see one scene: drag the border, and ask what the network keeps that the mean loses.",
            "00",
            lambda: FusionExplorer(side=FULL),
        ),
        Part(
            "Preference",
            "Before anyone knows the methods, the audience votes; do the eight metrics agree?",
            "02",
            lambda: BlindPreference(out=out / "preferences.jsonl"),
        ),
        Part(
            "Scan",
            "One state reads a signal from left to right: what does it remember, and for how long?",
            "04",
            ScanExplorer,
        ),
        Part(
            "Channel exchange",
            "Two streams swap channels without a single parameter: what hangs on which channels?",
            "06",
            ExchangeExplorer,
        ),
        Part(
            "M3",
            "Three branches share the work: compare who speaks loudest with who would be missed.",
            "07",
            BranchExplorer,
        ),
        Part(
            "Ablation",
            "Does it matter? Tick rows, press Train, and keep talking until there are error bars.",
            "11",
            lambda: AblationLab(out=out / "ablation"),
        ),
    ]


class Lecture(widgets.VBox):
    """The panels in tabs. A panel is made when its tab is first opened, and again after it was closed.

    Args:
        out: the folder for answers and training runs.

    Attributes:
        panels: the open panels, by the number of their tab.
        large: type of at least 18 pixels and long sliders.
        dark: bright type on a dark ground.
    """

    def __init__(self, out: str | Path = "outputs") -> None:
        self.parts = parts(Path(out))
        self.panels: dict[int, Panel] = {}
        self.large = widgets.Checkbox(
            description="large type", tooltip="for a hall: large type and long sliders", indent=False
        )
        self.dark = widgets.Checkbox(description="dark", tooltip="bright type on a dark ground", indent=False)
        for box, name in ((self.large, "mdf-large"), (self.dark, "mdf-dark")):
            box.layout.width, box.layout.margin = "auto", "2px 24px 2px 2px"
            box.observe(lambda change, name=name: self._dress(name, change.new), names="value")
        self.sentences = [
            HTML(f"<p>{escape(part.sentence)} <i>Notebook {part.notebook}.</i></p>") for part in self.parts
        ]
        self.pages = [widgets.VBox([sentence]) for sentence in self.sentences]
        self.tabs = widgets.Tab(self.pages, titles=[part.title for part in self.parts], selected_index=0)
        self.tabs.observe(lambda _: self._open_selected(), names="selected_index")
        head = widgets.HBox([HTML("<h1>MambaDFuse: the panels</h1>"), self.large, self.dark])
        style = HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")
        super().__init__([head, style, self.tabs])
        self.add_class("mdf-lecture")
        self._open_selected()

    def close(self) -> None:
        """Closes all panels, then itself."""
        for panel in self.panels.values():
            panel.close()
        self.panels.clear()
        super().close()

    def _dress(self, name: str, on: bool) -> None:
        (self.add_class if on else self.remove_class)(name)

    def _open_selected(self) -> None:
        """Makes the panel of the open tab if there is none; an error is shown in its place."""
        index = self.tabs.selected_index
        if index is None or index in self.panels:
            return
        page, sentence = self.pages[index], self.sentences[index]
        page.children = (sentence, HTML(f'<p role="status">{COMPUTING}</p>'))
        try:
            panel = self.parts[index].make()
        except Exception as error:  # whatever it is: the other tabs have to work
            problem = f"Error: {str(error) or type(error).__name__}"
            page.children = (sentence, HTML(f'<p role="alert">{escape(problem)}</p>'))
            return
        self.panels[index] = panel
        panel.closer.on_click(lambda _: self._offer(index))
        page.children = (sentence, panel)

    def _offer(self, index: int) -> None:
        """Shows, where a panel was closed, a button that opens it again."""
        del self.panels[index]
        title = self.parts[index].title
        opener = widgets.Button(description=f"Open {title}", tooltip="make this panel again")
        opener.layout.width = "auto"
        opener.on_click(lambda _: self._open_selected())
        self.pages[index].children = (self.sentences[index], opener)
