"""The Mamba unit and the blocks built from it (Gu and Dao 2023).

Letters: B batch, L length (tokens), C model width, E inner width (``expand`` x C), N state size, R rank of the
step-size projection, W width of the causal convolution.

==============  =====================  ===========================================
here            paper                  shape
==============  =====================  ===========================================
``u``           x after conv and silu  (B, L, E)
``z``           gate                   (B, L, E)
``delta``       Δ before softplus      (B, L, E)
``A_log``       log(-A)                (E, N)
``D``           D (skip)               (E,)
==============  =====================  ===========================================
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mambadfuse import ops

if TYPE_CHECKING:
    from mambadfuse.ops.cpu.mamba_inner import MambaInnerWeights


def to_tokens(x: Tensor) -> Tensor:
    """Read a map row by row: (B, C, H, W) -> (B, H W, C)."""
    return rearrange(x, "b c h w -> b (h w) c")


def to_map(tokens: Tensor, height: int) -> Tensor:
    """Lay tokens out in rows again: (B, H W, C) -> (B, C, H, W)."""
    return rearrange(tokens, "b (h w) c -> b c h w", h=height)


TILE = 8192  # tokens: long enough to keep all cores busy, short enough for the caches


class Memory:
    """What one selective SSM carries from one tile of tokens to the next.

    ``past`` (B, W - 1, E) are the last tokens before its convolution, ``state`` (B, E, N) is that of its scan;
    None stands for zeros, as before the first token.
    """

    past: Tensor | None = None
    state: Tensor | None = None


def in_tiles(
    function: Callable[..., Sequence[Tensor]], *tokens: Tensor, causal: bool = True
) -> Sequence[Tensor]:
    """Apply a causal function to token sequences (B, L, C), tile by tile where no gradient is wanted.

    The function takes tiles (B, T, C) and returns tiles (B, T, C'); it keeps a :class:`Memory` for whatever it
    must know of earlier tiles. The result is that of one call with the whole sequences, to rounding, but no
    temporary is longer than a tile. With gradients it *is* one call, and so it is for a function that is not
    ``causal``, which must see all tokens at once.
    """
    length = tokens[0].shape[1]
    if torch.is_grad_enabled() or not causal or length <= TILE:
        return function(*tokens)
    outputs: list[Tensor] = []
    for start in range(0, length, TILE):
        part = slice(start, min(start + TILE, length))
        results = function(*(x[:, part] for x in tokens))
        if not outputs:
            outputs = [r.new_empty(r.shape[0], length, r.shape[2]) for r in results]
        for whole, result in zip(outputs, results, strict=True):
            whole[:, part] = result
    return outputs


def is_observed(module: nn.Module) -> bool:
    """Whether a hook listens to any part of a module: then each part must be called by itself."""
    return any(p._forward_hooks or p._forward_pre_hooks or p._backward_hooks for p in module.modules())


class SelectiveSSM(nn.Module):
    """Causal convolution, then the selective scan with parameters computed from each token, then the gate.

        u  = silu(conv(u))
        Δ_raw, B, C = x_proj(u);   Δ = softplus(dt_proj(Δ_raw));   A = -exp(A_log)
        y  = scan(u, Δ, A, B, C) + D u,   times silu(z) if a gate is given

    Args:
        inner: number of channels, E.
        rank: width of Δ_raw, R.
        state: state size, N.
        conv_width: W.
        own_state_matrix: without it the module has no A_log and must be given another's in ``forward``.
        mamba_dt_init: start with step sizes between 0.001 and 0.1 as Mamba does; otherwise with the uniform
            bias of ``nn.Linear``, hence Δ near 0.7 and a very short memory.
    """

    def __init__(
        self,
        inner: int,
        rank: int,
        state: int = 16,
        conv_width: int = 4,
        own_state_matrix: bool = True,
        mamba_dt_init: bool = True,
    ) -> None:
        super().__init__()
        self.rank, self.state = rank, state
        self.conv = nn.Conv1d(inner, inner, conv_width, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        if mamba_dt_init:
            step = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(0.1))).clamp(min=1e-4)
            with torch.no_grad():  # softplus(bias) = step
                self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))
        if own_state_matrix:
            self.A_log = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def forward(
        self, u: Tensor, z: Tensor | None = None, A_log: Tensor | None = None, memory: Memory | None = None,
        height: int | None = None,
    ) -> Tensor:  # fmt: skip
        """u and z (B, L, E) -> (B, L, E).

        ``A_log`` (E, N) replaces the module's own. With ``memory`` the tokens continue those of the last call.
        The height of the map is for mixers that, other than a scan, look at it.
        """
        memory = memory or Memory()
        A_log = self.A_log if A_log is None else A_log
        A = -torch.exp(A_log.to(torch.promote_types(A_log.dtype, torch.float32)))
        tokens, past = u, memory.past
        u = ops.causal_conv1d(u, self.conv.weight.squeeze(1), self.conv.bias, "silu", initial_state=past)
        delta, B, C = self.x_proj(u).split([self.rank, self.state, self.state], dim=-1)
        delta = delta @ self.dt_proj.weight.t()  # (B, L, R) -> (B, L, E); the scan adds the bias
        scanned = ops.selective_scan(
            u, delta, A, B, C, self.D, z, delta_bias=self.dt_proj.bias, delta_softplus=True,
            return_last_state=True, initial_state=memory.state,
        )  # fmt: skip
        y, memory.state = cast(tuple[Tensor, Tensor], scanned)
        memory.past = self._last_tokens(tokens, past)
        return y

    def inner_weights(
        self, in_proj: nn.Linear, out_proj: nn.Linear, A_log: Tensor | None = None
    ) -> "MambaInnerWeights":
        """This SSM between two projections, for the fused kernels."""
        from mambadfuse.ops.cpu.mamba_inner import MambaInnerWeights

        A_log = self.A_log if A_log is None else A_log
        return MambaInnerWeights(
            in_proj=in_proj.weight, conv=self.conv.weight.squeeze(1), conv_bias=cast(Tensor, self.conv.bias),
            x_proj=self.x_proj.weight, dt_proj=self.dt_proj.weight, dt_bias=self.dt_proj.bias,
            A_log=A_log, D=self.D, out_proj=out_proj.weight,
        )  # fmt: skip

    def _last_tokens(self, tokens: Tensor, past: Tensor | None) -> Tensor:
        """The W - 1 tokens (B, W - 1, E) that the convolution of the next tile looks back to."""
        wanted = self.conv.kernel_size[0] - 1
        missing = max(0, wanted - tokens.shape[1])
        if past is None:
            past = tokens.new_zeros(tokens.shape[0], wanted, tokens.shape[2])
        return torch.cat([past[:, wanted - missing :], tokens[:, max(0, tokens.shape[1] - wanted) :]], dim=1)


class BidirectionalSSM(SelectiveSSM):
    """The same with both directions: y = (SSM(tokens) + SSM(tokens reversed), put in order again) / 2.

    Both directions share all weights, so that only what is seen differs from one scan, not the number of
    parameters. It is not causal: ``memory`` is not used.
    """

    def forward(
        self, u: Tensor, z: Tensor | None = None, A_log: Tensor | None = None, memory: Memory | None = None,
        height: int | None = None,
    ) -> Tensor:  # fmt: skip
        """u and z (B, L, E) -> (B, L, E)."""
        forth = super().forward(u, z, A_log)
        back = super().forward(u.flip(1), None if z is None else z.flip(1), A_log)
        return (forth + back.flip(1)) / 2


class GatedConv(nn.Module):
    """No scan at all: y = silu(conv(u)), times silu(z) if a gate is given; the conv is 7x7, a channel on its own.

    With it the Mamba unit is the gated CNN block of MambaOut (Yu and Wang 2024), which is Mamba without its SSM. Its
    50 parameters a channel stand for the W + 2 R + 3 N + 3 of the SSM, 63 in the published network. It is not causal.

    Args:
        inner: number of channels, E.
    """

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, inner, 7, padding=3, groups=inner)

    def forward(
        self, u: Tensor, z: Tensor | None = None, A_log: Tensor | None = None, memory: Memory | None = None,
        height: int | None = None,
    ) -> Tensor:  # fmt: skip
        """u and z (B, L, E) of a map of that height -> (B, L, E); A_log and memory belong to scans alone."""
        if height is None:
            raise ValueError("the mixer 'convolution' must be told the height of the map")
        y = F.silu(to_tokens(self.conv(to_map(u, height))))
        return y if z is None else y * F.silu(z)


def mixer_of(
    mixer: str, inner: int, rank: int, state: int = 16, conv_width: int = 4, own_state_matrix: bool = True,
    mamba_dt_init: bool = True,
) -> nn.Module:  # fmt: skip
    """What mixes the tokens of a Mamba unit: "scan", "two_scans" or "convolution"; the rest as for SelectiveSSM.

    Raises:
        ValueError: there is no such mixer.
    """
    if mixer == "convolution":
        return GatedConv(inner)
    if mixer not in ("scan", "two_scans"):
        raise ValueError(f"unknown mixer {mixer!r}: choose scan, two_scans or convolution")
    ssm = SelectiveSSM if mixer == "scan" else BidirectionalSSM
    return ssm(inner, rank, state, conv_width, own_state_matrix, mamba_dt_init)


class Mamba(nn.Module):
    """The Mamba unit: project up into stream and gate, selective SSM, project down. (B, L, C) -> (B, L, C).

    It has neither norm nor residual of its own; see :class:`MambaBlock`. ``mixer`` puts something else in the place of
    the SSM, for comparison: see :func:`mixer_of`.
    """

    def __init__(
        self, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, mixer: str = "scan"
    ) -> None:
        super().__init__()
        inner = expand * dim
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.ssm = mixer_of(mixer, inner, math.ceil(dim / 16), state, conv_width)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, memory: Memory | None = None, height: int | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        if (
            memory is None
            and type(self.ssm) is SelectiveSSM
            and ops.supports_mamba_inner(x)
            and not is_observed(self)
        ):
            from mambadfuse.ops.cpu.mamba_inner import mamba_inner

            return mamba_inner(x, self.inner_weights())
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (B, L, C) -> 2 x (B, L, E)
        return self.out_proj(self.ssm(u, z, memory=memory, height=height))  # (B, L, E) -> (B, L, C)

    def inner_weights(self) -> "MambaInnerWeights":
        """The whole unit, with a scan as its mixer, for the fused kernels."""
        return cast(SelectiveSSM, self.ssm).inner_weights(self.in_proj, self.out_proj)


class MambaBlock(nn.Module):
    """Pre-norm residual block with the sum left to the next one.

        r' = x + r;   x' = Mamba(LN(r'))

    It takes and returns the pair (branch x, running sum r): x' + r' is what an ordinary residual block would
    return. Whether a stage makes that last sum is its own decision (the published network does not).
    """

    def __init__(
        self, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, mixer: str = "scan"
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mamba = Mamba(dim, state, conv_width, expand, mixer)

    def forward(
        self, x: Tensor, residual: Tensor, memory: Memory | None = None, height: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Branch and running sum (B, L, C) -> the same of the next block."""
        residual = x + residual
        return self.mamba(self.norm(residual), memory, height), residual


class MambaStack(nn.Module):
    """``depth`` blocks one after the other: tokens (B, L, C) -> branch and running sum, each (B, L, C)."""

    def __init__(
        self, depth: int, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, mixer: str = "scan"
    ) -> None:
        super().__init__()
        self.causal = mixer == "scan"
        self.blocks = nn.ModuleList(MambaBlock(dim, state, conv_width, expand, mixer) for _ in range(depth))

    def forward(self, x: Tensor, height: int | None = None) -> tuple[Tensor, Tensor]:
        """(B, L, C) -> branch and running sum; the height of the map is needed by the mixer "convolution" alone."""
        if (
            not torch.is_grad_enabled()
            and self.causal
            and ops.supports_mamba_inner(x)
            and not is_observed(self.blocks)
        ):
            return self._stream(x)
        memories = [None if torch.is_grad_enabled() else Memory() for _ in self.blocks]

        def run(x: Tensor) -> tuple[Tensor, Tensor]:
            residual = torch.zeros_like(x)
            for block, memory in zip(self.blocks, memories, strict=True):
                x, residual = block(x, residual, memory, height)
            return x, residual

        branch, residual = in_tiles(run, x, causal=self.causal)
        return branch, residual

    def _stream(self, x: Tensor) -> tuple[Tensor, Tensor]:
        from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, run_pipeline

        x, residual = x.clone(memory_format=torch.contiguous_format), x.new_zeros(x.shape)
        blocks = cast(Iterable[MambaBlock], self.blocks)
        stages = [
            mamba_inner_stage(x, x, block.mamba.inner_weights(), block.norm, residual=residual)
            for block in blocks
        ]
        run_pipeline(stages, x.shape[1])
        return x, residual
