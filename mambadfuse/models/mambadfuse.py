"""The whole network and the one object that describes it.

Letters: B batch, H and W height and width, L = H W tokens, C model width.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from torch import Tensor, nn

from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.models.deep_fusion import DeepFusion
from mambadfuse.models.extraction import LowLevelExtraction
from mambadfuse.models.mamba import MambaStack, to_tokens
from mambadfuse.models.reconstruction import Reconstruction
from mambadfuse.models.shallow_fusion import ShallowFusion


@dataclass(frozen=True)
class MambaDFuseConfig:
    """Sizes of the network, and one named field for each point in which the published code and figures differ.

    Every field can be set on its own; three presets fix them all: :meth:`published`, :meth:`figure`,
    :meth:`lite`. The default is the published network with the residual sums of its stages kept.

    Raises:
        ValueError: a value outside the allowed ones; the message names the field.
        TypeError: an unknown field name.
    """

    dim: int = 60
    """Model width C; a multiple of 4."""
    state: int = 16
    """State size N of every scan."""
    conv_width: int = 4
    """Width of the causal convolution before every scan."""
    expand: int = 2
    """Inner width of a Mamba unit in multiples of C."""
    extraction_depth: int = 8
    """Mamba blocks per modality in the high-level extraction."""
    exchange_depth: int = 2
    """Channel-exchange blocks."""
    deep_depth: int = 5
    """M3 blocks."""
    reconstruction_depth: int = 8
    """Mamba blocks in the reconstruction."""

    exchange_period: int = 2
    """Every how many channels one is exchanged; 0 exchanges none."""
    exchange_residual: bool = True
    """Residual sum and norm before each exchange (code), or neither (figure)."""
    shallow_conv_inputs: Literal["both", "own"] = "both"
    """The convolution after the exchange reads both streams (code) or only its own (figure)."""
    shallow_order: Literal["sequential", "parallel"] = "sequential"
    """The second stream sees the already updated first one (code), or both see the old ones."""
    deep_norm: bool = True
    """The shared token norm also in front of the deep phase (code; not drawn in the figure)."""
    gate: Literal["own", "shared"] = "own"
    """M3: a gate per branch (code), or the fused branch's gate for all three (figure)."""
    norm_passes: Literal[1, 2] = 2
    """M3: each norm applied twice with the same parameters (code) or once (figure)."""
    state_matrix: Literal["shared", "own"] = "shared"
    """M3: the branches of the two modalities share A (code) or each has its own (figure)."""
    deep_conv: bool = True
    """M3: depthwise 3x3 convolution with skip at the end (code; not in the figure)."""
    guide_dt_init: Literal["uniform", "mamba"] = "uniform"
    """M3: initial step sizes of the modalities' branches: near 0.7 (code) or Mamba's 0.001 to 0.1."""
    stage_residual: Literal["dropped", "added"] = "added"
    """Running sum after the last block of exchange, deep fusion and reconstruction: dropped (code) or added."""

    mixer: Literal["scan", "two_scans", "convolution"] = "scan"
    """What mixes the tokens of every Mamba unit and M3 block: one scan (code and figure); the mean of two scans, one
    of them backwards, with the same weights; or a gated 7x7 depthwise convolution, which makes the network a CNN."""

    contrast: float = 1.0
    """Of finished pictures, about their mean (:mod:`mambadfuse.fusion.postprocess`); the network does not apply it."""

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(field.type)
            if allowed and value not in allowed:
                raise ValueError(f"{field.name} must be one of {allowed}, found {value!r}")
            if field.type is int and (not isinstance(value, int) or isinstance(value, bool)):
                raise ValueError(f"{field.name} must be a whole number, found {value!r}")
            if field.type is bool and not isinstance(value, bool):
                raise ValueError(f"{field.name} must be True or False, found {value!r}")
            if field.type is int and value < (0 if field.name.endswith(("depth", "period")) else 1):
                raise ValueError(f"{field.name} is too small: {value}")
        check_contrast(self.contrast)
        if self.dim % 4:
            raise ValueError(f"dim must be a multiple of 4, found {self.dim}")

    @classmethod
    def published(cls) -> Self:
        """The network that the authors' code computes, 1,347,271 parameters."""
        return cls(stage_residual="dropped")

    @classmethod
    def figure(cls) -> Self:
        """The network that the paper's figures draw."""
        return cls(
            exchange_residual=False, shallow_conv_inputs="own", shallow_order="parallel", deep_norm=False,
            gate="shared", norm_passes=1, state_matrix="own", deep_conv=False, guide_dt_init="mamba",
        )  # fmt: skip

    @classmethod
    def lite(cls) -> Self:
        """The default arithmetic at a size for lessons: C = 32, depths 3, 2, 2, 3."""
        return cls(dim=32, extraction_depth=3, exchange_depth=2, deep_depth=2, reconstruction_depth=3)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as written into a checkpoint."""
        return asdict(self)


class MambaDFuse(nn.Module):
    """Dual-phase fusion of two registered grey images (MambaDFuse, arXiv 2404.08406).

    low level (shared CNN) -> high level (a Mamba stack each) -> shallow fusion (channel exchange)
    -> deep fusion (M3) -> reconstruction. One layer norm, ``token_norm``, is used six times in a forward pass:
    on both modalities after the low level, on all three streams before the deep phase (if ``deep_norm``), and
    before the reconstruction.

    ``model(a, b)``: a the infrared or MRI image, b the visible, CT, PET or SPECT image (its luma if it has
    colour), both (B, 1, H, W) with values in [0, 1] and any H, W >= 1. Returns (B, 1, H, W), not clamped.
    The two sides are not interchangeable: the published order of the shallow convolutions treats them differently.

    Raises:
        ValueError: the inputs are not two equal (B, 1, H, W).
    """

    def __init__(self, config: MambaDFuseConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or MambaDFuseConfig()
        mamba = {n: getattr(c, n) for n in ("dim", "state", "conv_width", "expand", "mixer")}
        add_residual = c.stage_residual == "added"
        self.low_level = LowLevelExtraction(c.dim)
        self.token_norm = nn.LayerNorm(c.dim)
        self.high_level_a = MambaStack(c.extraction_depth, **mamba)
        self.high_level_b = MambaStack(c.extraction_depth, **mamba)
        self.shallow = ShallowFusion(
            c.exchange_depth, **mamba, period=c.exchange_period, exchange_residual=c.exchange_residual,
            conv_inputs=c.shallow_conv_inputs, order=c.shallow_order, add_residual=add_residual,
        )  # fmt: skip
        self.deep = DeepFusion(
            c.deep_depth, **mamba, gate=c.gate, norm_passes=c.norm_passes, state_matrix=c.state_matrix,
            conv=c.deep_conv, guide_dt_init=c.guide_dt_init, add_residual=add_residual,
        )  # fmt: skip
        self.reconstruction = Reconstruction(c.reconstruction_depth, **mamba, add_residual=add_residual)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        if a.ndim != 4 or a.shape[1] != 1 or a.numel() == 0 or a.shape != b.shape:
            raise ValueError(
                f"a and b must both have shape (B, 1, H, W), found {tuple(a.shape)} and {tuple(b.shape)}"
            )
        height = a.shape[2]
        a, sum_a = self.high_level_a(self._tokens(self.low_level(a)), height)  # (B, 1, H, W) -> 2 x (B, L, C)
        b, sum_b = self.high_level_b(self._tokens(self.low_level(b)), height)
        a, b, f = self.shallow(a, sum_a, b, sum_b, height)  # 4 x (B, L, C) -> 3 x (B, C, H, W)
        if self.config.deep_norm:
            a, b, f = self._tokens(a), self._tokens(b), self._tokens(f)  # (B, C, H, W) -> (B, L, C)
        else:
            a, b, f = to_tokens(a), to_tokens(b), to_tokens(f)
        f = self.deep(f, a, b, height)  # (B, L, C)
        return self.reconstruction(self.token_norm(f), height)  # (B, L, C) -> (B, 1, H, W)

    def _tokens(self, features: Tensor) -> Tensor:
        return self.token_norm(to_tokens(features))

    @property
    def contrast(self) -> float:
        """That of its configuration: :func:`mambadfuse.fuse` gives it to the finished picture."""
        return self.config.contrast

    def parameter_count(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters())
