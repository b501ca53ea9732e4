"""Figures: images side by side, and scores as lines and boxes; all of them readable when printed in grey.

The functions return a matplotlib ``Figure`` without registering it with pyplot: a notebook shows it as the last line of
a cell, and :func:`png` encodes it. :func:`contact_sheet` writes a file itself.
"""

from mambadfuse.plotting.colour_case import colour_case
from mambadfuse.plotting.contact_sheet import LARGEST_FILE, Row, contact_sheet
from mambadfuse.plotting.curves import published_dots, score_curves
from mambadfuse.plotting.encode import png
from mambadfuse.plotting.maps import detail_panel, map_panel
from mambadfuse.plotting.pictures import Box, difference_panel, gallery, zoom_panel
from mambadfuse.plotting.scores import box_plots, parallel_plot
from mambadfuse.plotting.states import bucket, held_input, kernel_fits, memory_curves, tanks, tap_responses

__all__ = [
    "LARGEST_FILE",
    "Box",
    "Row",
    "box_plots",
    "bucket",
    "colour_case",
    "contact_sheet",
    "detail_panel",
    "difference_panel",
    "gallery",
    "held_input",
    "kernel_fits",
    "map_panel",
    "memory_curves",
    "parallel_plot",
    "png",
    "published_dots",
    "score_curves",
    "tanks",
    "tap_responses",
    "zoom_panel",
]
