"""The base of all panels: controls, a line for messages, displays, and a Close button."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any, TypeVar

import ipywidgets as widgets
import traitlets

T = TypeVar("T")

COMPUTING = "Computing ..."
SMALL = "font-size: 0.92em; line-height: 1.4"  # relative, so that it grows with the type of the page


def labelled(width: str = "260px", tooltip: str = "") -> dict[str, Any]:
    """Keyword arguments of an ipywidget: layout, style and tooltip of a control with a label next to it."""
    style = {"description_width": "6.4em"}
    return {"layout": widgets.Layout(width=width), "style": style, "tooltip": tooltip}


class HTML(widgets.HTML):
    """A piece of HTML whose tooltip is empty; that of ipywidgets is "null"."""

    tooltip = traitlets.Unicode("").tag(sync=True)


def legend(content: str) -> HTML:
    """What the displays of a panel mean, in small type."""
    return HTML(f'<span style="{SMALL}">{content}</span>')


def row(*children: widgets.Widget) -> widgets.HBox:
    """Widgets side by side, wrapped into a new line where they do not fit."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap"))


class Panel(widgets.VBox):
    """A panel that redraws itself whenever one of its controls changes.

    A subclass creates its controls and displays, passes them to ``arrange``, and updates the displays in ``draw``.
    Errors in ``draw`` are shown as a message, and the displays keep their content.
    """

    def __init__(self) -> None:
        self.text = ""
        """The current message."""
        self.message = HTML()
        self.closer = widgets.Button(
            description="Close", tooltip="close this panel and release what it holds"
        )
        self.closer.on_click(lambda _: self.close())
        self._clear_caches: list[Callable[[], None]] = []
        super().__init__(layout=widgets.Layout(width="100%"))
        self.add_class("mdf-panel")

    def arrange(
        self, title: str, controls: Sequence[widgets.Widget], displays: Sequence[widgets.Widget]
    ) -> None:
        """Lays out title, controls, message, displays and the Close button, then draws the panel."""
        heading = HTML(f"<b>{escape(title)}</b>")
        self.children = (heading, *controls, self.message, *displays, self.closer)
        self.redraw()

    def redraw_on(self, *controls: widgets.Widget, trait: str = "value") -> None:
        """Redraws the panel when one of these controls changes."""
        for control in controls:
            control.observe(lambda _: self.redraw(), names=trait)

    def memoised(self, function: Callable[..., T], last: int | None = 4) -> Callable[..., T]:
        """The function with its last results cached until the panel is closed; shows a message when it computes.

        Args:
            function: of hashable arguments.
            last: how many results; None for all of them.
        """

        def computed(*state: Any) -> T:
            self.tell(COMPUTING)
            return function(*state)

        cached = lru_cache(maxsize=last)(computed)
        self._clear_caches.append(cached.cache_clear)
        return cached

    def draw(self) -> str:
        """Updates the displays from the controls; returns the message to show."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws, and shows the message or the error."""
        self.attempt(self.draw)

    def attempt(self, action: Callable[[], str]) -> None:
        """Performs an action, and shows the message that it returns or the error that it raises."""
        try:
            self.tell(action())
        except Exception as error:  # whatever it is: a notebook hides the tracebacks of callbacks
            self.tell(f"Error: {str(error) or type(error).__name__}")

    def tell(self, message: str) -> None:
        """Shows a line of text below the controls."""
        self.text = message
        self.message.value = f'<div role="status">{escape(message)}</div>'

    def close(self) -> None:
        """Removes the panel from the page and releases everything that it holds."""
        for clear in self._clear_caches:
            clear()
        for widget in list(tree(self)):
            if widget is not self:
                widget.unobserve_all()
                widget.close()
        self.children = ()
        super().close()


def tree(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """A widget and everything it refers to: children, layouts, styles, links; each once."""
    found: dict[int, widgets.Widget] = {}
    waiting = [widget]
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        values = [getattr(one, name, None) for name in one.keys]
        values += [part for value in values if isinstance(value, tuple | list) for part in value]
        waiting += [value for value in values if isinstance(value, widgets.Widget)]
    yield from found.values()
