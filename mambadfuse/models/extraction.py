"""Dual-level feature extraction (MambaDFuse, the section of that name): first a CNN, then Mamba blocks.

Letters: B batch, H and W height and width, C model width.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.models.config import MambaDFuseConfig


class LowLevelExtraction(nn.Module):
    """Two 3x3 convolutions with leaky ReLU: edges and texture. (B, 1, H, W) -> (B, C, H, W).

    A single instance reads both modalities, so that equal structure gives equal features. The high
    level, a :class:`mambadfuse.models.mamba.MambaStack` for each modality, is not shared.
    """

    def __init__(self, config: MambaDFuseConfig) -> None:
        super().__init__()
        dim = config.dim
        self.conv1 = nn.Conv2d(1, dim // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(dim // 2, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, C, H, W)."""
        x = F.leaky_relu(self.conv1(x), 0.2)  # (B, 1, H, W) -> (B, C/2, H, W)
        return F.leaky_relu(self.conv2(x), 0.2)  # (B, C/2, H, W) -> (B, C, H, W)
