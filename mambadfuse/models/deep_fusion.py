"""Deep fusion by the Multi-modal Mamba block, M3 (MambaDFuse, the part on deep fusion).

Three selective scans side by side: one over the fused stream, one over each modality; their gated sum is the new
fused stream. The modalities themselves stay as they are through all blocks and guide each of them.

Letters: B batch, L length (tokens), C model width, E inner width, H height.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse import ops
from mambadfuse.models.mamba import Memory, SelectiveSSM, in_tiles, is_observed, mixer_of, to_map, to_tokens

if TYPE_CHECKING:
    from mambadfuse.ops.cpu.mamba_inner import MambaInnerWeights


class M3Block(nn.Module):
    """One M3 block.

        r' = f + r
        y  = SSM_f(LN(r')) + SSM_a(LN(a)) + SSM_b(LN(b)),   each times silu(its gate)
        f' = conv(out_proj(y)) + out_proj(y)

    where LN is applied ``norm_passes`` times with the same parameters.
    It takes and returns the fused stream as the pair (branch f, running sum r), (B, L, C) each; the guides a
    and b, (B, L, C), are only read.

    Args:
        gate: "own" gives each branch the gate of its own projection (published code); "shared" multiplies the
            sum by the one gate of the fused branch, and a and b are projected to the stream alone (figure).
        norm_passes: how many times in a row each norm is applied (published code: 2, figure: 1).
        state_matrix: "shared" lets the branches of a and b use one matrix A, "own" gives each its own.
        conv: the depthwise 3x3 convolution with skip after out_proj (published code; not in the figure).
        guide_dt_init: "uniform" starts the guides' step sizes near 0.7 (published code), "mamba" in
            0.001..0.1 like every other scan of the network.
        mixer: what takes the place of the three scans, see :func:`mambadfuse.models.mamba.mixer_of`.
    """

    def __init__(
        self, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, gate: str = "own",
        norm_passes: int = 2, state_matrix: str = "shared", conv: bool = True, guide_dt_init: str = "uniform",
        mixer: str = "scan",
    ) -> None:  # fmt: skip
        super().__init__()
        self.gate, self.norm_passes, self.causal = gate, norm_passes, mixer == "scan"
        self.shares_state_matrix = state_matrix == "shared" and mixer != "convolution"
        inner, rank = expand * dim, math.ceil(dim / 16)
        guide_width = 2 * inner if gate == "own" else inner
        self.norm_fused, self.norm_a, self.norm_b = (nn.LayerNorm(dim) for _ in range(3))
        self.in_proj_fused = nn.Linear(dim, 2 * inner, bias=False)
        self.in_proj_a = nn.Linear(dim, guide_width, bias=False)
        self.in_proj_b = nn.Linear(dim, guide_width, bias=False)
        mamba_dt_init = guide_dt_init == "mamba"
        self.ssm_fused = mixer_of(mixer, inner, rank, state, conv_width)
        self.ssm_a = mixer_of(mixer, inner, rank, state, conv_width, state_matrix == "own", mamba_dt_init)
        self.ssm_b = mixer_of(mixer, inner, rank, state, conv_width, True, mamba_dt_init)
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim) if conv else None

    def forward(
        self, f: Tensor, residual: Tensor, a: Tensor, b: Tensor, height: int
    ) -> tuple[Tensor, Tensor]:
        """Branch, running sum, guides a and b, (B, L, C) each -> branch and running sum of the next block."""
        memories, fused = (Memory(), Memory(), Memory()), torch.is_grad_enabled() and self.fuses(f)

        def run(f: Tensor, residual: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            residual = f + residual
            normed = (
                self._norm(self.norm_fused, residual),
                self._norm(self.norm_a, a),
                self._norm(self.norm_b, b),
            )
            if fused:
                from mambadfuse.ops.cpu.mamba_inner import mamba_inner

                f, a, b = map(mamba_inner, normed, self._inner_weights())
                return f + a + b, residual
            return self.out_proj(self._mix(*normed, *memories, height)), residual  # (B, L, E) -> (B, L, C)

        f, residual = in_tiles(run, f, residual, a, b, causal=self.causal)
        return self._smooth(f, height), residual

    def _smooth(self, f: Tensor, height: int) -> Tensor:
        """The convolution with skip, if the block has one: (B, L, C) -> (B, L, C)."""
        if self.conv is None:
            return f
        image = to_map(f, height)  # (B, L, C) -> (B, C, H, W)
        return to_tokens(self.conv(image) + image)

    def fuses(self, f: Tensor) -> bool:
        """Whether the fused kernels may stand for the three paths: for scans, each with a gate of its own."""
        return self.causal and self.gate == "own" and ops.supports_mamba_inner(f) and not is_observed(self)

    def _inner_weights(self) -> "tuple[MambaInnerWeights, MambaInnerWeights, MambaInnerWeights]":
        """The paths of f, a and b, each with its projection down, for the fused kernels."""
        f, a, b = (cast(SelectiveSSM, ssm) for ssm in (self.ssm_fused, self.ssm_a, self.ssm_b))
        A_log_a = b.A_log if self.shares_state_matrix else None
        return (
            f.inner_weights(self.in_proj_fused, self.out_proj),
            a.inner_weights(self.in_proj_a, self.out_proj, A_log_a),
            b.inner_weights(self.in_proj_b, self.out_proj),
        )

    def stream(self, f: Tensor, residual: Tensor, a: Tensor, b: Tensor, height: int) -> Tensor:
        """As ``forward``, by :mod:`mambadfuse.ops.cpu.pipeline`; residual becomes the new running sum."""
        from mambadfuse.ops.cpu.pipeline import mamba_inner_stage, run_pipeline

        weights_f, weights_a, weights_b = self._inner_weights()
        f, a, b, out = f.contiguous(), a.contiguous(), b.contiguous(), f.new_empty(f.shape)
        stages = [
            mamba_inner_stage(f, out, weights_f, self.norm_fused, self.norm_passes, residual),
            mamba_inner_stage(a, out, weights_a, self.norm_a, self.norm_passes, accumulate=True),
            mamba_inner_stage(b, out, weights_b, self.norm_b, self.norm_passes, accumulate=True),
        ]
        run_pipeline(stages, f.shape[1])
        return self._smooth(out, height)

    def _norm(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        for _ in range(self.norm_passes):
            x = norm(x)
        return x

    def _mix(
        self, f: Tensor, a: Tensor, b: Tensor, memory_f: Memory, memory_a: Memory, memory_b: Memory,
        height: int,
    ) -> Tensor:  # fmt: skip
        """Normalised tokens (B, L, C) x 3 -> gated sum of the three scans (B, L, E)."""
        A_log_a = self.ssm_b.A_log if self.shares_state_matrix else None
        u_f, z_f = self.in_proj_fused(f).chunk(2, dim=-1)
        if self.gate == "own":
            u_a, z_a = self.in_proj_a(a).chunk(2, dim=-1)
            u_b, z_b = self.in_proj_b(b).chunk(2, dim=-1)
            y_f = self.ssm_fused(u_f, z_f, None, memory_f, height)
            return (
                y_f
                + self.ssm_a(u_a, z_a, A_log_a, memory_a, height)
                + self.ssm_b(u_b, z_b, None, memory_b, height)
            )
        y_f = self.ssm_fused(u_f, None, None, memory_f, height)
        y_a = self.ssm_a(self.in_proj_a(a), None, A_log_a, memory_a, height)
        y_b = self.ssm_b(self.in_proj_b(b), None, None, memory_b, height)
        return (y_f + y_a + y_b) * F.silu(z_f)


class DeepFusion(nn.Module):
    """``depth`` M3 blocks; fused stream and guides (B, L, C) and the height H -> fused stream (B, L, C).

    With ``add_residual`` the last running sum is added to the last branch (figure); the published network
    drops it.
    """

    def __init__(
        self, depth: int, dim: int, state: int = 16, conv_width: int = 4, expand: int = 2, gate: str = "own",
        norm_passes: int = 2, state_matrix: str = "shared", conv: bool = True, guide_dt_init: str = "uniform",
        mixer: str = "scan", add_residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.add_residual = add_residual
        self.blocks = nn.ModuleList(
            M3Block(
                dim, state, conv_width, expand, gate, norm_passes, state_matrix, conv, guide_dt_init, mixer
            )
            for _ in range(depth)
        )

    def forward(self, f: Tensor, a: Tensor, b: Tensor, height: int) -> Tensor:
        """(B, L, C) each -> (B, L, C)."""
        residual = f.new_zeros(f.shape)
        for block in cast(Iterable[M3Block], self.blocks):
            if not torch.is_grad_enabled() and block.fuses(f):
                f = block.stream(f, residual, a, b, height)
            else:
                f, residual = block(f, residual, a, b, height)
        return f + residual if self.add_residual else f
