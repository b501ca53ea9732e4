"""Postprocessing: from the output of a network to the image that is shown, scored and saved."""

from numbers import Real

import torch
from torch import Tensor

_LARGEST = torch.finfo(torch.float32).max  # beyond, infinity times zero would be no number


def check_contrast(contrast: float) -> None:
    """Refuses a contrast that cannot be applied.

    Raises:
        ValueError: it is not a number above 0 that float32 holds.
    """
    if isinstance(contrast, bool) or not isinstance(contrast, Real) or not 0 < contrast <= _LARGEST:
        raise ValueError(f"contrast must be a positive number, found {contrast!r}")


def postprocess(fused: Tensor, contrast: float = 1.0) -> Tensor:
    """Clamps to [0, 1] and scales the contrast of each image about its own mean.

        p = clamp(f, 0, 1);   image = clamp(m + c (p − m), 0, 1),   m = mean p

    Two images share the range of one, so fused images are flatter than they could be. The mean is that of the
    whole image, which a network trained on crops, or run on tiles, does not see; hence a separate step. It changes
    how bright things are, never which source they come from; a pixel may become brighter or darker than in either
    source. The published value is c = 1.

    Args:
        fused: the output of the network, (B, C, H, W).
        contrast: c, above 0; 1 leaves the contrast unchanged.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    picture = fused.clamp(0, 1)
    if contrast == 1:
        return picture
    mean = picture.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (picture - mean)).clamp(0, 1)
