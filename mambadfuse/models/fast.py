"""A fast convolutional network for video and slow machines, trained with the same loss or taught by MambaDFuse.

Letters: B batch, H and W height and width, p patch size, C width.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambadfuse.models.config import FastFusionConfig
from mambadfuse.models.mambadfuse import require_images
from mambadfuse.models.pretrained import Pretrained

_BIAS = 2.0  # the share of the minimum starts at σ(−2), about an eighth


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), then relu: two 3x3 convolutions whose taps are ``dilation`` tokens apart."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class FastFusion(nn.Module, Pretrained):
    """A fully convolutional network that corrects the pixel-wise maximum.

        f = m − σ(s) (m − n) + r,   m = max(a, b),   n = min(a, b)

    where s and r, a share and a residual for each pixel, come from residual blocks over tokens of p x p pixels: at
    p = 2 a convolution costs a quarter of what it would cost at full resolution.

    ``model(a, b)``: as :class:`mambadfuse.MambaDFuse`; the two sides are (B, 1, H, W) in [0, 1], any H, W >= 1.
    Returns (B, 1, H, W), not clamped. ``contrast`` is kept with the weights for :func:`mambadfuse.fuse`.

    >>> a, b = torch.rand(2, 1, 1, 31, 48)
    >>> FastFusion()(a, b).shape
    torch.Size([1, 1, 31, 48])

    Raises:
        ValueError: the inputs are not both (B, 1, H, W), of the same size.
    """

    config: FastFusionConfig

    def __init__(self, config: FastFusionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FastFusionConfig()
        self.contrast = 1.0
        self._shift = 0  # of a second pass, in pixels; 0: there is none
        pixels = 2 * config.patch**2  # of a token: a and b at the input, s and r at the output
        self.stem = nn.Conv2d(pixels, config.dim, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(config.dim, 2 ** (i % 3)) for i in range(config.depth))
        self.head = nn.Conv2d(config.dim, pixels, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)  # an untrained network takes nearly the maximum

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) twice -> (B, 1, H, W)."""
        require_images(a, b)
        fused, k = self._fuse(a, b), self._shift
        if not k:
            return fused
        a, b = (F.pad(x, (k, 0, k, 0), mode="replicate") for x in (a, b))
        return (fused + self._fuse(a, b)[:, :, k:, k:]) / 2

    def for_video(self) -> "FastFusion":
        """The network, sharing its weights, that fuses the frames of videos: f = (f_0 + f_{p/2}) / 2.

        f_k lays its tokens k pixels further up and left, so that a pixel takes two different places in its tokens.
        Where a camera moves by less than a token, one place becomes another and what depends on it flickers; the mean
        depends on it less. It takes twice the time; a network whose tokens are single pixels has no need of it.

        >>> a, b = torch.rand(2, 1, 1, 31, 48)
        >>> FastFusion().for_video()(a, b).shape
        torch.Size([1, 1, 31, 48])
        """
        steady = copy.copy(self)
        steady._shift = self.config.patch // 2
        return steady

    def _fuse(self, a: Tensor, b: Tensor) -> Tensor:
        height, width = a.shape[2:]
        brighter, darker = torch.maximum(a, b), torch.minimum(a, b)
        x = F.relu(self.stem(self._tokens(torch.cat([a, b], dim=1) - 0.5)))  # -> (B, C, ⌈H/p⌉, ⌈W/p⌉)
        for block in self.blocks:
            x = block(x)
        pixels = _first(F.pixel_shuffle(self.head(x), self.config.patch), height, width)
        share, residual = pixels.split(1, dim=1)
        return brighter - torch.sigmoid(share - _BIAS) * (brighter - darker) + residual

    def _tokens(self, x: Tensor) -> Tensor:
        """(B, 2, H, W) -> (B, 2 p², ⌈H/p⌉, ⌈W/p⌉); the last row and column are repeated to fill a token."""
        p = self.config.patch
        rows, columns = ((side + p - 1) // p for side in x.shape[2:])
        x = _first(F.pad(x, (0, p - 1, 0, p - 1), mode="replicate"), rows * p, columns * p)
        x = x.reshape(-1, 2, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5)
        return x.reshape(-1, rows, columns, 2 * p * p).permute(0, 3, 1, 2)  # channels last in memory


def _first(x: Tensor, height: int, width: int) -> Tensor:
    """The first rows and columns of x, (B, C, height, width)."""
    if not torch.compiler.is_exporting():
        return x[:, :, :height, :width]
    # Slices would tie an exported network to one size.
    rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
    return x.index_select(2, rows).index_select(3, columns)
