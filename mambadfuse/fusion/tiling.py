"""Tiling, for images too large for memory: the network runs on overlapping tiles, blended where they overlap.

The result differs: a scan reads the whole image row by row, and a tile cuts its rows short. By how much
depends on weights and image, so tiles are used only on request.
"""

from itertools import product

import torch
from torch import Tensor, nn


class TiledModel(nn.Module):
    """A network that fuses tile by tile; it wraps any ``model(a, b)`` on (B, 1, H, W).

        out = Σ_tiles w · model(a_tile, b_tile) / Σ_tiles w

    w rises linearly from the border of a tile to 1, over ``overlap`` pixels. Memory is that of one tile plus the
    image itself; an image no larger than a tile is fused in one piece.

    >>> import mambadfuse as mdf
    >>> from mambadfuse.data.samples import samples
    >>> from mambadfuse.fusion.tiling import TiledModel
    >>> pair = samples("ivf")[0]
    >>> mdf.fuse(pair.a, pair.b, TiledModel(mdf.load("ivf"), size=256)).shape
    (360, 480, 3)

    Args:
        network: the network to wrap.
        size: side of a tile in pixels.
        overlap: pixels that neighbouring tiles share, at most half of ``size``.

    Raises:
        ValueError: size or overlap is out of range.
    """

    def __init__(self, network: nn.Module, size: int = 512, overlap: int = 64) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1 pixel, found {size}")
        if not 0 <= overlap <= size // 2:
            raise ValueError(f"overlap must be between 0 and half of size {size}, found {overlap}")
        self.network, self.size, self.overlap = network, size, overlap

    @property
    def contrast(self) -> float:
        """That of the network; it applies to the whole image, not to each tile."""
        return float(getattr(self.network, "contrast", 1.0))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        out, weights = torch.zeros_like(a), torch.zeros_like(a[:1])
        for rows, columns in product(self._spans(a.shape[2]), self._spans(a.shape[3])):
            weight = self._ramp(rows, a)[:, None] * self._ramp(columns, a)[None, :]  # (h, w)
            tile = (..., rows, columns)
            out[tile] += weight * self.network(a[tile], b[tile])
            weights[tile] += weight
        return out / weights

    def _spans(self, length: int) -> list[slice]:
        """The tiles along one axis; the last one is shifted back so that it ends with the image."""
        last = max(0, length - self.size)
        starts = [*range(0, last, self.size - self.overlap), last]
        return [slice(start, min(start + self.size, length)) for start in starts]

    def _ramp(self, span: slice, like: Tensor) -> Tensor:
        """The blending weights along one axis of a tile."""
        position = torch.arange(1, span.stop - span.start + 1, device=like.device, dtype=like.dtype)
        return torch.minimum(position, position.flip(0)).clamp(max=self.overlap + 1) / (self.overlap + 1)
