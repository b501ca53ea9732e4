"""Rendering: a figure as the bytes of a PNG file, without a window and without pyplot."""

from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, at its own size and resolution, without transparency."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
