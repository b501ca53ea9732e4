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

An order of your own is a function, ``module:function``, from the height and width of a map and the place of a block in
the depth of the network, from 0, to where the tokens (L,) stand in raster order, in the order in which they are read.

Letters: B batch, H and W height and width, L = H W tokens, C model width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from mambadfuse.components import is_component, named_component
from mambadfuse.models.config import MambaConfig


@dataclass(frozen=True)
class OwnOrder:
    """The order of your own in which one block reads."""

    order: Callable[[int, int, int], Tensor]
    index: int

    def __call__(self, height: int, width: int) -> Tensor:
        """Where the tokens (L,) stand in raster order, in the order in which they are read."""
        return _permutation(self.order, height, width, self.index)


Direction = str | OwnOrder
DIRECTIONS = ("right", "left", "down", "up")


def scan_direction(config: MambaConfig, index: int) -> Direction:
    """The direction of all scans in a block, by its ``index`` in the depth of the network, from 0.

    Always "right", or with ``config.scan_order`` "alternating" each of :data:`DIRECTIONS` in turn, or an order of your
    own. The mixer "convolution", or one of your own that is not causal, reads a map in no order, and so always as it
    is.

    >>> [scan_direction(MambaConfig(scan_order="alternating"), index) for index in range(5)]
    ['right', 'left', 'down', 'up', 'right']
    """
    in_no_order = config.mixer == "convolution" or (is_component(config.mixer) and not is_causal(config))
    if config.scan_order == "raster" or in_no_order:
        return "right"
    if is_component(config.scan_order):
        return OwnOrder(named_component(config.scan_order), index)
    return DIRECTIONS[index % len(DIRECTIONS)]


def is_causal(config: MambaConfig) -> bool:
    """Whether each token is mixed with earlier ones alone; False for a mixer of your own that does not say."""
    if is_component(config.mixer):
        return bool(getattr(named_component(config.mixer), "causal", False))
    return config.mixer == "scan"


def reading_order(
    direction: Direction, length: int, height: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Where the tokens (L,) of a map stand in raster order, in the order in which they are read.

    >>> reading_order("down", 6, height=2)
    tensor([0, 3, 1, 4, 2, 5])

    Raises:
        ValueError: the direction is neither "right" nor "left", and the height of the map is missing; or an order of
            your own is no permutation of the tokens.
    """
    if direction not in ("right", "left") and height is None:
        raise ValueError(f"a scan in the direction {direction!r} needs the height of the map")
    rows = height or 1
    if isinstance(direction, OwnOrder):
        return direction(rows, length // rows).to(device)
    order = torch.arange(length, device=device)
    if direction in ("down", "up"):
        order = order.view(rows, -1).t().flatten()
    return order.flip(0) if direction in ("left", "up") else order


@lru_cache(maxsize=64)
def _permutation(order: Callable[[int, int, int], Tensor], height: int, width: int, index: int) -> Tensor:
    found = order(height, width, index)
    if not _is_permutation(found, height * width):
        raise ValueError(
            f"{order.__module__}:{order.__name__}: expected each of the tokens 0 to {height * width - 1} of "
            f"{height} x {width} once, as a tensor of whole numbers, found {found}"
        )
    return found


def _is_permutation(found: object, length: int) -> bool:
    if not isinstance(found, Tensor) or found.dtype not in (torch.int32, torch.int64):
        return False
    return torch.equal(found.cpu().long().sort().values, torch.arange(length))


def in_order(tokens: Tensor, order: Tensor) -> Tensor:
    """Tokens in raster order -> in the order in which they are read, (B, L, C) each."""
    return tokens.index_select(1, order)


def in_raster_order(tokens: Tensor, order: Tensor) -> Tensor:
    """The inverse of :func:`in_order`."""
    return torch.empty_like(tokens).index_copy_(1, order, tokens)
