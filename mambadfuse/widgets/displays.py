"""Displays: images and figures with a title, which is also their alternative text."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape

import ipywidgets as widgets
from matplotlib.figure import Figure

from mambadfuse.analysis.colormap import Picture
from mambadfuse.plotting import png
from mambadfuse.widgets.panel import HTML, SMALL


def figure_html(picture: Picture | Figure, title: str) -> str:
    """A figure, or an image, uint8, (H, W) or (H, W, 3), as wide as there is room, under its title."""
    file = png(picture, fast=True)
    width, height = (int.from_bytes(file[at : at + 4]) for at in (16, 20))  # of the PNG header
    text, data = escape(title), b64encode(file).decode()
    return (
        f'<figure style="margin: 0"><figcaption style="{SMALL}">{text}</figcaption>'
        f'<img alt="{text}" width="{width}" height="{height}" style="display: block; width: 100%; height: auto" '
        f'src="data:image/png;base64,{data}"></figure>'
    )


class Display(HTML):
    """One image under its title. (HTML, because the image widget of ipywidgets has no alternative text.)"""

    def __init__(self, width: str = "99%") -> None:
        super().__init__(layout=widgets.Layout(width=width, margin="2px 0.5%"))

    def show(self, picture: Picture | Figure, title: str) -> None:
        """Shows a figure, or an image, uint8, (H, W) or (H, W, 3), at the width of the display."""
        self.value = figure_html(picture, title)


class Gallery(widgets.HBox):
    """Images side by side by title, in rows of ``columns``; displays are created when needed and then reused."""

    children: tuple["Display", ...]

    def __init__(self, columns: int = 4) -> None:
        # images stand on one line however long their titles are
        super().__init__(layout=widgets.Layout(flex_flow="row wrap", align_items="flex-end", width="100%"))
        self.columns = columns

    def show(self, pictures: Mapping[str, Picture], columns: int | None = None) -> None:
        """Shows the images, and hides the displays that are not needed; in other ``columns`` from now on if given."""
        self.columns = columns or self.columns
        missing = len(pictures) - len(self.children)
        self.children = (*self.children, *(Display() for _ in range(missing)))
        for display in self.children:
            display.layout.width = f"{100 / self.columns - 1:.3f}%"
        for display in self.children[len(pictures) :]:
            display.layout.display = "none"
        for display, (title, picture) in zip(self.children, pictures.items(), strict=False):
            display.layout.display = None
            display.show(picture, title)
