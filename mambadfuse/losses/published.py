"""The published loss: three terms after SwinFusion (Ma et al. 2022), as MambaDFuse uses them.

    L = w_int · L_int + w_grad · L_grad + w_ssim · L_ssim

There is no ground truth for a fused image f, so each term says what f should keep of the sources a and b:

    L_int  = mean |f − max(a, b)|                         the brighter pixel
    L_grad = mean |∇f − max(∇a, ∇b)|                      the stronger edge; ∇ is the Sobel magnitude
    L_ssim = 1 − (α · SSIM(a, f) + (1 − α) · SSIM(b, f))  the local structure of both

with α = m(∇a) / (m(∇a) + m(∇b)) for infrared-visible pairs, m the mean over the batch, and α = 1/2 for medical
pairs. The weights (w_int, w_grad, w_ssim) are (20, 20, 10) and (20, 100, 50).

All images are (B, 1, H, W); every term is a scalar.

>>> fused, a, b = torch.rand(3, 2, 1, 16, 16)
>>> intensity = intensity_term(fused, torch.maximum(a, b))
>>> structure = structure_term(fused, a, b, gradient_share(a, b))
>>> loss = 20 * intensity + 20 * gradient_term(fused, a, b) + 10 * structure
"""

import torch
from torch import Tensor

from mambadfuse.losses.terms import sobel, ssim_map


def intensity_term(fused: Tensor, target: Tensor) -> Tensor:
    """L_int, at least 0, with max(a, b) as the target."""
    return (fused - target).abs().mean()


def gradient_term(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """L_grad, at least 0."""
    return (sobel(fused) - torch.maximum(sobel(a), sobel(b))).abs().mean()


def structure_term(fused: Tensor, a: Tensor, b: Tensor, share: Tensor, value_range: float = 1.0) -> Tensor:
    """L_ssim, in [0, 2].

    Args:
        fused: images, (B, 1, H, W).
        a: images, (B, 1, H, W).
        b: images, (B, 1, H, W).
        share: α, a scalar or a map (B, 1, H, W) in [0, 1].
        value_range: R in the constants of SSIM, see :func:`~mambadfuse.losses.terms.ssim_map`.
    """
    similarity = share * ssim_map(a, fused, value_range) + (1 - share) * ssim_map(b, fused, value_range)
    return 1 - similarity.mean()


def gradient_share(a: Tensor, b: Tensor) -> Tensor:
    """α = m(∇a) / (m(∇a) + m(∇b)), a scalar in [0, 1].

    0.5 where neither image has an edge (two black batches); the published code divides 0 by 0 there.
    """
    edges_a, edges_b = sobel(a).mean(), sobel(b).mean()
    both = edges_a + edges_b
    return torch.where(both > 0, edges_a / both.clamp(min=torch.finfo(both.dtype).tiny), 0.5)
