"""Reconstruction (MambaDFuse, the section on reconstruction): from fused features back to one image.

Letters: B batch, L length (tokens), C model width, H and W height and width.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mamba import MambaStack, to_map


class Reconstruction(nn.Module):
    """Mamba blocks, then three 3x3 convolutions C -> C/2 -> C/4 -> 1 with leaky ReLU between them.

    Tokens (B, L, C) and the height H -> image (B, 1, H, W), neither squashed nor clamped. With
    ``config.stage_residual`` "added" the running sum of the blocks is added to their last branch; the published network
    drops it.
    """

    def __init__(self, config: MambaDFuseConfig) -> None:
        super().__init__()
        dim = config.dim
        self.add_residual = config.stage_residual == "added"
        first = config.extraction_depth + config.exchange_depth + config.deep_depth
        self.stack = MambaStack(config, config.reconstruction_depth, first)
        self.conv1 = nn.Conv2d(dim, dim // 2, 3, padding=1)
        self.conv2 = nn.Conv2d(dim // 2, dim // 4, 3, padding=1)
        self.conv3 = nn.Conv2d(dim // 4, 1, 3, padding=1)

    def forward(self, tokens: Tensor, height: int) -> Tensor:
        """(B, L, C) -> (B, 1, H, W)."""
        branch, residual = self.stack(tokens, height=height)
        x = to_map(branch + residual if self.add_residual else branch, height)  # (B, C, H, W)
        x = F.leaky_relu(self.conv1(x), 0.2)  # (B, C, H, W) -> (B, C/2, H, W)
        x = F.leaky_relu(self.conv2(x), 0.2)  # (B, C/2, H, W) -> (B, C/4, H, W)
        return self.conv3(x)  # (B, C/4, H, W) -> (B, 1, H, W)
