"""The whole network.

Letters: B batch, H and W height and width, L = H W tokens, C model width.
"""

from torch import Tensor, nn

from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.deep_fusion import DeepFusion
from mambadfuse.models.extraction import LowLevelExtraction
from mambadfuse.models.mamba import MambaStack, to_tokens
from mambadfuse.models.pretrained import Pretrained
from mambadfuse.models.reconstruction import Reconstruction
from mambadfuse.models.shallow_fusion import ShallowFusion


class MambaDFuse(nn.Module, Pretrained):
    """Dual-phase fusion of two registered grey images (MambaDFuse, arXiv 2404.08406).

    low level (shared CNN) -> high level (a Mamba stack each) -> shallow fusion (channel exchange)
    -> deep fusion (M3) -> reconstruction. One layer norm, ``token_norm``, is used six times in a forward pass:
    on both modalities after the low level, on all three inputs of the deep phase (if ``deep_norm``), and
    before the reconstruction.

    ``model(a, b)``: a the infrared or MRI image, b the visible, CT, PET or SPECT image (its luma if it has
    colour), both (B, 1, H, W) with values in [0, 1] and any H, W >= 1. Returns (B, 1, H, W), not clamped.
    The two sides are not interchangeable: the published order of the shallow convolutions treats them differently.

    ``contrast`` is not part of the network: it is kept with the weights for :func:`mambadfuse.fuse`, which raises the
    contrast of the fused image by that factor (:mod:`mambadfuse.fusion.postprocess`).

    >>> import torch
    >>> a, b = torch.rand(2, 1, 1, 32, 48)
    >>> MambaDFuse(MambaDFuseConfig.lite())(a, b).shape
    torch.Size([1, 1, 32, 48])

    Raises:
        ValueError: the inputs are not both (B, 1, H, W), of the same size.
    """

    config: MambaDFuseConfig

    def __init__(self, config: MambaDFuseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MambaDFuseConfig()
        self.contrast = 1.0
        self.low_level = LowLevelExtraction(config)
        self.token_norm = nn.LayerNorm(config.dim)
        self.high_level_a = MambaStack(config, config.extraction_depth)
        self.high_level_b = MambaStack(config, config.extraction_depth)
        self.shallow = ShallowFusion(config)
        self.deep = DeepFusion(config)
        self.reconstruction = Reconstruction(config)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        require_images(a, b)
        height = a.shape[2]
        # (B, 1, H, W) -> 2 x (B, L, C), for each side
        a, sum_a = self.high_level_a(self._tokens(self.low_level(a)), height=height)
        b, sum_b = self.high_level_b(self._tokens(self.low_level(b)), height=height)
        a, b, f = self.shallow(a, sum_a, b, sum_b, height)  # 4 x (B, L, C) -> 3 x (B, C, H, W)
        if self.config.deep_norm:
            a, b, f = self._tokens(a), self._tokens(b), self._tokens(f)  # (B, C, H, W) -> (B, L, C)
        else:
            a, b, f = to_tokens(a), to_tokens(b), to_tokens(f)
        f = self.deep(f, a, b, height)  # (B, L, C)
        return self.reconstruction(self.token_norm(f), height)  # (B, L, C) -> (B, 1, H, W)

    def _tokens(self, features: Tensor) -> Tensor:
        return self.token_norm(to_tokens(features))


def require_images(a: Tensor, b: Tensor) -> None:
    """Refuse inputs that are not both (B, 1, H, W), of one size.

    Raises:
        ValueError: with both shapes.
    """
    if a.ndim != 4 or a.shape[1] != 1 or a.numel() == 0 or a.shape != b.shape:
        raise ValueError(
            f"a and b must both have shape (B, 1, H, W), found {tuple(a.shape)} and {tuple(b.shape)}"
        )
