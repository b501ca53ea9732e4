"""Deep fusion by the Multi-modal Mamba block, M3 (MambaDFuse, the section on deep fusion).

Three selective scans side by side: one over the fused features, one over each modality; their gated sum is the
new fused features. The modalities stay as they are through all blocks and guide each of them.

Letters: B batch, L length (tokens), C model width, E inner width, H and W height and width.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.components import is_component, named_component
from mambadfuse.models import execution
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mamba import Caches, build_mixer, require_tokens, to_map, to_tokens
from mambadfuse.models.scan_order import scan_direction


def _has_own_gates(block: "M3Block") -> bool:
    return block.gate == "own"


@execution.fusable
class M3Block(nn.Module):
    """One M3 block.

        r' = f + r
        y  = SSM_f(LN(r')) + SSM_a(LN(a)) + SSM_b(LN(b)),   each times silu(its gate)
        f' = conv(out_proj(y)) + out_proj(y)

    where LN is applied ``norm_passes`` times with the same parameters.
    It takes and returns the fused features as the pair (branch f, running sum r), (B, L, C) each; the guides a
    and b, (B, L, C), are only read. All three scans read the map in the same direction, which depends on ``index``, the
    place of the block in the depth of the network.

    Fields of the configuration:

    * ``gate``: "own" gives each branch the gate of its own projection (published code); "shared" multiplies the
      sum by the one gate of the fused branch, and a and b have no gate of their own (figure).
    * ``norm_passes``: how many times in a row each norm is applied (published code: 2, figure: 1).
    * ``state_matrix``: "shared" lets the branches of a and b use one matrix A, "own" gives each its own.
    * ``deep_conv``: the depthwise 3x3 convolution with skip after out_proj (published code; not in the figure).
    * ``guide_dt_init``: "uniform" starts the guides' step sizes near 0.7 (published code), "mamba" in
      0.001..0.1 like every other scan of the network.
    """

    def __init__(self, config: MambaDFuseConfig, index: int = 0) -> None:
        super().__init__()
        self.direction = scan_direction(config, index)
        dim, inner = config.dim, config.inner
        self.gate, self.norm_passes = config.gate, config.norm_passes
        self.shares_state_matrix = config.state_matrix == "shared" and config.mixer in (
            "scan",
            "bidirectional",
        )
        guide_width = 2 * inner if self.gate == "own" else inner
        self.norm_fused, self.norm_a, self.norm_b = (nn.LayerNorm(dim) for _ in range(3))
        self.in_proj_fused = nn.Linear(dim, 2 * inner, bias=False)
        self.in_proj_a = nn.Linear(dim, guide_width, bias=False)
        self.in_proj_b = nn.Linear(dim, guide_width, bias=False)
        self.ssm_fused = build_mixer(config)
        self.ssm_a = build_mixer(config, config.state_matrix == "own", config.guide_dt_init)
        self.ssm_b = build_mixer(config, True, config.guide_dt_init)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim) if config.deep_conv else None

    def forward(
        self, f: Tensor, residual: Tensor, a: Tensor, b: Tensor, height: int
    ) -> tuple[Tensor, Tensor]:
        """Branch, running sum, guides a and b, (B, L, C) each -> branch and running sum of the next block."""
        f, residual = self.mix(f, residual, a, b, height=height)
        if self.conv is None:
            return f, residual
        image = to_map(f, height)  # (B, L, C) -> (B, C, H, W)
        return to_tokens(self.conv(image) + image), residual

    @execution.carried_out(without_gradient=execution.m3_mix, when=_has_own_gates)
    def mix(
        self,
        f: Tensor,
        residual: Tensor,
        a: Tensor,
        b: Tensor,
        *,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sum and norms, then the branches: f, r, a and b (B, L, C) -> out_proj(y) and r', (B, L, C) each."""
        residual = f + residual
        f, a, b = (
            self._norm(self.norm_fused, residual),
            self._norm(self.norm_a, a),
            self._norm(self.norm_b, b),
        )
        return self.branches(f, a, b, caches=caches, height=height), residual

    def _norm(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        for _ in range(self.norm_passes):
            x = norm(x)
        return x

    @execution.carried_out(fused=execution.m3_branches, when=_has_own_gates, in_scan_order=True)
    def branches(
        self,
        f: Tensor,
        a: Tensor,
        b: Tensor,
        *,
        caches: Caches | None = None,
        height: int | None = None,
    ) -> Tensor:
        """The gated sum of the three scans: normalised f, a and b (B, L, C) -> out_proj(y), (B, L, C)."""
        A_log_a = self.ssm_b.A_log if self.shares_state_matrix else None
        u_f, z_f = self.in_proj_fused(f).chunk(2, dim=-1)  # (B, L, C) -> 2 x (B, L, E)
        if self.gate == "own":
            u_a, z_a = self.in_proj_a(a).chunk(2, dim=-1)
            u_b, z_b = self.in_proj_b(b).chunk(2, dim=-1)
            y_f = self.ssm_fused(u_f, z_f, None, caches, height)
            y_a = self.ssm_a(u_a, z_a, A_log_a, caches, height)
            y_b = self.ssm_b(u_b, z_b, None, caches, height)
            return self.out_proj(y_f + y_a + y_b)  # (B, L, E) -> (B, L, C)
        y_f = self.ssm_fused(u_f, None, None, caches, height)
        y_a = self.ssm_a(self.in_proj_a(a), None, A_log_a, caches, height)
        y_b = self.ssm_b(self.in_proj_b(b), None, None, caches, height)
        return self.out_proj((y_f + y_a + y_b) * F.silu(z_f))


class OwnFusionBlock(nn.Module):
    """A fusion block of your own, ``module:Class``, as a residual block.

        r' = f + r;   f' = block(r', a, b)

    The class, a ``torch.nn.Module``, is built with the configuration and called with r', a and b (B, L, C) and with
    the ``height`` of the map by name.

    Raises:
        ValueError: there is no such class, or it returns something else than a tensor (B, L, C).
    """

    def __init__(self, config: MambaDFuseConfig) -> None:
        super().__init__()
        self.name = config.fusion_block
        self.own = named_component(config.fusion_block, nn.Module)(config)

    def forward(
        self, f: Tensor, residual: Tensor, a: Tensor, b: Tensor, height: int
    ) -> tuple[Tensor, Tensor]:
        """Branch, running sum, guides a and b, (B, L, C) each -> branch and running sum of the next block."""
        residual = f + residual
        fused = self.own(residual, a, b, height=height)
        require_tokens(self.name, fused, f)
        return fused, residual


def build_fusion_block(config: MambaDFuseConfig, index: int = 0) -> nn.Module:
    """The block that ``config.fusion_block`` names; ``index`` as for :class:`M3Block`."""
    return OwnFusionBlock(config) if is_component(config.fusion_block) else M3Block(config, index)


class DeepFusion(nn.Module):
    """``config.deep_depth`` blocks: fused features, guides (B, L, C) and the height H -> fused features (B, L, C).

    With ``config.stage_residual`` "added" the last running sum is added to the last branch (figure); the published
    network drops it.
    """

    def __init__(self, config: MambaDFuseConfig) -> None:
        super().__init__()
        self.add_residual = config.stage_residual == "added"
        first = config.extraction_depth + config.exchange_depth
        self.blocks = nn.ModuleList(build_fusion_block(config, first + k) for k in range(config.deep_depth))

    def forward(self, f: Tensor, a: Tensor, b: Tensor, height: int) -> Tensor:
        """(B, L, C) each -> (B, L, C)."""
        residual = f.new_zeros(f.shape)
        for block in self.blocks:
            f, residual = block(f, residual, a, b, height)
        return f + residual if self.add_residual else f
