"""Shallow fusion by channel exchange (MambaDFuse, the part on shallow fusion).

The two modalities trade channels, each reads the mixture with a Mamba of its own, twice; a convolution of both
and a plain mean close the phase. The exchange itself has no parameters.

Letters: B batch, L length (tokens), C model width, H and W height and width.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mambadfuse import ops
from mambadfuse.models.mamba import Mamba, Memory, in_tiles, is_observed, to_map

if TYPE_CHECKING:
    from mambadfuse.ops.cpu.pipeline import Stage


def exchange_channels(a: Tensor, b: Tensor, period: int = 2) -> tuple[Tensor, Tensor]:
    """Swap every ``period``-th channel (0, p, 2p, ...) between a and b; 0 swaps none.

    a, b (..., C). A permutation of the 2 C channels: applying it twice gives back a and b, a + b is unchanged.
    """
    if period < 0:
        raise ValueError(f"period must be 0 (no exchange) or positive, found {period}")
    if period == 0:
        return a, b
    swapped = torch.arange(a.shape[-1], device=a.device) % period == 0  # (C,)
    return torch.where(swapped, b, a), torch.where(swapped, a, b)


class ExchangeBlock(nn.Module):
    """One exchange: residual sum, norm, swap, one Mamba per modality.

        r' = x + r;   a', b' = exchange(LN_a(r'_a), LN_b(r'_b));   x' = Mamba_a(a'), Mamba_b(b')

    It takes and returns branch and running sum of both modalities, (B, L, C) each, as
    :class:`mambadfuse.models.mamba.MambaBlock` does. The running sums are never exchanged. With ``residual=False``
    (the figure's reading) there is no sum and no norm: the branches are exchanged as they come.
    """

    def __init__(
        self, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, mixer: str = "scan",
        period: int = 2, residual: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.period, self.residual = period, residual
        if residual:
            self.norm_a, self.norm_b = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mamba_a = Mamba(dim, state, conv_width, expand, mixer)
        self.mamba_b = Mamba(dim, state, conv_width, expand, mixer)

    def forward(
        self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor,
        memory_a: Memory | None = None, memory_b: Memory | None = None, height: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Branch and running sum of a, then of b, (B, L, C) each -> the same of the next block."""
        if self.residual:
            sum_a, sum_b = a + sum_a, b + sum_b
            a, b = self.norm_a(sum_a), self.norm_b(sum_b)
        a, b = exchange_channels(a, b, self.period)
        return self.mamba_a(a, memory_a, height), sum_a, self.mamba_b(b, memory_b, height), sum_b

    def stages(self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor) -> "list[Stage]":
        """As ``forward``, for :mod:`mambadfuse.ops.cpu.pipeline`: all four become those of the next block, in place."""
        from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, norm_stage

        norms = (
            [norm_stage(a, sum_a, self.norm_a), norm_stage(b, sum_b, self.norm_b)] if self.residual else []
        )
        swaps = [_swap_stage(a, b, self.period)] if self.period else []
        paths = [
            mamba_inner_stage(x, x, mamba.inner_weights())
            for x, mamba in ((a, self.mamba_a), (b, self.mamba_b))
        ]
        return norms + swaps + paths


def _swap_stage(a: Tensor, b: Tensor, period: int) -> "Stage":
    """:func:`exchange_channels` in place, tile by tile."""
    swapped_a, swapped_b = a.numpy()[..., ::period], b.numpy()[..., ::period]

    def swap(first: int, stop: int) -> None:
        part_a, part_b = swapped_a[:, first:stop], swapped_b[:, first:stop]
        part_a[:], part_b[:] = part_b.copy(), part_a.copy()

    return swap


class ShallowFusion(nn.Module):
    """Exchange blocks, then convolutions, then the mean.

        A' = conv_a([A, B]) + A;   B' = conv_b([B, A']) + B;   F = (A' + B') / 2

    Args:
        exchange_residual: residual sum and norm before each exchange, as in :class:`ExchangeBlock`.
        conv_inputs: "both" streams feed each convolution, or only its "own".
        order: "sequential" lets conv_b see the updated A', "parallel" the A from before.
        add_residual: add the running sums to the branches after the last exchange.

    Branches and running sums of both modalities (B, L, C) and the height H -> maps A', B', F, (B, C, H, W) each.
    """

    def __init__(
        self, depth: int, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2,
        mixer: str = "scan", period: int = 2,
        exchange_residual: bool = True, conv_inputs: str = "both", order: str = "sequential",
        add_residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv_inputs, self.order = conv_inputs, order
        self.exchange_residual, self.add_residual, self.causal = (
            exchange_residual,
            add_residual,
            mixer == "scan",
        )
        self.exchange = nn.ModuleList(
            ExchangeBlock(dim, state, conv_width, expand, mixer, period, exchange_residual)
            for _ in range(depth)
        )
        channels = 2 * dim if conv_inputs == "both" else dim
        self.conv_a = nn.Conv2d(channels, dim, 3, padding=1)
        self.conv_b = nn.Conv2d(channels, dim, 3, padding=1)

    def forward(
        self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor, height: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Branch and running sum of a, then of b, (B, L, C) each -> maps A', B', F, (B, C, H, W) each."""
        plain = all(isinstance(block, ExchangeBlock) for block in self.exchange) and not is_observed(
            self.exchange
        )
        if not torch.is_grad_enabled() and self.causal and plain and ops.supports_mamba_inner(a):
            a, b = self._stream(a, sum_a, b, sum_b)
        else:
            a, b = self._run(a, sum_a, b, sum_b, height)
        a, b = to_map(a, height), to_map(b, height)  # (B, L, C) -> (B, C, H, W)
        new_a = self.conv_a(self._inputs(a, b)) + a
        new_b = self.conv_b(self._inputs(b, new_a if self.order == "sequential" else a)) + b
        return new_a, new_b, (new_a + new_b) / 2

    def _run(self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor, height: int) -> Sequence[Tensor]:
        """The exchange blocks: branch and running sum of a, then of b -> a and b, (B, L, C) each."""
        memories = [(None, None) if torch.is_grad_enabled() else (Memory(), Memory()) for _ in self.exchange]

        def run(a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor) -> tuple[Tensor, Tensor]:
            if not self.exchange_residual:
                a, b = a + sum_a, b + sum_b
            for block, memory in zip(self.exchange, memories, strict=True):
                a, sum_a, b, sum_b = block(a, sum_a, b, sum_b, *memory, height)
            if self.add_residual and self.exchange_residual:
                a, b = a + sum_a, b + sum_b
            return a, b

        return in_tiles(run, a, sum_a, b, sum_b, causal=self.causal)

    def _stream(self, a: Tensor, sum_a: Tensor, b: Tensor, sum_b: Tensor) -> Sequence[Tensor]:
        """As :meth:`_run`, by the kernels of :mod:`mambadfuse.ops.cpu.pipeline`."""
        from mambadfuse.ops.cpu.pipeline import run_pipeline

        if self.exchange_residual:
            a, sum_a, b, sum_b = a.clone(), sum_a.clone(), b.clone(), sum_b.clone()
        else:
            a, b = a + sum_a, b + sum_b
        blocks = cast(Iterable[ExchangeBlock], self.exchange)
        run_pipeline([s for block in blocks for s in block.stages(a, sum_a, b, sum_b)], a.shape[1])
        if self.add_residual and self.exchange_residual:
            a, b = a + sum_a, b + sum_b
        return a, b

    def _inputs(self, own: Tensor, other: Tensor) -> Tensor:
        return torch.cat([own, other], dim=1) if self.conv_inputs == "both" else own
