"""The detector: a small CNN that answers in every cell of 4 x 4 pixels."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MULTIPLE = 8  # the network halves an image three times
_PRIOR = 0.05  # of a centre, at the start of training (Lin et al. 2017, section 4.1)


class Maps(NamedTuple):
    """What the detector says of B images of K classes, on maps of h x w cells."""

    logits: Tensor
    """Of the heat maps, (B, K, h, w)."""
    size: Tensor
    """Width and height in cells, (B, 2, h, w)."""
    offset: Tensor
    """Of the centre from the left and top of the cell, in cells, (B, 2, h, w)."""


class Detector(nn.Module):
    """Heat map, size and offset from one image.

    Two convolutions with stride 2 lead to the cells, a third to half of their resolution, where two more see the
    surroundings; the result goes back up and is added to the cells, and two convolutions answer.

    >>> sum(p.numel() for p in Detector(channels=1, classes=3).parameters())
    33883
    >>> Detector(channels=2, classes=3)(torch.zeros(1, 2, 64, 96)).size.shape
    torch.Size([1, 2, 16, 24])

    Args:
        channels: of the image: 1 for a grey image, 2 for both sides of a pair.
        classes: K.
        width: channels of the maps of cells.
    """

    def __init__(self, channels: int, classes: int, width: int = 24) -> None:
        super().__init__()
        self.channels, self.classes, self.width = channels, classes, width
        self.stem = nn.Sequential(_convolution(channels, width // 2, 2), _convolution(width // 2, width, 2))
        self.cells = _convolution(width, width)
        wide = 3 * width // 2
        self.context = nn.Sequential(
            _convolution(width, wide, 2),
            _convolution(wide, wide),
            nn.Conv2d(wide, width, 1),
        )
        self.answer = nn.Sequential(_convolution(width, width), nn.Conv2d(width, classes + 4, 1))
        bias = self.answer[-1].bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            bias.zero_()
            bias[:classes] = torch.logit(torch.tensor(_PRIOR))

    def forward(self, image: Tensor) -> Maps:
        """The maps of a batch.

        Args:
            image: (B, C, H, W) in [0, 1]; H and W are multiples of 8.

        Raises:
            ValueError: the image has another shape.
        """
        if image.ndim != 4 or image.shape[1] != self.channels or any(n % MULTIPLE for n in image.shape[2:]):
            raise ValueError(
                f"image must have shape (B, {self.channels}, H, W) with multiples of {MULTIPLE} as H and W, "
                f"found {tuple(image.shape)}"
            )
        cells = self.cells(self.stem(4 * (image - 0.5)))
        answer = self.answer(cells + F.interpolate(self.context(cells), scale_factor=2.0))
        return Maps(*answer.split((self.classes, 2, 2), dim=1))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
