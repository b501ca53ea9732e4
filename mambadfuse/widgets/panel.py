"""What all panels are: dials, a line for messages, screens, and a button that closes it all."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any, TypeVar

import ipywidgets as widgets

T = TypeVar("T")

COMPUTING = "Computing ..."

WIDTH = "860px"  # fits beside the side bar of JupyterLab in a window of 1280 pixels


def labelled(width: str = "260px") -> dict[str, Any]:
    """Layout and style of a dial with its description beside it, for the keyword arguments of an ipywidget."""
    return {"layout": widgets.Layout(width=width), "style": {"description_width": "80px"}}


def row(*children: widgets.Widget) -> widgets.HBox:
    """Widgets beside each other; what does not fit goes into a new line."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap"))


class Panel(widgets.VBox):
    """A panel that draws itself anew whenever one of its dials moves.

    A subclass makes its dials and screens, hands them to ``arrange`` and says in ``draw`` what the screens show.
    Whatever goes wrong in ``draw`` is told in the panel, and the screens stay as they were.
    """

    def __init__(self) -> None:
        self.told = ""
        self.message = widgets.HTML()
        self.closer = widgets.Button(description="Close", tooltip="close this panel and free what it holds")
        self.closer.on_click(lambda _: self.close())
        self._forget: list[Callable[[], None]] = []
        super().__init__(layout=widgets.Layout(width="100%", max_width=WIDTH))

    def arrange(self, title: str, dials: Sequence[widgets.Widget], screens: Sequence[widgets.Widget]) -> None:
        """Lays the panel out: title, dials, message, screens, the button to close it; then draws it."""
        heading = widgets.HTML(f"<b>{escape(title)}</b>")
        self.children = (heading, *dials, self.message, *screens, self.closer)
        self.redraw()

    def follow(self, *dials: widgets.Widget, trait: str = "value") -> None:
        """Draws the panel anew when one of these dials moves."""
        for dial in dials:
            dial.observe(lambda _: self.redraw(), names=trait)

    def remembered(self, function: Callable[..., T], last: int = 4) -> Callable[..., T]:
        """The function with its last answers kept, until the panel is closed; says when it has to compute."""

        def computed(*state: Any) -> T:
            self.tell(COMPUTING)
            return function(*state)

        keeping = lru_cache(maxsize=last)(computed)
        self._forget.append(keeping.cache_clear)
        return keeping

    def draw(self) -> str:
        """Brings the screens up to date with the dials; returns what is to be told about them."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws, and tells what went wrong."""
        self.attempt(self.draw)

    def attempt(self, action: Callable[[], str]) -> None:
        """Does something, then tells what it returns, or the error that it met."""
        try:
            self.tell(action())
        except (
            Exception
        ) as error:  # at this border every error becomes a message: a notebook hides tracebacks
            self.tell(f"Error: {str(error) or type(error).__name__}")

    def tell(self, text: str) -> None:
        """Shows one line of text below the dials."""
        self.told = text
        self.message.value = f'<div role="status">{escape(text)}</div>'

    def close(self) -> None:
        """Removes the panel from the page and frees all that it holds."""
        for forget in self._forget:
            forget()
        for widget in list(tree(self)):
            if widget is not self:
                widget.unobserve_all()
                widget.close()
        self.children = ()
        super().close()


def tree(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """A widget and all that hang on it: children, layouts, styles, links, each once."""
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
