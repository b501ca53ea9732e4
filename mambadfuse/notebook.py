"""The start of every notebook: seeds, two lines on where it runs, a budget, and images with captions."""

import os
import platform
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import matplotlib
import numpy as np
import torch
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

import mambadfuse
from mambadfuse.ops import backends
from mambadfuse.plotting import png

T = TypeVar("T")

_PROFILES = {"ci": "fast", "fast": "fast", "full": "full"}
_WIDTH = 8.4  # inches, of figures and of rows of images


@dataclass(frozen=True)
class Setup:
    """Where a notebook runs: its seed, device, the scan backend that "auto" chooses there, and its budget."""

    seed: int
    device: torch.device
    backend: str
    profile: str


def profile() -> str:
    """The budget: "fast" or "full".

    MAMBADFUSE_PROFILE decides ("ci" means fast); without it, the budget is "full" on a CUDA GPU and "fast" elsewhere.

    Raises:
        ValueError: MAMBADFUSE_PROFILE has another value.
    """
    wanted = os.environ.get("MAMBADFUSE_PROFILE") or ("full" if torch.cuda.is_available() else "fast")
    if wanted not in _PROFILES:
        raise ValueError(f"MAMBADFUSE_PROFILE must be one of {', '.join(_PROFILES)}, found {wanted!r}")
    return _PROFILES[wanted]


def budget(*, full: T, fast: T) -> T:
    """One of two values (steps, pairs, sizes): ``fast`` for a CPU or ``full`` for a GPU; see :func:`profile`."""
    return full if profile() == "full" else fast


def setup(seed: int = 0) -> Setup:
    """Seeds Python, NumPy and PyTorch, sets the figure size, and prints versions, device, backend and budget.

    Raises:
        ValueError: MAMBADFUSE_PROFILE has an unknown value.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still use the global generator
    torch.manual_seed(seed)
    matplotlib.rc("figure", dpi=100, figsize=(_WIDTH, 3.5))
    matplotlib.rc("font", size=11)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    usable = backends()
    fastest = ("cuda", "triton", "torch") if device.type == "cuda" else ("numba", "torch")
    here = Setup(seed, device, next(name for name in fastest if usable[name].usable), profile())
    print(
        f"versions: mambadfuse {mambadfuse.__version__}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}, NumPy {np.__version__}"
    )
    print(f"device: {device}, scan backend: {here.backend}, budget: {here.profile}, seed: {seed}")
    return here


def show(what: Figure | Mapping[str, ArrayLike], caption: str) -> None:
    """Shows a figure, or images side by side by title, with a caption that is also the alternative text.

    Images are (H, W) or (H, W, 3), uint8 or floats in [0, 1]; their sizes may differ.

    Raises:
        ValueError: there is no image.
    """
    figure = what if isinstance(what, Figure) else _row(what)
    display(Image(png(figure), format="png", alt=caption), Markdown(f"*{caption}*"))


def _row(pictures: Mapping[str, ArrayLike]) -> Figure:
    if not pictures:
        raise ValueError("there must be at least one image to show, found none")
    shown = {title: np.asarray(picture) for title, picture in pictures.items()}
    height = max(p.shape[0] / p.shape[1] for p in shown.values()) * _WIDTH / len(shown) + 0.3
    figure = Figure(figsize=(_WIDTH, height), dpi=100, layout="constrained")
    for column, (title, picture) in enumerate(shown.items(), start=1):
        axes = figure.add_subplot(1, len(shown), column)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
        axes.set_title(title)
        axes.set_axis_off()
    return figure
