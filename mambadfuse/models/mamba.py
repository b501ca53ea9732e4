"""The Mamba unit and the blocks built from it (Gu and Dao 2023).

Letters: B batch, L length (tokens), C model width, E inner width (``expand`` x C), N state size, R rank of the
step-size projection, W width of the causal convolution.

==============  =====================  ===========================================
here            paper                  shape
==============  =====================  ===========================================
``u``           x, silu(conv(x))       (B, L, E)
``z``           gate                   (B, L, E)
``delta``       Δ before softplus      (B, L, E)
``A_log``       log(-A)                (E, N)
``D``           D (skip)               (E,)
==============  =====================  ===========================================
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mambadfuse import ops
from mambadfuse.components import is_component, named_component
from mambadfuse.models import execution
from mambadfuse.models.config import MambaConfig
from mambadfuse.models.scan_order import is_causal, scan_direction


def to_tokens(x: Tensor) -> Tensor:
    """Read a map row by row: (B, C, H, W) -> (B, H W, C)."""
    return rearrange(x, "b c h w -> b (h w) c")


def to_map(tokens: Tensor, height: int) -> Tensor:
    """Lay tokens out in rows again: (B, H W, C) -> (B, C, H, W)."""
    return rearrange(tokens, "b (h w) c -> b c h w", h=height)


@dataclass
class MambaCache:
    """What a selective SSM carries over from one piece of a sequence to the next.

    None stands for zeros, as before the first token.
    """

    conv_state: Tensor | None = None
    """The last W - 1 tokens before the convolution, (B, W - 1, E)."""
    ssm_state: Tensor | None = None
    """The last state of the scan, (B, E, N)."""


Caches = dict[nn.Module, MambaCache]
"""One cache for each SSM of a network; empty before the first piece of a sequence."""


@execution.fusable
class SelectiveSSM(nn.Module):
    """Causal convolution, then the selective scan with parameters computed from each token, then the gate.

        u  = silu(conv(u))
        Δ_raw, B, C = x_proj(u);   Δ = softplus(dt_proj(Δ_raw));   A = -exp(A_log)
        y  = scan(u, Δ, A, B, C) + D u,   times silu(z) if a gate is given

    Args:
        config: the sizes E, R, N and W.
        own_state_matrix: if False, the module has no A_log and ``forward`` must be given one.
        dt_init: "mamba" starts with step sizes between 0.001 and 0.1, as Mamba does; "uniform" with the uniform bias
            of ``nn.Linear``, hence Δ near 0.7 and a very short memory.
    """

    causal = True

    def __init__(self, config: MambaConfig, own_state_matrix: bool = True, dt_init: str = "mamba") -> None:
        super().__init__()
        inner, rank, state = config.inner, config.rank, config.state
        self.rank, self.state = rank, state
        self.conv = nn.Conv1d(inner, inner, config.conv_width, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        if dt_init == "mamba":
            step = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(0.1))).clamp(min=1e-4)
            with torch.no_grad():  # softplus(bias) = step
                self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))
        if own_state_matrix:
            self.A_log = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def forward(
        self,
        u: Tensor,
        z: Tensor | None = None,
        A_log: Tensor | None = None,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> Tensor:
        """u and z (B, L, E) -> (B, L, E).

        Args:
            u: the tokens.
            z: the gate of each.
            A_log: replaces the module's own, (E, N).
            caches: if given, the tokens continue those of the last call with the same caches.
            height: of the map; ignored, since a scan does not need it.
        """
        cache = MambaCache() if caches is None else caches.setdefault(self, MambaCache())
        A_log = self.A_log if A_log is None else A_log
        A = -torch.exp(A_log.to(torch.promote_types(A_log.dtype, torch.float32)))
        y, last_state = self.mix(u, z, A, cache.conv_state, cache.ssm_state)
        cache.conv_state, cache.ssm_state = self._last_tokens(u, cache.conv_state), last_state
        return y

    @execution.in_one_operation
    def mix(
        self, u: Tensor, z: Tensor | None, A: Tensor, conv_state: Tensor | None, ssm_state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """u and z (B, L, E) -> y (B, L, E) and the last state (B, E, N); the states as in :class:`MambaCache`."""
        u = ops.causal_conv1d(
            u, self.conv.weight.squeeze(1), self.conv.bias, "silu", initial_state=conv_state
        )
        delta, B, C = self.x_proj(u).split([self.rank, self.state, self.state], dim=-1)
        delta = delta @ self.dt_proj.weight.t()  # (B, L, R) -> (B, L, E); the scan adds the bias
        found = ops.selective_scan(
            u,
            delta,
            A,
            B,
            C,
            self.D,
            z,
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
            return_last_state=True,
            initial_state=ssm_state,
        )
        return cast(tuple[Tensor, Tensor], found)

    def _last_tokens(self, tokens: Tensor, before: Tensor | None) -> Tensor:
        """The W - 1 tokens (B, W - 1, E) that the convolution of the next piece looks back to."""
        wanted = self.conv.weight.shape[-1] - 1
        missing = max(0, wanted - tokens.shape[1])
        if before is None:
            before = tokens.new_zeros(tokens.shape[0], wanted, tokens.shape[2])
        return torch.cat(
            [before[:, wanted - missing :], tokens[:, max(0, tokens.shape[1] - wanted) :]], dim=1
        )


class BidirectionalSSM(SelectiveSSM):
    """Both directions of one SSM: y = (SSM(tokens) + flip(SSM(flip(tokens)))) / 2.

    The directions share all weights, so it differs from one scan in what each token sees, not in the number of
    parameters. It is not causal and keeps no cache.
    """

    causal = False

    def forward(
        self,
        u: Tensor,
        z: Tensor | None = None,
        A_log: Tensor | None = None,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> Tensor:
        """u and z (B, L, E) -> (B, L, E)."""
        forwards = super().forward(u, z, A_log)
        backwards = super().forward(u.flip(1), None if z is None else z.flip(1), A_log)
        return (forwards + backwards.flip(1)) / 2


class GatedConv(nn.Module):
    """No scan at all: y = silu(conv(u)), times silu(z) if a gate is given, with a depthwise 7x7 convolution.

    With it the Mamba unit is the gated CNN block of MambaOut (Yu and Wang 2024), which is Mamba without its SSM. It
    has 50 parameters per channel in place of the W + 2 R + 3 N + 3 of the SSM, 63 in the published network. It is not
    causal.
    """

    causal = False

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(config.inner, config.inner, 7, padding=3, groups=config.inner)

    def forward(
        self,
        u: Tensor,
        z: Tensor | None = None,
        A_log: Tensor | None = None,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> Tensor:
        """u and z (B, L, E) of a map of that height -> (B, L, E); A_log and caches are ignored.

        Raises:
            ValueError: the height is missing.
        """
        if height is None:
            raise ValueError("the mixer 'convolution' needs the height of the map")
        y = F.silu(to_tokens(self.conv(to_map(u, height))))
        return y if z is None else y * F.silu(z)


class OwnMixer(nn.Module):
    """A mixer of your own, ``module:Class``: y = mixer(u), times silu(z) if a gate is given.

    The class, a ``torch.nn.Module``, is built with the configuration. It is called with tokens (B, L, E) and with the
    ``height`` of the map by name; if its attribute ``causal`` is True, with ``caches`` by name, too, as
    :class:`SelectiveSSM`.

    Raises:
        ValueError: there is no such class, or it returns something else than a tensor of the shape it was given.
    """

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.name = config.mixer
        self.own = named_component(config.mixer, nn.Module)(config)
        self.causal = is_causal(config)

    def forward(
        self,
        u: Tensor,
        z: Tensor | None = None,
        A_log: Tensor | None = None,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> Tensor:
        """u and z (B, L, E) -> (B, L, E); A_log is ignored."""
        options = {"caches": caches} if self.causal else {}
        y: Tensor = self.own(u, height=height, **options)
        require_tokens(self.name, y, u)
        return y if z is None else y * F.silu(z)


def require_tokens(name: str, found: object, given: Tensor) -> None:
    """Refuse what a component of that name has returned if it is no tensor of the shape it was given.

    Raises:
        ValueError: it is none; the message names the component.
    """
    if not isinstance(found, Tensor) or found.shape != given.shape:
        shown = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"{name}: expected tokens {tuple(given.shape)}, as it was given, found {shown}")


def build_mixer(config: MambaConfig, own_state_matrix: bool = True, dt_init: str = "mamba") -> nn.Module:
    """What mixes the tokens of a Mamba unit, as ``config.mixer`` says; the rest as for :class:`SelectiveSSM`."""
    if is_component(config.mixer):
        return OwnMixer(config)
    if config.mixer == "convolution":
        return GatedConv(config)
    ssm = SelectiveSSM if config.mixer == "scan" else BidirectionalSSM
    return ssm(config, own_state_matrix, dt_init)


@execution.fusable
class Mamba(nn.Module):
    """The Mamba unit: project up, selective SSM and gate, project down. (B, L, C) -> (B, L, C).

    It has neither norm nor residual of its own; see :class:`MambaBlock`. Other values of
    ``config.mixer`` replace the SSM, for comparison. The tokens of a map come and go in raster order; in between they
    stand in the order in which the scan reads them (:mod:`mambadfuse.models.scan_order`).

    Args:
        config: the sizes, the mixer and the order of the scans.
        index: place of its block in the depth of the network, from 0, on which the direction of the scan depends.

    >>> Mamba(MambaConfig(dim=8))(torch.zeros(1, 12, 8)).shape
    torch.Size([1, 12, 8])
    """

    def __init__(self, config: MambaConfig, index: int = 0) -> None:
        super().__init__()
        self.direction = scan_direction(config, index)
        self.in_proj = nn.Linear(config.dim, 2 * config.inner, bias=False)
        self.ssm = build_mixer(config)
        self.out_proj = nn.Linear(config.inner, config.dim, bias=False)

    @execution.carried_out(fused=execution.mamba, in_scan_order=True)
    def forward(self, x: Tensor, *, caches: Caches | None = None, height: int | None = None) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (B, L, C) -> 2 x (B, L, E)
        return self.out_proj(self.ssm(u, z, caches=caches, height=height))  # (B, L, E) -> (B, L, C)


@execution.fusable
class MambaBlock(nn.Module):
    """Pre-norm residual block that leaves the sum to the next one.

        r' = x + r;   x' = Mamba(LN(r'))

    It takes and returns the pair (branch x, running sum r): x' + r' is what an ordinary residual block would
    return. Whether that last sum is made is up to the stage (in the published network it is not). ``index`` is the
    place of the block in the depth of the network.
    """

    def __init__(self, config: MambaConfig, index: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.mamba = Mamba(config, index)

    def forward(
        self, x: Tensor, residual: Tensor, *, caches: Caches | None = None, height: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Branch and running sum (B, L, C) -> the same of the next block."""
        residual = x + residual
        return self.mamba(self.norm(residual), caches=caches, height=height), residual


@execution.fusable
class MambaStack(nn.Module):
    """``depth`` blocks in sequence: tokens (B, L, C) -> branch and running sum, each (B, L, C).

    ``first`` is the place of its first block in the depth of the network.
    """

    def __init__(self, config: MambaConfig, depth: int, first: int = 0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MambaBlock(config, first + k) for k in range(depth))

    @execution.carried_out(without_gradient=execution.mamba_stack)
    def forward(
        self, x: Tensor, *, caches: Caches | None = None, height: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, L, C) -> branch and running sum.

        Only the mixer "convolution", your own, and directions other than "right" and "left" need the height.
        """
        residual = torch.zeros_like(x)
        for block in self.blocks:
            x, residual = block(x, residual, caches=caches, height=height)
        return x, residual
