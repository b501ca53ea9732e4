"""What the kit's own loss changes in the published one: local structure, signed edges, robust intensity.

The published terms leave two questions open. A gradient magnitude cannot tell an edge from its negative, and one α
for a whole batch asks for the structure of both sources everywhere, even where one of them has none. So

    L_grad = mean |(∂x f, ∂y f) − (∂x e, ∂y e)|_1         e: the source with the stronger edges around the pixel,
                                                          so the sign and the direction of an edge count
    L_ssim = 1 − mean (λ · SSIM(a, f) + (1 − λ) · SSIM(b, f))
                                                          λ: per pixel, the share of a in the local variance
                                                          (Piella & Heijmans 2003 weight their index this way)

The intensity term is robust: its pull, 1 / (1 + |f − max| / s), fades for pixels far from the maximum, so most pixels
follow the brighter source closely and the others are free to carry edges and structure of the darker one.

    L_int  = mean s · log(1 + |f − t| / s)                s: the scale beyond which a difference counts as far

Its target t is max(a, b), except at the ends of the range: a little below 0 where both sources are black, and a little
above 1 where one is white. A saved image is clamped to [0, 1], so an empty background comes out empty, and a white
sky or bone stays white, which a network that aims at 0 and 1 themselves never quite reaches.

Finally, all terms judge f̃ in place of f. It amplifies the detail, the difference from the maximum:

    f̃ = max(a, b) + (f − max(a, b)) / d                   0 < d <= 1

so the image that minimises the loss is that of d = 1, moved back by 1 − d of the way to the pixel-wise maximum: it
shares more information with the sources, for somewhat weaker edges.

All images are (B, 1, H, W).

>>> fused, a, b = torch.rand(3, 2, 1, 16, 16)
>>> target = intensity_target(a, b, black=-0.02, white=1.02)
>>> intensity = robust_intensity_term(amplify_detail(fused, a, b, detail=0.8), target, scale=0.02)
"""

import math

import torch
from torch import Tensor

from mambadfuse.losses.published import intensity_term
from mambadfuse.losses.terms import blur, gradients

_REGION = 4.0  # standard deviation, in pixels, of the neighbourhood in which edge strengths are compared
_NEARLY_WHITE = 0.98  # a pixel at least this bright, 250 of 255 grey levels, counts as white


def amplify_detail(fused: Tensor, a: Tensor, b: Tensor, detail: float) -> Tensor:
    """f̃, (B, 1, H, W); f itself for ``detail`` = 1."""
    brighter = torch.maximum(a, b)
    return brighter + (fused - brighter) / detail if detail < 1 else fused


def intensity_target(a: Tensor, b: Tensor, black: float, white: float) -> Tensor:
    """t, (B, 1, H, W): max(a, b), but ``black`` where both are 0 and ``white`` where one is at least 0.98.

    ``black`` = 0 and ``white`` = 1 change nothing.
    """
    brighter = target = torch.maximum(a, b)
    if black < 0:
        target = torch.where(brighter > 0, target, black)
    if white > 1:
        target = torch.where(brighter < _NEARLY_WHITE, target, white)
    return target


def robust_intensity_term(fused: Tensor, target: Tensor, scale: float) -> Tensor:
    """L_int, a scalar: mean s · log(1 + |f − t| / s); mean |f − t| for ``scale`` = inf."""
    if math.isinf(scale):
        return intensity_term(fused, target)
    return (scale * torch.log1p((fused - target).abs() / scale)).mean()


def clamp_as_saved(fused: Tensor, a: Tensor, b: Tensor, black: float, white: float) -> Tensor:
    """What the gradient and structure terms see, (B, 1, H, W), where the intensity target leaves [0, 1].

    The image is clamped as it will be when saved; with ``white`` above 1, white pixels count as exactly white.
    """
    if black < 0 or white > 1:
        fused = fused.clamp(0, 1)
    return torch.where(torch.maximum(a, b) < _NEARLY_WHITE, fused, 1.0) if white > 1 else fused


def stronger_gradients(a: Tensor, b: Tensor) -> Tensor:
    """At each pixel the derivatives of the source with the stronger edges around it.

    Stronger means the larger g_x² + g_y², averaged under a Gaussian of standard deviation 4 pixels: whole regions
    follow one source, rather than each pixel the noisier one.

    Args:
        a: images, (B, 1, H, W).
        b: images, (B, 1, H, W).

    Returns:
        (B, 2, H, W).
    """
    edges_a, edges_b = gradients(a, "replicate"), gradients(b, "replicate")
    strength_a, strength_b = (
        blur(edges.square().sum(1, keepdim=True), _REGION, round(3 * _REGION)) for edges in (edges_a, edges_b)
    )
    return torch.where(strength_a >= strength_b, edges_a, edges_b)


def direction_term(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """L_grad, a scalar: the mean L1 distance between the derivatives of f and those of e."""
    return (gradients(fused, "replicate") - stronger_gradients(a, b)).abs().sum(1).mean()
