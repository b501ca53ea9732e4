"""Shallow fusion by channel exchange (MambaDFuse, the section on shallow fusion).

Twice, the two modalities swap channels and each reads the mixture with a Mamba unit of its own. Convolutions over both
modalities and a plain mean complete the phase. The exchange itself has no parameters.

Letters: B batch, L length (tokens), C model width, H and W height and width.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mambadfuse.models import execution
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mamba import Caches, Mamba, to_map


def exchange_channels(a: Tensor, b: Tensor, period: int = 2) -> tuple[Tensor, Tensor]:
    """Swap every ``period``-th channel (0, p, 2p, ...) between a and b; 0 swaps none.

    a, b (..., C). A permutation of the 2 C channels: applying it twice gives back a and b, and a + b is unchanged.

    >>> exchange_channels(torch.tensor([1, 2, 3]), torch.tensor([7, 8, 9]))
    (tensor([7, 2, 9]), tensor([1, 8, 3]))

    Raises:
        ValueError: the period is negative.
    """
    if period < 0:
        raise ValueError(f"period must be 0 (no exchange) or positive, found {period}")
    if period == 0:
        return a, b
    swapped = torch.arange(a.shape[-1], device=a.device) % period == 0  # (C,)
    return torch.where(swapped, b, a), torch.where(swapped, a, b)


@execution.fusable
class ExchangeBlock(nn.Module):
    """One exchange: residual sum, norm, swap, one Mamba unit per modality.

        r' = x + r;   a', b' = exchange(LN_a(r'_a), LN_b(r'_b));   x' = Mamba_a(a'), Mamba_b(b')

    It takes and returns branch and running sum of both modalities, (B, L, C) each, as
    :class:`mambadfuse.models.mamba.MambaBlock` does. The running sums are never exchanged. Without
    ``config.exchange_residual`` (the figure's reading) there is no sum and no norm: the branches are exchanged as they
    come. ``index`` is the place of the block in the depth of the network.
    """

    def __init__(self, config: MambaDFuseConfig, index: int = 0) -> None:
        super().__init__()
        self.period, self.residual = config.exchange_period, config.exchange_residual
        if self.residual:
            self.norm_a, self.norm_b = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.mamba_a = Mamba(config, index)
        self.mamba_b = Mamba(config, index)

    def forward(
        self,
        a: Tensor,
        sum_a: Tensor,
        b: Tensor,
        sum_b: Tensor,
        *,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Branch and running sum of a, then of b, (B, L, C) each -> the same of the next block."""
        if self.residual:
            sum_a, sum_b = a + sum_a, b + sum_b
            a, b = self.norm_a(sum_a), self.norm_b(sum_b)
        a, b = exchange_channels(a, b, self.period)
        a, b = (
            self.mamba_a(a, caches=caches, height=height),
            self.mamba_b(b, caches=caches, height=height),
        )
        return a, sum_a, b, sum_b


def _read_alike(stack: Iterable[ExchangeBlock]) -> bool:
    return all(block.mamba_a.direction == block.mamba_b.direction for block in stack)


@execution.fusable
class ExchangeStack(nn.ModuleList):
    """Exchange blocks, one after the other."""

    @execution.carried_out(without_gradient=execution.exchange_stack, when=_read_alike)
    def forward(
        self,
        a: Tensor,
        sum_a: Tensor,
        b: Tensor,
        sum_b: Tensor,
        *,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Branch and running sum of a, then of b, (B, L, C) each -> the same after the last block."""
        for block in self:
            a, sum_a, b, sum_b = block(a, sum_a, b, sum_b, caches=caches, height=height)
        return a, sum_a, b, sum_b


class ShallowFusion(nn.Module):
    """Exchange blocks, then convolutions, then the mean.

        A' = conv_a([A, B]) + A;   B' = conv_b([B, A']) + B;   F = (A' + B') / 2

    Branches and running sums of both modalities (B, L, C) and the height H -> maps A', B', F, (B, C, H, W) each.

    Fields of the configuration: ``shallow_conv_inputs`` "both" feeds both modalities to each convolution, "own" its own
    alone; ``shallow_order`` "sequential" lets conv_b see the updated A', "parallel" the A from before; with
    ``stage_residual`` "added" the running sums are added to the branches after the last exchange. Without
    ``exchange_residual`` the blocks carry no running sum, and the branches are summed before the first.
    """

    def __init__(self, config: MambaDFuseConfig) -> None:
        super().__init__()
        self.conv_inputs, self.order = config.shallow_conv_inputs, config.shallow_order
        self.exchange_residual = config.exchange_residual
        self.add_residual = config.stage_residual == "added"
        first = config.extraction_depth
        self.exchange = ExchangeStack(ExchangeBlock(config, first + k) for k in range(config.exchange_depth))
        channels = 2 * config.dim if self.conv_inputs == "both" else config.dim
        self.conv_a = nn.Conv2d(channels, config.dim, 3, padding=1)
        self.conv_b = nn.Conv2d(channels, config.dim, 3, padding=1)

    def forward(
        self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Branch and running sum of a, then of b, (B, L, C) each -> maps A', B', F, (B, C, H, W) each."""
        if not self.exchange_residual:
            a, b = a + sum_a, b + sum_b
        a, sum_a, b, sum_b = self.exchange(a, sum_a, b, sum_b, height=height)
        if self.exchange_residual and self.add_residual:
            a, b = a + sum_a, b + sum_b
        del sum_a, sum_b  # each as large as the features
        a, b = to_map(a, height), to_map(b, height)  # (B, L, C) -> (B, C, H, W)
        new_a = self.conv_a(self._inputs(a, b)) + a
        new_b = self.conv_b(self._inputs(b, new_a if self.order == "sequential" else a)) + b
        return new_a, new_b, (new_a + new_b) / 2

    def _inputs(self, own: Tensor, other: Tensor) -> Tensor:
        return torch.cat([own, other], dim=1) if self.conv_inputs == "both" else own
