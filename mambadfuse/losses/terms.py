"""The image operators that the losses are built from: blur, Sobel derivatives, SSIM.

Letters: B batch, H and W image size. Images are (B, 1, H, W) in [0, 1] unless stated otherwise.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW, _SIGMA = 11, 1.5  # the Gaussian window of SSIM
_GRAIN = 0.02  # standard deviation of a texture that counts half
_K1, _K2 = 0.01, 0.03  # the constants of SSIM: C1 = (K1 R)², C2 = (K2 R)², R the range of values


def blur(x: Tensor, sigma: float, radius: int) -> Tensor:
    """Convolve every channel with a normalised Gaussian, first along rows, then along columns.

    Zeros stand outside the border. The weights are rounded to float32 before they take the type of ``x``.

    Args:
        x: (B, M, H, W), any number of channels M.
        sigma: standard deviation in pixels.
        radius: the window is 2 radius + 1 pixels wide.

    Returns:
        (B, M, H, W).

    >>> round(blur(torch.ones(1, 1, 9, 9), sigma=1.0, radius=3)[0, 0, 4, 4].item(), 4)
    1.0
    """
    channels = x.shape[1]
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32, device=x.device)
    weight = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel = (weight / weight.sum()).to(x.dtype).repeat(channels, 1, 1, 1)  # (M, 1, 1, 2 radius + 1)
    x = F.conv2d(x, kernel, padding=(0, radius), groups=channels)
    return F.conv2d(x, kernel.transpose(2, 3), padding=(radius, 0), groups=channels)


def gradients(x: Tensor, border: Literal["zeros", "replicate"] = "zeros") -> Tensor:
    """The Sobel derivatives (g_x, g_y) of each image.

    Args:
        x: images, (B, 1, H, W).
        border: padding: "zeros", or "replicate" to repeat the nearest pixel, which makes no edge at the border.

    Returns:
        (B, 2, H, W); each at most 4 times the range of x.

    Raises:
        ValueError: the padding is neither "zeros" nor "replicate".

    >>> ramp = torch.arange(5.0).expand(1, 1, 5, 5)
    >>> gradients(ramp)[0, :, 2, 2].tolist()
    [8.0, 0.0]
    """
    if border not in ("zeros", "replicate"):
        raise ValueError(f"border must be 'zeros' or 'replicate', found {border!r}")
    right = x.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([right, right.T]).unsqueeze(1)  # (2, 1, 3, 3)
    if border == "replicate":
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels)
    return F.conv2d(x, kernels, padding=1)


def sobel(x: Tensor) -> Tensor:
    """The Sobel magnitude |g_x| + |g_y| of each image, padded with zeros.

    Args:
        x: images, (B, 1, H, W).

    Returns:
        (B, 1, H, W), at least 0; at most 8 times the range of x.
    """
    return gradients(x).abs().sum(1, keepdim=True)


class SSIMMaps(NamedTuple):
    """The two factors of SSIM around each pixel, (B, 1, H, W) each; SSIM is their product."""

    luminance: Tensor
    """The factor of the means: is the brightness equal?"""
    structure: Tensor
    """The factor of variances and covariance: do contrast and structure agree?"""


def ssim_maps(x: Tensor, y: Tensor, value_range: float = 1.0) -> SSIMMaps:
    """The structural similarity of two images around each pixel (Wang et al. 2004), in its two factors.

        SSIM = (2 μ_x μ_y + C1)(2 σ_xy + C2) / ((μ_x² + μ_y² + C1)(σ_x² + σ_y² + C2))

    μ and σ are taken in an 11 x 11 Gaussian window (standard deviation 1.5) around every pixel, with zeros outside
    the border. The window is separable, so two passes of 11 weights replace one of 121. The weights are rounded to
    float32, as published; the published code rounds their 121 products too, which moves a float64 result by about
    1e-7.

    Args:
        x: images in [0, 1], (B, 1, H, W).
        y: images in [0, 1], (B, 1, H, W).
        value_range: R in C1 = (0.01 R)² and C2 = (0.03 R)². A smaller R makes fainter structure count.

    Returns:
        Both maps, each at most 1, and 1 where x equals y. Symmetric in x and y.
    """
    c1, c2 = (_K1 * value_range) ** 2, (_K2 * value_range) ** 2
    moments = torch.cat([x, y, x * x, y * y, x * y], dim=1)  # (B, 5, H, W)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = blur(moments, _SIGMA, _WINDOW // 2).split(1, dim=1)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance, variances = mean_xy - product, mean_xx + mean_yy - squares
    return SSIMMaps((2 * product + c1) / (squares + c1), (2 * covariance + c2) / (variances + c2))


def ssim_map(x: Tensor, y: Tensor, value_range: float = 1.0) -> Tensor:
    """SSIM around each pixel, (B, 1, H, W) in [-1, 1]: the product of the two :func:`ssim_maps`."""
    luminance, structure = ssim_maps(x, y, value_range)
    return luminance * structure


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean of :func:`ssim_map`: one number in [-1, 1] for the whole batch.

    >>> x = torch.rand(2, 1, 16, 16)
    >>> round(ssim(x, x).item(), 4)
    1.0
    """
    return ssim_map(x, y).mean()


def local_moments(x: Tensor, sigma: float, radius: int) -> tuple[Tensor, Tensor]:
    """Mean and variance around each pixel under a Gaussian; pixels outside the border do not count.

    Args:
        x: images, (B, 1, H, W).
        sigma: standard deviation of the Gaussian in pixels.
        radius: the window is 2 radius + 1 pixels wide.

    Returns:
        Both (B, 1, H, W); the variance is at least 0.
    """
    weight, mean, square = blur(torch.cat([torch.ones_like(x), x, x * x], dim=1), sigma, radius).split(
        1, dim=1
    )
    mean = mean / weight
    return mean, (square / weight - mean**2).clamp(min=0)


def local_share(a: Tensor, b: Tensor, value_range: float = 1.0) -> Tensor:
    """λ, the share of a in the local variance of both images.

        λ = (σ_a² + C1) / (σ_a² + σ_b² + 2 C1)

    C1 = (0.01 R)² is that of SSIM, with R the ``value_range``: a standard deviation below 0.01 R (2.5 grey levels of
    255 for R = 1) counts as flat.

    Args:
        a: images in [0, 1], (B, 1, H, W).
        b: images in [0, 1], (B, 1, H, W).
        value_range: R.

    Returns:
        (B, 1, H, W) in (0, 1); 0.5 where both are flat.
    """
    flat = (_K1 * value_range) ** 2
    variance_a, variance_b = _variances(a, b)
    return (variance_a + flat) / (variance_a + variance_b + 2 * flat)


def texture(a: Tensor, b: Tensor) -> Tensor:
    """τ: 0 where both images are flat, 1 where either is textured.

        τ = (σ_a² + σ_b²) / (σ_a² + σ_b² + 0.02²)

    Half of it is reached at a standard deviation of 5 grey levels: the grain of a photographed sky counts as flat.

    Args:
        a: images in [0, 1], (B, 1, H, W).
        b: images in [0, 1], (B, 1, H, W).

    Returns:
        (B, 1, H, W) in [0, 1).
    """
    variance_a, variance_b = _variances(a, b)
    both = variance_a + variance_b
    return both / (both + _GRAIN**2)


def _variances(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Those in the window of SSIM."""
    return local_moments(a, _SIGMA, _WINDOW // 2)[1], local_moments(b, _SIGMA, _WINDOW // 2)[1]
