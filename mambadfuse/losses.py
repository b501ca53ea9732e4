"""The training loss: intensity, gradient and structure of the fused picture, compared with both sources.

    L = w_int · L_int + w_grad · L_grad + w_ssim · L_ssim

There is no "true" fused picture to learn from, so each term says what to keep of the sources a and b in f:

    L_int  = mean |f − max(a, b)|                         keep the brighter pixel
    L_grad = mean |∇f − max(∇a, ∇b)|                      keep the stronger edge (∇ = Sobel magnitude)
    L_ssim = 1 − (α · SSIM(a, f) + (1 − α) · SSIM(b, f))  keep the local structure of both

Letters: B batch, H and W picture size. Pictures are (B, 1, H, W) in [0, 1]. Source of the three terms:
SwinFusion (Ma et al. 2022), taken over by MambaDFuse.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW, _SIGMA = 11, 1.5  # the Gaussian window of SSIM
_C1, _C2 = 0.01**2, 0.03**2  # its constants for pictures in [0, 1]
_ALPHAS = ("gradient", "equal")


def sobel(x: Tensor) -> Tensor:
    """The Sobel magnitude |g_x| + |g_y| of each picture; zeros stand outside the border.

    Args:
        x: pictures, (B, 1, H, W).

    Returns:
        (B, 1, H, W), at least 0; at most 8 times the range of x.
    """
    right = x.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([right, right.T]).unsqueeze(1)  # (2, 1, 3, 3)
    return F.conv2d(x, kernels, padding=1).abs().sum(1, keepdim=True)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean structural similarity of two batches (Wang et al. 2004), one number for the whole batch.

        SSIM = (2 μ_x μ_y + C1)(2 σ_xy + C2) / ((μ_x² + μ_y² + C1)(σ_x² + σ_y² + C2))

    μ and σ are taken in an 11 x 11 Gaussian window (standard deviation 1.5) around every pixel, those of the
    border included: zeros stand outside. The window is separable, so two passes of 11 weights replace one of
    121. Its weights are rounded to float32 as published; the published code rounds their 121 products too,
    which moves a float64 result by some 1e-7.

    Args:
        x: pictures in [0, 1], (B, 1, H, W).
        y: pictures in [0, 1], (B, 1, H, W).

    Returns:
        A scalar in [-1, 1]; 1 if x equals y. Symmetric.
    """
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1)  # (B, 5, H, W)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _gaussian_blur(moments).split(1, dim=1)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = mean_xy - product, mean_xx + mean_yy - squares
    similarity = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    return similarity.mean()


def _gaussian_blur(x: Tensor) -> Tensor:
    """Every channel of x, (B, M, H, W), under the Gaussian window: first along rows, then along columns."""
    pad, channels = _WINDOW // 2, x.shape[1]
    offset = torch.arange(-pad, pad + 1, dtype=torch.float32, device=x.device)
    weight = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    kernel = (weight / weight.sum()).to(x.dtype).repeat(channels, 1, 1, 1)  # (M, 1, 1, 11)
    x = F.conv2d(x, kernel, padding=(0, pad), groups=channels)
    return F.conv2d(x, kernel.transpose(2, 3), padding=(pad, 0), groups=channels)


class LossTerms(NamedTuple):
    """The weighted terms of one loss, each a scalar; ``total`` is the sum of the other three."""

    total: Tensor
    gradient: Tensor
    intensity: Tensor
    structure: Tensor


@dataclass(frozen=True)
class FusionLoss:
    """The loss with its weights; the presets are :meth:`vif` (the default) and :meth:`med`.

    >>> terms = FusionLoss.vif()(fused, a, b)
    >>> terms.total.backward()

    Args:
        intensity: weight of L_int.
        gradient: weight of L_grad.
        structure: weight of L_ssim.
        ssim_weighting: how α divides L_ssim between a and b. "gradient": by their mean Sobel magnitudes over
            the batch, α = m(∇a) / (m(∇a) + m(∇b)); "equal": α = 0.5.

    Raises:
        ValueError: a weight is negative, or ``ssim_weighting`` is neither of the two.
    """

    intensity: float = 20.0
    gradient: float = 20.0
    structure: float = 10.0
    ssim_weighting: str = "gradient"

    def __post_init__(self) -> None:
        """Reject settings that are no loss."""
        for name in ("intensity", "gradient", "structure"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"weight {name} must be at least 0, found {getattr(self, name)}")
        if self.ssim_weighting not in _ALPHAS:
            raise ValueError(f"ssim_weighting must be one of {_ALPHAS}, found {self.ssim_weighting!r}")

    @classmethod
    def vif(cls) -> "FusionLoss":
        """The published weights for infrared and visible pictures: 20, 20, 10; α from the gradients."""
        return cls()

    @classmethod
    def med(cls) -> "FusionLoss":
        """The published weights for medical pictures: 20, 100, 50; α = 0.5."""
        return cls(intensity=20.0, gradient=100.0, structure=50.0, ssim_weighting="equal")

    def __call__(self, fused: Tensor, a: Tensor, b: Tensor) -> LossTerms:
        """The weighted terms for a batch; a and b may be exchanged.

        Half-precision pictures are computed in float32, under autocast too: SSIM subtracts nearly equal
        numbers. Where neither a nor b has an edge (two black batches), "gradient" weighting takes α = 0.5;
        the published code divides 0 by 0 there.

        Args:
            fused: the network's output, (B, 1, H, W).
            a: first source in [0, 1], (B, 1, H, W).
            b: second source in [0, 1], (B, 1, H, W).

        Raises:
            ValueError: the shapes differ or are not (B, 1, H, W).
        """
        for name, picture in (("fused", fused), ("a", a), ("b", b)):
            if picture.ndim != 4 or picture.shape[1] != 1 or picture.shape != fused.shape:
                expected = f"(B, 1, H, W) as fused {tuple(fused.shape)}"
                raise ValueError(f"{name} must have shape {expected}, found {tuple(picture.shape)}")
        with torch.autocast(fused.device.type, enabled=False):
            return self._terms(_at_least_float32(fused), _at_least_float32(a), _at_least_float32(b))

    def _terms(self, fused: Tensor, a: Tensor, b: Tensor) -> LossTerms:
        edges_a, edges_b = sobel(a), sobel(b)
        alpha = self._alpha(edges_a.mean(), edges_b.mean())
        similarity = alpha * ssim(a, fused) + (1 - alpha) * ssim(b, fused)
        intensity = self.intensity * (fused - torch.maximum(a, b)).abs().mean()
        gradient = self.gradient * (sobel(fused) - torch.maximum(edges_a, edges_b)).abs().mean()
        structure = self.structure * (1 - similarity)
        return LossTerms(gradient + intensity + structure, gradient, intensity, structure)

    def _alpha(self, edges_a: Tensor, edges_b: Tensor) -> Tensor:
        half, both = torch.full_like(edges_a, 0.5), edges_a + edges_b
        if self.ssim_weighting == "equal":
            return half
        return torch.where(both > 0, edges_a / both.clamp(min=torch.finfo(both.dtype).tiny), half)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
