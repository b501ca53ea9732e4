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
    """Clamps to [0, 1] and raises the contrast of each image about its own mean, with a shoulder at either end.

        p = clamp(f, 0, 1),   m = mean p,   g(t) = c t / (1 + (c − 1) t)
        image = m + (1 − m) g((p − m) / (1 − m))   for p ≥ m,     m − m g((m − p) / m)   for p < m

    Two images share the range of one, so fused images are flatter than they could be. The curve has the slope c at the
    mean, and flattens to 1 / c towards black and white: it maps [0, 1] onto itself, so nothing is clipped. The mean is
    that of the whole image, which a network trained on crops, or run on tiles, does not see; hence a separate step. It
    changes how bright things are, never which source they come from; a pixel may become brighter or darker than in
    either source. The published value is c = 1.

    Args:
        fused: the output of the network, (B, C, H, W).
        contrast: c, above 0; 1 leaves the contrast unchanged.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    image = fused.clamp(0, 1)
    if contrast == 1:
        return image
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    difference = image - mean
    available = torch.where(difference > 0, 1 - mean, mean)  # from the mean to white or black
    share = difference.abs() / available.clamp(min=torch.finfo(image.dtype).tiny)
    curved = contrast * difference / (1 + (contrast - 1) * share)
    return (mean + curved).clamp(0, 1)
