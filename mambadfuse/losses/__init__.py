"""Training losses: the published one and the kit's own, with the image operators they are built from.

===============  ============================================================================
``published``    the three published terms: intensity, gradient, structure
``local``        what the kit's own loss changes in them
``terms``        blur, Sobel derivatives, SSIM, local variance and texture
``config``       weights and variants as plain data; presets
``fusion_loss``  the module that combines them
===============  ============================================================================
"""

from mambadfuse.losses.config import FusionLossConfig
from mambadfuse.losses.fusion_loss import FusionLoss, LossTerms, build_loss
from mambadfuse.losses.local import stronger_gradients
from mambadfuse.losses.terms import blur, gradients, local_share, sobel, ssim, ssim_map, texture

__all__ = [
    "FusionLoss",
    "FusionLossConfig",
    "LossTerms",
    "blur",
    "build_loss",
    "gradients",
    "local_share",
    "sobel",
    "ssim",
    "ssim_map",
    "stronger_gradients",
    "texture",
]
