"""The settings of the training loss, as plain data, and its three presets."""

import math
from dataclasses import dataclass
from typing import Literal, Self, get_args, get_origin, get_type_hints

from mambadfuse.components import is_component

KIT = "fusion"


@dataclass(frozen=True)
class FusionLossConfig:
    """Weights and variants of :class:`~mambadfuse.losses.FusionLoss`. The defaults are :meth:`vif`.

    The first four settings choose the published loss (:mod:`mambadfuse.losses.published`), the others replace or
    extend its terms (:mod:`mambadfuse.losses.local`).

    >>> FusionLossConfig.med().gradient
    100.0

    Raises:
        ValueError: a weight is negative or infinite, ssim_range or robust_scale is not positive, glare is not in
            [0, 1], ssim_weighting, edges or flat is not one of its choices, or criterion is not formed like a name.
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
    robust_scale: float = math.inf
    """s: the scale of the robust L_int; ``inf`` is the plain mean difference."""
    flat: Literal["all", "intensity"] = "all"
    """Which terms decide on the brightness of a region that is flat in both sources: "all", or L_int alone, which is
    then not robust there."""
    flat_weight: float = 1.0
    """w: how much more a pixel of such a region counts in L_int, with flat = "intensity"."""
    glare: float = 0.0
    """k: the share of its contrast with which one source is shown, below white, where the other is saturated."""
    overshoot: float = 0.0
    """Weight of L_over."""
    criterion: str = KIT
    """What computes the loss: "fusion" is :class:`~mambadfuse.losses.FusionLoss`; or a class of your own,
    "module:Class" (:mod:`mambadfuse.components`), which decides what all other settings mean."""

    def __post_init__(self) -> None:
        """Reject settings that are out of range."""
        if self.criterion != KIT and not is_component(self.criterion):
            raise ValueError(
                f"criterion must be {KIT!r} or a name such as my_module:MyLoss, found {self.criterion!r}"
            )
        for name in ("intensity", "gradient", "structure", "flat_weight", "overshoot"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"weight {name} must be at least 0 and finite, found {getattr(self, name)}")
        if not 0 < self.ssim_range < math.inf:
            raise ValueError(f"ssim_range must be positive and finite, found {self.ssim_range}")
        if not 0 <= self.glare <= 1:
            raise ValueError(f"glare must be in [0, 1], found {self.glare}")
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
        """The kit's own loss: 100, 45, 150, signed edges, structure weighted per pixel.

        Flat regions follow the intensity alone and count threefold in it, the pull towards its target is halved 25 grey
        levels away from it where there is texture, targets in glare keep half their contrast, and a weight of 500 keeps
        the result in the range of its sources.
        """
        return cls(
            intensity=100.0,
            gradient=45.0,
            structure=150.0,
            ssim_weighting="local",
            edges="direction",
            ssim_range=1 / 3,
            robust_scale=0.1,
            flat="intensity",
            flat_weight=3.0,
            glare=0.5,
            overshoot=500.0,
        )
