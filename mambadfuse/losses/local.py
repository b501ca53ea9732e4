"""What the kit's own loss changes in the published one: local structure, signed edges, one demand on flat regions.

The published terms leave two questions open. A gradient magnitude cannot tell an edge from its negative, and one α
for a whole batch asks for the structure of both sources everywhere, even where one of them has none. So

    L_grad = mean |(∂x f, ∂y f) − (∂x e, ∂y e)|_1         e: the source with the stronger edges around the pixel,
                                                          so the sign and the direction of an edge count
    L_ssim = 1 − mean (λ · S(a, f) + (1 − λ) · S(b, f))   λ: per pixel, the share of a in the local variance
                                                          (Piella & Heijmans 2003 weight their index this way)

They also ask two things of a region that is flat in both sources, such as the sky: L_int wants the brighter of the two,
L_ssim the brightness of both, and a network compromises on grey. With τ, 0 where both are flat and 1 where either has
texture,

    S      = (1 − τ (1 − l)) · c                          l, c: the luminance and the structure factor of SSIM
    L_int  = mean (τ s log(1 + |f − t| / s) + w (1 − τ) |f − t|)

so a flat region follows the intensity term alone; with w = 3 a network learns early that its brightness is that of the
target, not a mixture of both sources. Where there is texture, L_int is robust: its pull,
1 / (1 + |f − t| / s), fades for pixels far from the target, which are free to carry edges and structure of the darker
source. The target t is max(a, b), except where one source is saturated. A saturated pixel says nothing, so there the
local contrast of the other source, d = min(a, b), is shown below white:

    t      = max(a, b) + k min(d − μ_d − 2 σ_d, 0)        μ_d, σ_d: under a Gaussian of 12 pixels

Finally, a fused image should leave the range of both sources by a small margin at most, and never [0, 1]:

    L_over = mean distance of f from [(1 − m) min(a, b), max(a, b) + m (1 − max(a, b))],   m = 0.03

All images are (B, 1, H, W).

>>> from mambadfuse.losses import texture
>>> fused, a, b = torch.rand(3, 2, 1, 16, 16)
>>> target = intensity_target(a, b, glare=0.5)
>>> intensity = robust_intensity_term(fused, target, 0.1, texture(a, b))
>>> overshoot = overshoot_term(fused, a, b)
"""

import math

import torch
from torch import Tensor

from mambadfuse.losses.terms import blur, gradients, local_moments, ssim_maps

_REGION = 4.0  # standard deviation, in pixels, of the neighbourhood in which edge strengths are compared
_SURROUNDINGS = 12.0  # standard deviation, in pixels, of what a target in glare stands out from
_SATURATED = (0.96, 0.99)  # from not at all to fully saturated
_MARGIN = 0.03  # how far f may leave the range of both sources, of the way to black or white


def intensity_target(a: Tensor, b: Tensor, glare: float) -> Tensor:
    """t, (B, 1, H, W): max(a, b), lowered where it is saturated, by ``glare`` times the contrast of the other source.

    ``glare`` = 0 changes nothing.
    """
    brighter = torch.maximum(a, b)
    if glare == 0:
        return brighter
    low, high = _SATURATED
    saturation = ((brighter - low) / (high - low)).clamp(0, 1)
    return brighter + saturation * glare * _below_brightest(torch.minimum(a, b))


def _below_brightest(x: Tensor) -> Tensor:
    """How far each pixel lies below what stands out from its surroundings, μ + 2 σ; at most 0."""
    mean, variance = local_moments(x, _SURROUNDINGS, round(3 * _SURROUNDINGS))
    return (x - mean - 2 * variance.sqrt()).clamp(max=0)


def robust_intensity_term(
    fused: Tensor, target: Tensor, scale: float, share: Tensor | float = 1.0, flat_weight: float = 1.0
) -> Tensor:
    """L_int, a scalar: the ``share`` τ of each pixel is robust, the rest plain, and counts ``flat_weight`` times.

    With ``scale`` = inf all of it is plain.
    """
    difference = (fused - target).abs()
    robust = difference if math.isinf(scale) else scale * torch.log1p(difference / scale)
    return (share * robust + flat_weight * (1 - share) * difference).mean()


def similarity_map(source: Tensor, fused: Tensor, value_range: float, share: Tensor) -> Tensor:
    """S, (B, 1, H, W): SSIM whose luminance factor has the weight τ, the ``share``."""
    luminance, structure = ssim_maps(source, fused, value_range)
    return (1 - share * (1 - luminance)) * structure


def overshoot_term(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """L_over, a scalar: the mean distance from the range of both sources, widened by 3 % of the way to 0 and 1."""
    brighter, darker = torch.maximum(a, b), torch.minimum(a, b)
    above = fused - (brighter + _MARGIN * (1 - brighter))
    below = (1 - _MARGIN) * darker - fused
    return (above.clamp(min=0) + below.clamp(min=0)).mean()


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
