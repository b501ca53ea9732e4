"""A mixer for the ablation: every token attends to all tokens of its row."""

import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.models.config import MambaConfig

HEADS = 2


class RowAttention(nn.Module):
    """Scaled dot-product attention along the rows of the map, without positions; see docs/components.md."""

    causal = False

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.qkv = nn.Linear(config.inner, 3 * config.inner, bias=False)

    def forward(self, u: Tensor, height: int) -> Tensor:
        """Tokens (B, L, E) of a map with ``height`` rows, to tokens (B, L, E)."""
        rows = u.unflatten(1, (height, -1))  # (B, H, W, E)
        q, k, v = self.qkv(rows).unflatten(-1, (3, HEADS, -1)).movedim(-3, 0).transpose(-3, -2)
        mixed: Tensor = F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2).flatten(1, 2)
        return mixed
