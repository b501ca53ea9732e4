"""The training loss: intensity, gradient and structure of the fused picture, compared with both sources.

    L = w_int · L_int + w_grad · L_grad + w_ssim · L_ssim

There is no "true" fused picture to learn from, so each term says what to keep of the sources a and b in f:

    L_int  = mean |f − max(a, b)|                         keep the brighter pixel
    L_grad = mean |∇f − max(∇a, ∇b)|                      keep the stronger edge (∇ = Sobel magnitude)
    L_ssim = 1 − (α · SSIM(a, f) + (1 − α) · SSIM(b, f))  keep the local structure of both

Source of the three terms: SwinFusion (Ma et al. 2022), taken over by MambaDFuse. Two of them leave something
open, and the kit's own weights are trained with another reading (near to FusionLoss.local):

    L_grad = mean |(∂x f, ∂y f) − (∂x s, ∂y s)|_1         s: the source with the stronger edges around the pixel,
                                                          so the sign and the direction of an edge count
    L_ssim = 1 − mean (λ · SSIM(a, f) + (1 − λ) · SSIM(b, f))
                                                          λ: pixel by pixel, the share of a in the local variance

A magnitude cannot tell an edge from its negative, and one α for a whole batch asks for the structure of both
sources everywhere, also where one of them has none (Piella & Heijmans 2003 weigh their quality index like λ).
Where both sources are black, the kit asks for a little less than black, and where one is white for a little more
than white: what is saved is clamped to [0, 1], so an empty background comes out empty and a sky or a bone that is
white stays white, which a network that aims at 0 and 1 from both sides never quite reaches. Besides, it is
content with a share d of the detail that this asks for. In place of f all three terms judge

    f̃ = max(a, b) + (f − max(a, b)) / d                   d: the detail

so the picture of least loss is that of d = 1, moved back by 1 − d of the way to the pixel-wise maximum: it shares
more information with the sources, for somewhat weaker edges. And L_int gives up what is far from the maximum anyway

    L_int  = mean s · log(1 + |f̃ − max(a, b)| / s)        s: the scale of what counts as far

where its own pull, 1 / (1 + |f̃ − max| / s), fades (a robust loss): most pixels follow the brighter source closely,
and the others are free to carry edges and structure of the darker one.

Letters: B batch, H and W picture size. Pictures are (B, 1, H, W) in [0, 1].
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW, _SIGMA = 11, 1.5  # the Gaussian window of SSIM
_K1, _K2 = 0.01, 0.03  # its constants C1, C2 are (K1 R)², (K2 R)², R the range of values
_REGION = 4.0  # standard deviation, in pixels, of the neighbourhood in which edges are compared
_NEARLY_WHITE = 0.98  # from here on, 250 grey levels of 255, a pixel is white
_CHOICES = {"edges": ("magnitude", "direction"), "ssim_weighting": ("gradient", "equal", "local")}


def gradients(x: Tensor, border: str = "zeros") -> Tensor:
    """The Sobel derivatives (g_x, g_y) of each picture.

    Args:
        x: pictures, (B, 1, H, W).
        border: what stands outside: "zeros", or "replicate" for the nearest pixel, which makes no edge there.

    Returns:
        (B, 2, H, W); each at most 4 times the range of x.
    """
    right = x.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([right, right.T]).unsqueeze(1)  # (2, 1, 3, 3)
    if border == "replicate":
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels)
    return F.conv2d(x, kernels, padding=1)


def sobel(x: Tensor) -> Tensor:
    """The Sobel magnitude |g_x| + |g_y| of each picture; zeros stand outside the border.

    Args:
        x: pictures, (B, 1, H, W).

    Returns:
        (B, 1, H, W), at least 0; at most 8 times the range of x.
    """
    return gradients(x).abs().sum(1, keepdim=True)


def stronger_gradients(a: Tensor, b: Tensor) -> Tensor:
    """At each pixel the derivatives of that source whose edges are stronger around it.

    Stronger is the larger g_x² + g_y², averaged under a Gaussian of standard deviation 4: whole regions follow one
    source, not every pixel the noisier one.

    Args:
        a: pictures, (B, 1, H, W).
        b: pictures, (B, 1, H, W).

    Returns:
        (B, 2, H, W).
    """
    edges_a, edges_b = gradients(a, "replicate"), gradients(b, "replicate")
    strength_a, strength_b = (
        _blur(edges.square().sum(1, keepdim=True), _REGION, round(3 * _REGION))
        for edges in (edges_a, edges_b)
    )
    return torch.where(strength_a >= strength_b, edges_a, edges_b)


def ssim_map(x: Tensor, y: Tensor, value_range: float = 1.0) -> Tensor:
    """The structural similarity of two pictures around each pixel (Wang et al. 2004).

        SSIM = (2 μ_x μ_y + C1)(2 σ_xy + C2) / ((μ_x² + μ_y² + C1)(σ_x² + σ_y² + C2))

    μ and σ are taken in an 11 x 11 Gaussian window (standard deviation 1.5) around every pixel, those of the
    border included: zeros stand outside. The window is separable, so two passes of 11 weights replace one of
    121. Its weights are rounded to float32 as published; the published code rounds their 121 products too,
    which moves a float64 result by some 1e-7.

    Args:
        x: pictures in [0, 1], (B, 1, H, W).
        y: pictures in [0, 1], (B, 1, H, W).
        value_range: R in C1 = (0.01 R)² and C2 = (0.03 R)². The smaller, the fainter the structure that counts.

    Returns:
        (B, 1, H, W) in [-1, 1]; 1 where x equals y. Symmetric.
    """
    c1, c2 = (_K1 * value_range) ** 2, (_K2 * value_range) ** 2
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1)  # (B, 5, H, W)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _blur(moments, _SIGMA, _WINDOW // 2).split(1, dim=1)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = mean_xy - product, mean_xx + mean_yy - squares
    return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean of :func:`ssim_map`: one number in [-1, 1] for the whole batch."""
    return ssim_map(x, y).mean()


def local_share(a: Tensor, b: Tensor, value_range: float = 1.0) -> Tensor:
    """λ, the share of a in the local variance: (B, 1, H, W) in (0, 1); 0.5 where both are flat.

        λ = (σ_a² + C1) / (σ_a² + σ_b² + 2 C1)

    The variances are those of the SSIM window, and so is C1 = (0.01 R)², R the ``value_range``: what varies less
    (2.5 grey levels of 255 for R = 1) counts as flat.
    """
    flat = (_K1 * value_range) ** 2
    means = _blur(torch.cat([a, b, a * a, b * b], dim=1), _SIGMA, _WINDOW // 2)  # (B, 4, H, W)
    variance_a, variance_b = ((means[:, 2:] - means[:, :2] ** 2).clamp(min=0) + flat).split(1, dim=1)
    return variance_a / (variance_a + variance_b)


def _blur(x: Tensor, sigma: float, reach: int) -> Tensor:
    """Every channel of x, (B, M, H, W), under a Gaussian window: first along rows, then along columns."""
    channels = x.shape[1]
    offset = torch.arange(-reach, reach + 1, dtype=torch.float32, device=x.device)
    weight = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = (weight / weight.sum()).to(x.dtype).repeat(channels, 1, 1, 1)  # (M, 1, 1, 2 reach + 1)
    x = F.conv2d(x, kernel, padding=(0, reach), groups=channels)
    return F.conv2d(x, kernel.transpose(2, 3), padding=(reach, 0), groups=channels)


class LossTerms(NamedTuple):
    """The weighted terms of one loss, each a scalar; ``total`` is the sum of the other three."""

    total: Tensor
    gradient: Tensor
    intensity: Tensor
    structure: Tensor


@dataclass(frozen=True)
class FusionLoss:
    """The loss with its weights; the presets are :meth:`vif` (the default), :meth:`med` and :meth:`local`.

    >>> terms = FusionLoss.vif()(*torch.rand(3, 2, 1, 16, 16).requires_grad_())
    >>> terms.total.backward()

    Args:
        intensity: weight of L_int.
        gradient: weight of L_grad.
        structure: weight of L_ssim.
        ssim_weighting: how L_ssim is divided between a and b. "gradient": by their mean Sobel magnitudes over
            the batch, α = m(∇a) / (m(∇a) + m(∇b)); "equal": α = 0.5; "local": λ, pixel by pixel.
        edges: what L_grad compares. "magnitude": |∇f| with the larger of |∇a| and |∇b|; "direction": both
            derivatives of f with those of the source that has the stronger edges around the pixel.
        ssim_range: R in the constants of SSIM and of λ; 1 is the range of the pictures. The smaller, the fainter
            the structure that is asked for.
        black: what L_int asks for where a and b are 0.
        white: what L_int asks for where a or b is at least 250 / 255. Above 1 the other two terms take f̃ there
            as white. With black below 0 or white above 1 they see f clamped to [0, 1], as it is saved.
        detail: d above.
        robust_scale: s above; ``inf`` for the mean of the difference itself, so that all pull alike.

    Raises:
        ValueError: a weight is negative, ssim_range is not positive, black is positive, white is below 1,
            detail is not in (0, 1], robust_scale is not positive, or a word is none of those named.
    """

    intensity: float = 20.0
    gradient: float = 20.0
    structure: float = 10.0
    ssim_weighting: str = "gradient"
    edges: str = "magnitude"
    ssim_range: float = 1.0
    black: float = 0.0
    white: float = 1.0
    detail: float = 1.0
    robust_scale: float = math.inf

    def __post_init__(self) -> None:
        """Reject settings that are no loss."""
        for name in ("intensity", "gradient", "structure"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"weight {name} must be at least 0, found {getattr(self, name)}")
        if not self.ssim_range > 0:
            raise ValueError(f"ssim_range must be positive, found {self.ssim_range}")
        if not self.black <= 0:
            raise ValueError(f"black must be at most 0, found {self.black}")
        if not self.white >= 1:
            raise ValueError(f"white must be at least 1, found {self.white}")
        if not 0 < self.detail <= 1:
            raise ValueError(f"detail must be above 0 and at most 1, found {self.detail}")
        if not self.robust_scale > 0:
            raise ValueError(f"robust_scale must be positive, found {self.robust_scale}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, found {getattr(self, name)!r}")

    @classmethod
    def vif(cls) -> "FusionLoss":
        """The published weights for infrared and visible pictures: 20, 20, 10; α from the gradients."""
        return cls()

    @classmethod
    def med(cls) -> "FusionLoss":
        """The published weights for medical pictures: 20, 100, 50; α = 0.5."""
        return cls(intensity=20.0, gradient=100.0, structure=50.0, ssim_weighting="equal")

    @classmethod
    def local(cls) -> "FusionLoss":
        """The kit's own: 200, 45, 150, edges with their direction, structure weighed pixel by pixel.

        Black stays black, white stays white, 0.8 of the detail is enough, and the pull to the maximum has
        halved some four grey levels away from it, and goes on fading.
        """
        ends = {"black": -0.02, "white": 1.02}
        return cls(200.0, 45.0, 150.0, "local", "direction", 1 / 3, **ends, detail=0.8, robust_scale=0.02)

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
        brighter = torch.maximum(a, b)
        fused = brighter + (fused - brighter) / self.detail if self.detail < 1 else fused
        intensity = self.intensity * self._distance(fused, self._brightness(brighter)).mean()
        fused = self._saved(fused, brighter)
        gradient = self.gradient * self._edge_error(fused, a, b)
        share = self._share(a, b)
        similarity = (share * self._ssim(a, fused) + (1 - share) * self._ssim(b, fused)).mean()
        structure = self.structure * (1 - similarity)
        return LossTerms(gradient + intensity + structure, gradient, intensity, structure)

    def _distance(self, fused: Tensor, wanted: Tensor) -> Tensor:
        difference = (fused - wanted).abs()
        if math.isinf(self.robust_scale):
            return difference
        return self.robust_scale * torch.log1p(difference / self.robust_scale)

    def _brightness(self, brighter: Tensor) -> Tensor:
        """What L_int asks for, (B, 1, H, W), where the brighter source is ``brighter``."""
        wanted = brighter
        if self.black < 0:
            wanted = torch.where(brighter > 0, wanted, self.black)
        if self.white > 1:
            wanted = torch.where(brighter < _NEARLY_WHITE, wanted, self.white)
        return wanted

    def _saved(self, fused: Tensor, brighter: Tensor) -> Tensor:
        """The picture that the terms without brightness see: as it will be saved, if black or white is aimed beyond."""
        if self.black < 0 or self.white > 1:
            fused = fused.clamp(0, 1)
        return torch.where(brighter < _NEARLY_WHITE, fused, 1.0) if self.white > 1 else fused

    def _ssim(self, source: Tensor, fused: Tensor) -> Tensor:
        return ssim_map(source, fused, self.ssim_range)

    def _edge_error(self, fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if self.edges == "direction":
            return (gradients(fused, "replicate") - stronger_gradients(a, b)).abs().sum(1).mean()
        return (sobel(fused) - torch.maximum(sobel(a), sobel(b))).abs().mean()

    def _share(self, a: Tensor, b: Tensor) -> Tensor:
        """α or λ: how much of the structure is to be a's."""
        if self.ssim_weighting == "local":
            return local_share(a, b, self.ssim_range)
        if self.ssim_weighting == "equal":
            return a.new_tensor(0.5)
        edges_a, edges_b = sobel(a).mean(), sobel(b).mean()
        both = edges_a + edges_b
        return torch.where(both > 0, edges_a / both.clamp(min=torch.finfo(both.dtype).tiny), 0.5)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
