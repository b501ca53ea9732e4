"""Figures: images side by side, and scores as lines and boxes; all of them readable when printed in grey.

The functions return a matplotlib ``Figure`` without registering it with pyplot: a notebook shows it as the last line of
a cell, and :func:`png` encodes it. :func:`contact_sheet` writes a file itself.
"""

from mambadfuse.plotting.colour_case import colour_case
from mambadfuse.plotting.contact_sheet import LARGEST_FILE, Row, contact_sheet
from mambadfuse.plotting.encode import png
from mambadfuse.plotting.pictures import Box, difference_panel, zoom_panel
from mambadfuse.plotting.scores import box_plots, parallel_plot

__all__ = [
    "LARGEST_FILE",
    "Box",
    "Row",
    "box_plots",
    "colour_case",
    "contact_sheet",
    "difference_panel",
    "parallel_plot",
    "png",
    "zoom_panel",
]
