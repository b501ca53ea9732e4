"""All fusions of one pair side by side: the network and the baselines, their scores, and enlarged details."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from mambadfuse.analysis.colormap import Picture
from mambadfuse.data.colour import Floats, luma
from mambadfuse.evaluation.faults import measure
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import fuse_with
from mambadfuse.metrics import EIGHT, LOWER_IS_BETTER, evaluate
from mambadfuse.metrics.grey_image import levels
from mambadfuse.plotting.histograms import grey_histograms


@dataclass(frozen=True, eq=False)
class NamedPair:
    """Two images of one scene, float32 in [0, 1], (H, W) or (H, W, 3) each; compared and hashed by identity.

    Raises:
        ValueError: the sizes differ.
    """

    name: str
    a: Floats
    b: Floats

    def __post_init__(self) -> None:
        """Checks the sizes."""
        sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (self.a, self.b)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"a and b must be of one size, found {sizes[0]} and {sizes[1]}")

    def shrunk(self, side: int) -> "NamedPair":
        """The pair reduced by averaging so that its longer side has at most ``side`` pixels."""
        height, width = self.a.shape[:2]
        scale = side / max(height, width)
        if scale >= 1:
            return self
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return NamedPair(self.name, _resized(self.a, size), _resized(self.b, size))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The luma of both images as inputs of a network, (1, 1, H, W) each."""
        a, b = (torch.from_numpy(x if x.ndim == 2 else luma(x)).float()[None, None] for x in (self.a, self.b))
        return a, b


def _resized(x: Floats, size: tuple[int, int]) -> Floats:
    channels = [x] if x.ndim == 2 else list(np.moveaxis(x, -1, 0))
    small = [
        np.asarray(Image.fromarray(c.astype(np.float32)).resize(size, Image.Resampling.BOX)) for c in channels
    ]
    return np.clip(small[0] if x.ndim == 2 else np.stack(small, axis=-1), 0, 1)


class Baseline(nn.Module):
    """One of the classical fusions of :mod:`mambadfuse.fusion.baselines` with the interface of a network."""

    def __init__(self, rule: Callable[[Floats, Floats], Floats]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        fused = [self.rule(x, y) for x, y in zip(a[:, 0].cpu().numpy(), b[:, 0].cpu().numpy(), strict=True)]
        return torch.from_numpy(np.stack(fused))[:, None]


class Memoised(nn.Module):
    """A network that keeps its last few results: fusing the same pair in another colour costs nothing.

    Args:
        network: model(a, b) on (B, 1, H, W).
        last: how many results are kept.
    """

    def __init__(self, network: nn.Module, last: int = 4) -> None:
        super().__init__()
        self.network, self.last = network, last
        self.results: dict[bytes, Tensor] = {}

    @property
    def contrast(self) -> float:
        """That of the network."""
        return float(getattr(self.network, "contrast", 1.0))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        key = blake2b(str(a.shape).encode())
        for x in (a, b):
            key.update(x.cpu().numpy().tobytes())
        known = self.results.pop(key.digest(), None)
        self.results[key.digest()] = result = self.network(a, b) if known is None else known
        while len(self.results) > self.last:
            del self.results[next(iter(self.results))]  # the least recently used one
        return result


FUSIONS = ("network", *BASELINES)
CANDIDATES = ("a", "b", *FUSIONS)


def candidates(pair: NamedPair, network: nn.Module, colour: str = "auto") -> dict[str, Picture]:
    """Both sources and all fusions of a pair, by the names of ``CANDIDATES``; uint8, (H, W) or (H, W, 3).

    Args:
        pair: the sources.
        network: model(a, b) on (B, 1, H, W).
        colour: as in :func:`mambadfuse.fuse`; the same for every fusion.
    """
    return {name: candidate(pair, name, network, colour) for name in CANDIDATES}


def candidate(pair: NamedPair, name: str, network: nn.Module | None = None, colour: str = "auto") -> Picture:
    """One of :func:`candidates`, by its name; only "network" needs a network.

    Raises:
        ValueError: there is no such candidate, or its network is missing.
    """
    if name not in CANDIDATES:
        raise ValueError(f"unknown candidate {name!r}: choose one of {', '.join(CANDIDATES)}")
    if name in ("a", "b"):
        return np.rint(255 * getattr(pair, name)).astype(np.uint8)
    options = FusionOptions(colour=colour)
    if name != "network":
        return np.asarray(fuse_with(Baseline(BASELINES[name]), pair.a, pair.b, options, warn=False).image)
    if network is None:
        raise ValueError("the candidate 'network' needs a network, found None")
    return np.asarray(fuse_with(network, pair.a, pair.b, options).image)


def scores(pictures: Mapping[str, Picture]) -> dict[str, dict[str, float]]:
    """The eight usual scores of every fusion among the candidates, by name.

    Raises:
        ValueError: the images are too small to be scored.
    """
    return {name: scores_of(pictures, name) for name in FUSIONS}


def scores_of(pictures: Mapping[str, Picture], name: str) -> dict[str, float]:
    """The eight usual scores of one of the candidates; only that one, "a" and "b" are needed.

    Raises:
        ValueError: the images are too small to be scored.
    """
    return evaluate(pictures[name], pictures["a"], pictures["b"], metrics=EIGHT)


def faults(pictures: Mapping[str, Picture], name: str) -> dict[str, float]:
    """The faults of one of the candidates, see :func:`mambadfuse.evaluation.faults.measure`."""
    return measure(pictures[name], pictures["a"], pictures["b"])


def histograms(pictures: Mapping[str, Picture], *names: str) -> Figure:
    """Grey levels of both sources and of these candidates."""
    wanted = {name: pictures[name] for name in ("a", "b", *names)}
    return grey_histograms(dict(zip(wanted, levels(wanted), strict=True)))


def best(table: Mapping[str, Mapping[str, float]], metric: str) -> str:
    """The name of the row that is best in one metric.

    Example:
        >>> best({"ours": {"MSE": 2.0}, "mean": {"MSE": 1.0}}, "MSE")
        'mean'
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return max(table, key=lambda name: sign * table[name][metric])


def swipe(left: Picture, right: Picture, share: float) -> Picture:
    """The left part of one image next to the right part of another, (H, W, 3), with a line between them.

    Args:
        left: (H, W) or (H, W, 3), uint8.
        right: an image of the same size.
        share: the fraction of the width that shows ``left``, 0 to 1.
    """
    column = round(share * left.shape[1])
    both = in_colour(right).copy()
    both[:, :column] = in_colour(left)[:, :column]
    if 0 < column < both.shape[1]:
        both[:, column - 1], both[:, column] = 0, 255  # black and white: visible on any ground
    return both


def in_colour(picture: Picture) -> Picture:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


@dataclass(frozen=True)
class Window:
    """A detail of an image: its position as fractions of width and height, 0 to 1, and its magnification."""

    x: float
    y: float
    zoom: int

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the detail; at 0 it touches the top or left border, at 1 the bottom or right one."""
        rows, columns = max(1, height // self.zoom), max(1, width // self.zoom)
        top, left = round(self.y * (height - rows)), round(self.x * (width - columns))
        return slice(top, top + rows), slice(left, left + columns)

    def detail(self, picture: Picture) -> Picture:
        """The detail, with every pixel repeated ``zoom`` times in both directions."""
        part = picture[self.slices(*picture.shape[:2])]
        return part.repeat(self.zoom, axis=0).repeat(self.zoom, axis=1)

    def framed(self, picture: Picture) -> Picture:
        """The whole image (H, W, 3) with a black and white frame around the detail."""
        shown = in_colour(picture).copy()
        rows, columns = self.slices(*shown.shape[:2])
        for depth, grey in ((0, 255), (1, 0)):
            top, bottom = rows.start + depth, rows.stop - 1 - depth
            left, right = columns.start + depth, columns.stop - 1 - depth
            if top <= bottom and left <= right:
                shown[[top, bottom], left : right + 1] = grey
                shown[top : bottom + 1, [left, right]] = grey
        return shown
