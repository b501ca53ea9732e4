"""Screens: pictures and figures as image widgets, encoded fast rather than small."""

from collections.abc import Mapping
from html import escape
from io import BytesIO

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mambadfuse.insight.colouring import Picture


def encoded(picture: Picture) -> bytes:
    """A picture, uint8, (H, W) or (H, W, 3), as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def rendered(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return encoded(np.asarray(canvas.buffer_rgba())[..., :3])


class Screen(widgets.VBox):
    """One picture under its title; the title is also what a screen reader says."""

    def __init__(self, width: str = "100%", title: str = "") -> None:
        self.title = widgets.HTML()
        self.image = widgets.Image(format="png", layout=widgets.Layout(width="100%", height="auto"))
        super().__init__([self.title, self.image], layout=widgets.Layout(width=width, padding="0 4px 0 0"))
        self.entitle(title)

    def entitle(self, title: str) -> None:
        """Sets the title; without one its line is not there."""
        self.title.value = f"<small>{escape(title)}</small>"
        self.title.layout.display = None if title else "none"
        self.image.tooltip = title

    def show(self, png: bytes) -> None:
        """Shows a PNG file."""
        self.image.value = png


class Gallery(widgets.HBox):
    """Pictures beside each other by title, in rows of ``columns``; there are as many screens as ever were shown."""

    children: tuple["Screen", ...]

    def __init__(self, columns: int = 4) -> None:
        super().__init__(layout=widgets.Layout(flex_flow="row wrap", width="100%"))
        self.width = f"{100 / columns:.3f}%"

    def show(self, pictures: Mapping[str, Picture]) -> None:
        """Shows the pictures, and hides the screens that are not needed."""
        missing = len(pictures) - len(self.children)
        self.children = (*self.children, *(Screen(self.width) for _ in range(missing)))
        for screen in self.children[len(pictures) :]:
            screen.layout.display = "none"
        for screen, (title, picture) in zip(self.children, pictures.items(), strict=False):
            screen.layout.display = None
            screen.entitle(title)
            screen.show(encoded(picture))
