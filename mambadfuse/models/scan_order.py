"""The order in which a scan reads the tokens of a map.

A scan in raster order meets the neighbour to the left one token ago, the neighbour above a whole row ago, and what lies
to the right or below never. If the direction turns from block to block, every token reaches every other one within a
few blocks, at the cost of one scan each.

==========  =====================================
direction   order
==========  =====================================
right       row by row from the top left: raster
left        the same backwards
down        column by column from the top left
up          the same backwards
==========  =====================================

Letters: B batch, H and W height and width, L = H W tokens, C model width.
"""

from typing import Literal

import torch
from torch import Tensor

from mambadfuse.models.config import MambaConfig

Direction = Literal["right", "left", "down", "up"]
DIRECTIONS: tuple[Direction, ...] = ("right", "left", "down", "up")


def scan_direction(config: MambaConfig, index: int) -> Direction:
    """The direction of all scans in a block, by its ``index`` in the depth of the network, from 0.

    Always "right", or with ``config.scan_order`` "alternating" each of :data:`DIRECTIONS` in turn. The mixer
    "convolution" reads a map in no order, and so always as it is.

    >>> [scan_direction(MambaConfig(scan_order="alternating"), index) for index in range(5)]
    ['right', 'left', 'down', 'up', 'right']
    """
    if config.scan_order == "raster" or config.mixer == "convolution":
        return "right"
    return DIRECTIONS[index % len(DIRECTIONS)]


def reading_order(
    direction: Direction, length: int, height: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Where the tokens (L,) of a map stand in raster order, in the order in which they are read.

    >>> reading_order("down", 6, height=2)
    tensor([0, 3, 1, 4, 2, 5])

    Raises:
        ValueError: the direction is "down" or "up", and the height of the map is missing.
    """
    order = torch.arange(length, device=device)
    if direction in ("down", "up"):
        if height is None:
            raise ValueError(f"a scan in the direction {direction!r} needs the height of the map")
        order = order.view(height, -1).t().flatten()
    return order.flip(0) if direction in ("left", "up") else order


def in_order(tokens: Tensor, order: Tensor) -> Tensor:
    """Tokens in raster order -> in the order in which they are read, (B, L, C) each."""
    return tokens.index_select(1, order)


def in_raster_order(tokens: Tensor, order: Tensor) -> Tensor:
    """The inverse of :func:`in_order`."""
    return torch.empty_like(tokens).index_copy_(1, order, tokens)
