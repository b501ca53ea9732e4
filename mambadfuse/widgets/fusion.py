"""The fusion explorer: two fusions of one pair under a sliding border, with details, scores, faults, and a file."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np

from mambadfuse.analysis.comparison import (
    CANDIDATES,
    FUSIONS,
    Memoised,
    NamedPair,
    Picture,
    Window,
    candidate,
    faults,
    histograms,
    scores_of,
    swipe,
)
from mambadfuse.data.images import picture_format, write_image
from mambadfuse.fusion.options import COLOURS
from mambadfuse.fusion.pair import Model, fuse
from mambadfuse.models.weights_file import shipped_names
from mambadfuse.widgets.displays import Display, Gallery, figure_html
from mambadfuse.widgets.pair_panel import PairPanel
from mambadfuse.widgets.panel import HTML, labelled, row
from mambadfuse.widgets.scores import faults_table, scores_table

try:
    from ipyevents import Event
except ImportError:  # as on Colab, which has ipywidgets alone: the slider still zooms
    Event = None

BLINK = 700  # milliseconds per image; safely below three flashes a second (photosensitivity)
WHEEL = 100  # milliseconds per step of the wheel: a trackpad reports sixty turns a second
COARSE = (
    96  # longer side of the first preview, shown while a larger one is being fused; takes a tenth of a second
)

FULL = (
    1280  # longer side of the largest preview: the usual test sets fit; what is larger would fill the memory
)
SCORES, FAULTS, HISTOGRAM = "scores", "faults", "histogram"
HEIGHT = "48vh"  # of the picture at most, so that controls and picture are seen at once


class State(NamedTuple):
    """What the images depend on: the pair at the size of the preview, the name of the network, the source of colour."""

    pair: NamedPair
    network: str
    colour: str

    def of(self, name: str) -> "State":
        """What the candidate of that name depends on: only "network" on the network."""
        return self if name == "network" else self._replace(network="")


class FusionExplorer(PairPanel):
    """Controls for :func:`mambadfuse.analysis.comparison.candidates`.

    At full size it begins with ``ivf-fast``, which fuses a sample in a fraction of a second; ``ivf`` takes seconds.

    Args:
        networks: further networks to choose from, by name.
        side: the longer side of the preview, in pixels, at most ``FULL``; saved images have their full size.
    """

    def __init__(self, networks: Mapping[str, Model] | None = None, side: int = 192) -> None:
        names = shipped_names()
        if side == FULL:
            names.sort(key=lambda name: not name.endswith("-fast"))
        super().__init__(networks, names)
        self._make_choices(side)
        self._make_blinking()
        self._make_outputs()
        self._make_caches()
        self.shown: tuple[NamedPair, str] | None = None
        """The pair and the network that the displays show."""
        self.aspect = 1.0
        """Width over height of the images."""
        self.redraw_on(self.colour, self.side, self.left, self.right, self.share, self.blink)
        self.redraw_on(self.x, self.y, self.zoom, self.view)
        self._arrange()
        self.wheels: list[widgets.Widget] = []
        self._on_wheel(self.compared, self._zoom_there)
        self._on_wheel(self.details, self._zoom)

    def _make_choices(self, side: int) -> None:
        """What is compared, at which size, and where the details are."""
        self.colour = widgets.Dropdown(options=COLOURS, description="colour of", **labelled())
        self.side = widgets.Dropdown(
            options=[(f"{n} pixels", n) for n in sorted({side, 96, 192, 320} - {FULL})]
            + [(f"full size, to {FULL}", FULL)],
            value=side,
            description="preview",
            **labelled(),
        )
        self.left = widgets.Dropdown(options=CANDIDATES, value="mean", description="left", **labelled())
        self.right = widgets.Dropdown(options=CANDIDATES, value="network", description="right", **labelled())
        self.share = widgets.IntSlider(
            value=50,
            max=100,
            description="swipe %",
            readout=False,
            tooltip="drag: left of the handle is one image, right of it the other; turn the wheel: zoom",
            layout=widgets.Layout(width="100%", margin="0"),
            style={"description_width": "0px"},
        )
        self.share.add_class("mdf-split")
        self.blink = widgets.ToggleButton(description="Blink", tooltip="show left and right in turn")
        self.x = widgets.IntSlider(value=75, max=100, description="detail x %", **labelled())
        self.y = widgets.IntSlider(value=55, max=100, description="detail y %", **labelled())
        self.zoom = widgets.IntSlider(
            value=4, min=1, max=8, description="zoom", **labelled(tooltip="or the wheel over an image")
        )

    def _make_outputs(self) -> None:
        """What stands beside the images and below them."""
        self.view = widgets.ToggleButtons(
            options=(SCORES, FAULTS, HISTOGRAM), description="show", **labelled("auto", "what stands beside")
        )
        self.table = HTML()
        self.details = Gallery(columns=6)
        self.name = widgets.Text(value="fused.png", description="file", **labelled("380px"))
        self.saver = widgets.Button(description="Save", tooltip="fuse at full size and write the file")
        self.saver.on_click(lambda _: self.attempt(self.save))

    def _make_caches(self) -> None:
        """What need not be computed again."""
        self.prepared = self.memoised(lambda name: Memoised(self.loaded(name)), last=4)
        self.small = self.memoised(NamedPair.shrunk, last=8)
        self.picture = self.memoised(self._picture, last=48)
        self.scored = self.memoised(lambda name, s: scores_of(self._with_sources(name, s), name), last=16)
        self.meter = self.memoised(lambda name, s: faults(self._with_sources(name, s), name), last=16)
        self.histogram = self.memoised(self._histogram, last=8)

    def _arrange(self) -> None:
        controls = [
            self.pairs,
            row(self.network, self.colour, self.side),
            row(self.left, self.right, self.blink),
        ]
        self.compared = widgets.VBox([self.share, self.stack])
        self.compared.add_class("mdf-compared")
        beside = widgets.VBox(
            [self.view, self.table], layout=widgets.Layout(flex="1 1 0", min_width="0", max_width="110vh")
        )
        main = widgets.HBox([self.compared, beside])
        details = [row(self.x, self.y, self.zoom), self.details, row(self.name, self.saver), self.player]
        self.arrange("Fusion explorer: what is kept of two images?", controls, [main, *details])

    def _make_blinking(self) -> None:
        """Two displays that the browser alternates by itself, so that nothing runs in the kernel."""
        self.first, self.second = Display(), Display()
        self.stack = widgets.Stack([self.first, self.second], selected_index=0)
        self.player = widgets.Play(
            value=0, max=1, interval=BLINK, repeat=True, tooltip="", layout=widgets.Layout(display="none")
        )
        self.alternation = widgets.jslink((self.player, "value"), (self.stack, "selected_index"))

    def _on_wheel(self, source: widgets.DOMWidget, turned: Callable[[dict[str, Any]], None]) -> None:
        """Calls ``turned`` when the wheel turns over the widget; the page does not scroll then."""
        if Event is None:
            return
        wheel = Event(source=source, watched_events=["wheel"], prevent_default_action=True, wait=WHEEL)
        wheel.on_dom_event(turned)
        self.wheels.append(wheel)

    def _zoom(self, event: dict[str, Any]) -> None:
        """One step in when the wheel turns up, one step out when it turns down; the slider keeps its bounds."""
        self.zoom.value -= int(np.sign(event["deltaY"]))

    def _zoom_there(self, event: dict[str, Any]) -> None:
        """The same, with the detail where the mouse is; titles and margins lie above the image."""
        width, below = event["boundingRectWidth"], event["boundingRectHeight"] - event["relativeY"]
        self.x.value = round(100 * event["relativeX"] / width)
        self.y.value = round(100 * (1 - self.aspect * below / width))
        self._zoom(event)

    def draw(self) -> str:
        """Shows two images by swiping or blinking, the detail of all candidates, and the scores."""
        state = self._state(self.side.value)
        pair, network, _ = state
        to_fuse = (pair, network) != self.shown  # another colour needs no pass through the network
        if to_fuse and self.side.value > COARSE:
            self._show_all(self._state(COARSE))
        self._show_all(state)
        self.shown = pair, network
        self._show_beside(state)
        whole = self.pairs.pair
        reduced = "" if pair is whole else f", reduced from {_size(whole)}"
        return f"{pair.name}, {_size(pair)}{reduced}"

    def _show_all(self, state: State) -> None:
        pictures = self._pictures(state)
        height, width = pictures["a"].shape[:2]
        self.aspect = width / height
        self.compared.layout.width = f"min(56%, calc({HEIGHT} * {self.aspect:.3f}))"
        window = Window(self.x.value / 100, self.y.value / 100, min(self.zoom.value, height, width))
        left, right = pictures[self.left.value], pictures[self.right.value]
        if self.blink.value:
            self._show(self.first, self.left.value, left, window)
            self._show(self.second, self.right.value, right, window)
        else:
            both = swipe(left, right, self.share.value / 100)
            self._show(self.first, f"{self.left.value} | {self.right.value}", both, window)
            self.stack.selected_index = self.player.value = 0
        self.player.playing = self.blink.value
        self.share.layout.visibility = "hidden" if self.blink.value else "visible"
        self.details.show({name: window.detail(picture) for name, picture in pictures.items()})

    def save(self) -> str:
        """Fuses the pair at full size and writes the file; the message says where."""
        path = Path(self.name.value).expanduser()
        picture_format(path)  # fails early if the suffix names no format
        if path.exists():
            raise FileExistsError(f"{path} exists already: choose another name")
        pair = self.pairs.pair
        self.tell("Fusing at full size ...")
        prepared = self.prepared(self.network.value)
        write_image(path, np.asarray(fuse(pair.a, pair.b, prepared, colour=self.colour.value)))
        return f"Saved {path.resolve()}"

    def close(self) -> None:
        """Stops the blinking, then closes as every panel does."""
        self.player.playing = False
        for link in (self.alternation, *self.wheels):
            link.close()
        super().close()

    def _state(self, side: int) -> State:
        return State(self.small(self.pairs.pair, side), self.network.value, self.colour.value)

    def _picture(self, name: str, state: State) -> Picture:
        network = self.prepared(state.network) if state.network else None
        return candidate(state.pair, name, network, state.colour)

    def _pictures(self, state: State) -> dict[str, Picture]:
        return {name: self.picture(name, state.of(name)) for name in CANDIDATES}

    def _with_sources(self, name: str, state: State) -> dict[str, Picture]:
        return {one: self.picture(one, state.of(one)) for one in ("a", "b", name)}

    def _show_beside(self, state: State) -> None:
        """Shows scores, faults or a histogram; only what is shown is computed."""
        compared = self.left.value, self.right.value
        try:
            if self.view.value == SCORES:
                scores = {name: self.scored(name, state.of(name)) for name in FUSIONS}
                self.table.value = scores_table(scores, "scores of this preview")
            elif self.view.value == FAULTS:
                self.table.value = faults_table({name: self.meter(name, state.of(name)) for name in compared})
            else:
                self.table.value = self.histogram(state, *compared)
        except ValueError as error:  # the image is too small
            self.table.value = f"<p>Not measured: {escape(str(error))}.</p>"

    def _histogram(self, state: State, left: str, right: str) -> str:
        figure = histograms(self._pictures(state), left, right)
        return figure_html(figure, f"grey levels of a, b, {left} and {right}")

    def _show(self, display: Display, title: str, picture: Picture, window: Window) -> None:
        display.show(window.framed(picture) if window.zoom > 1 else picture, title)


def _size(pair: NamedPair) -> str:
    height, width = pair.a.shape[:2]
    return f"{width}x{height}"
