"""The settings of the training loss, as plain data, and its three presets."""

import math
from dataclasses import dataclass
from typing import Literal, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class FusionLossConfig:
    """Weights and variants of :class:`~mambadfuse.losses.FusionLoss`. The defaults are :meth:`vif`.

    The first four settings choose the published loss (:mod:`mambadfuse.losses.published`), the others replace or
    extend its terms (:mod:`mambadfuse.losses.local`).

    >>> FusionLossConfig.med().gradient
    100.0

    Raises:
        ValueError: a weight is negative, ssim_range is not positive, black is positive, white is below 1,
            detail is not in (0, 1], robust_scale is not positive, or ssim_weighting or edges is not one of its choices.
    """

    intensity: float = 20.0
    """Weight of L_int."""
    gradient: float = 20.0
    """Weight of L_grad."""
    structure: float = 10.0
    """Weight of L_ssim."""
    ssim_weighting: Literal["gradient", "equal", "local"] = "gradient"
    """How L_ssim is divided between a and b: "gradient" by their mean Sobel magnitudes over the batch, "equal" in
    halves, "local" per pixel, by their local variances."""
    edges: Literal["magnitude", "direction"] = "magnitude"
    """What L_grad compares. "magnitude": |∇f| with the larger of |∇a| and |∇b|; "direction": both derivatives of f with
    those of the source that has the stronger edges around the pixel."""
    ssim_range: float = 1.0
    """R in the constants of SSIM and of the local variances; 1 is the range of the images. A smaller R makes fainter
    structure count."""
    black: float = 0.0
    """Target of L_int where a and b are 0. Below 0, the other two terms see f clamped to [0, 1], as it is saved."""
    white: float = 1.0
    """Target of L_int where a or b is nearly white, at least 0.98. Above 1, the other two terms see f clamped to
    [0, 1], and set to 1 at these pixels."""
    detail: float = 1.0
    """d: the share of the detail that f should carry."""
    robust_scale: float = math.inf
    """s: the scale of the robust L_int; ``inf`` is the plain mean difference."""

    def __post_init__(self) -> None:
        """Reject settings that are out of range."""
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
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} must be one of {get_args(kind)}, found {getattr(self, name)!r}")

    @classmethod
    def vif(cls) -> Self:
        """The published weights for infrared-visible pairs: 20, 20, 10; α from the gradients."""
        return cls()

    @classmethod
    def med(cls) -> Self:
        """The published weights for medical pairs: 20, 100, 50; α = 0.5."""
        return cls(intensity=20.0, gradient=100.0, structure=50.0, ssim_weighting="equal")

    @classmethod
    def local(cls) -> Self:
        """The kit's own loss: 200, 45, 150, signed edges, structure weighted per pixel.

        Black stays black, white stays white, 0.8 of the detail is enough, and the pull towards the maximum is halved
        about four grey levels away from it.
        """
        return cls(
            intensity=200.0,
            gradient=45.0,
            structure=150.0,
            ssim_weighting="local",
            edges="direction",
            ssim_range=1 / 3,
            black=-0.02,
            white=1.02,
            detail=0.8,
            robust_scale=0.02,
        )
