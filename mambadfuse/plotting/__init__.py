"""Figures: pictures side by side, and scores as lines and boxes; all of them legible in grey print.

Each function returns a matplotlib ``Figure`` and keeps nothing: a notebook shows what the last line of a cell
returns, :func:`png` makes a file of it.
"""

from mambadfuse.plotting.colour_case import colour_case
from mambadfuse.plotting.contact_sheet import LARGEST_FILE, Row, contact_sheet
from mambadfuse.plotting.figure_png import png
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
