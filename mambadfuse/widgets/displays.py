"""Screens: pictures and figures with a title and an alternative text, encoded fast rather than small."""

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from io import BytesIO

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mambadfuse.analysis.colormap import Picture


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


class Screen(widgets.HTML):
    """One picture under its title. (The image widget of ipywidgets has no alternative text, so it is not used.)"""

    def __init__(self, width: str = "100%") -> None:
        super().__init__(layout=widgets.Layout(width=width, margin="2px 0.5%"))

    def show(self, png: bytes, title: str) -> None:
        """Shows a PNG file, as wide as the screen; a screen reader says its title."""
        width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))  # of its header
        text, data = escape(title), b64encode(png).decode()
        self.value = (
            f'<figure style="margin: 0"><figcaption style="font-size: 12px; line-height: 1.4">{text}</figcaption>'
            f'<img alt="{text}" width="{width}" height="{height}" style="width: 100%; height: auto" '
            f'src="data:image/png;base64,{data}"></figure>'
        )


class Gallery(widgets.HBox):
    """Pictures beside each other by title, in rows of ``columns``; there are as many screens as ever were shown."""

    children: tuple["Screen", ...]

    def __init__(self, columns: int = 4) -> None:
        super().__init__(layout=widgets.Layout(flex_flow="row wrap", width="100%"))
        self.width = f"{100 / columns - 1:.3f}%"

    def show(self, pictures: Mapping[str, Picture]) -> None:
        """Shows the pictures, and hides the screens that are not needed."""
        missing = len(pictures) - len(self.children)
        self.children = (*self.children, *(Screen(self.width) for _ in range(missing)))
        for screen in self.children[len(pictures) :]:
            screen.layout.display = "none"
        for screen, (title, picture) in zip(self.children, pictures.items(), strict=False):
            screen.layout.display = None
            screen.show(encoded(picture), title)
