"""PNG files of figures and images, without a window and without pyplot."""

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mambadfuse.files import FIGURE_MARK


def png(picture: Figure | NDArray[np.uint8], *, fast: bool = False) -> bytes:
    """The content of a PNG file, which says that it is a figure of the kit.

    Args:
        picture: a figure, drawn at its own size and resolution without transparency; or pixels, uint8, (H, W) grey or
            (H, W, 3) RGB.
        fast: compress quickly, for images that are shown once, instead of as well as possible.

    Example:
        >>> import numpy as np
        >>> png(np.zeros((2, 3), dtype=np.uint8))[:4]
        b'\\x89PNG'
    """
    pixels = _rendered(picture) if isinstance(picture, Figure) else picture
    options: dict[str, Any] = {"compress_level": 1} if fast else {"optimize": True}
    buffer = BytesIO()
    mark = PngInfo()
    mark.add(b"tEXt", FIGURE_MARK)
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", pnginfo=mark, **options)
    return buffer.getvalue()


def _rendered(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels, (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
