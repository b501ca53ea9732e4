"""The training loss: intensity, gradient, structure and range of the fused image, compared with both sources.

L = w_int · L_int + w_grad · L_grad + w_ssim · L_ssim + w_over · L_over
"""

from dataclasses import replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from mambadfuse.components import is_component, named_component
from mambadfuse.losses.config import FusionLossConfig
from mambadfuse.losses.local import (
    direction_term,
    intensity_target,
    overshoot_term,
    robust_intensity_term,
    similarity_map,
)
from mambadfuse.losses.published import gradient_share, gradient_term, structure_term
from mambadfuse.losses.terms import local_share, texture


class LossTerms(NamedTuple):
    """The weighted terms of one loss, each a scalar; ``total`` is the sum of the others."""

    total: Tensor
    gradient: Tensor
    intensity: Tensor
    structure: Tensor
    overshoot: Tensor


class FusionLoss(nn.Module):
    """The loss of a batch of fused images. It has no parameters.

    The presets are :meth:`vif` and :meth:`med`, the published loss (:mod:`mambadfuse.losses.published`), and
    :meth:`local`, the kit's own (:mod:`mambadfuse.losses.local`).

    >>> fused, a, b = torch.rand(3, 2, 1, 16, 16)
    >>> terms = FusionLoss.vif()(fused.requires_grad_(), a, b)
    >>> terms.total.backward()
    >>> loss = FusionLoss(FusionLossConfig.local(), glare=0.3)

    Args:
        config: all settings; the default is ``FusionLossConfig.vif()``.
        **settings: single settings of :class:`~mambadfuse.losses.FusionLossConfig` that replace those of ``config``.

    Raises:
        ValueError: a setting is out of range.
        TypeError: there is no setting of that name.
    """

    def __init__(self, config: FusionLossConfig | None = None, **settings: Any) -> None:
        super().__init__()
        self.config = replace(config or FusionLossConfig(), **settings)

    @classmethod
    def vif(cls) -> Self:
        """See :meth:`FusionLossConfig.vif`."""
        return cls(FusionLossConfig.vif())

    @classmethod
    def med(cls) -> Self:
        """See :meth:`FusionLossConfig.med`."""
        return cls(FusionLossConfig.med())

    @classmethod
    def local(cls) -> Self:
        """See :meth:`FusionLossConfig.local`."""
        return cls(FusionLossConfig.local())

    def forward(self, fused: Tensor, a: Tensor, b: Tensor) -> LossTerms:
        """The weighted terms for a batch; symmetric in a and b.

        Half-precision images are computed in float32, under autocast too: SSIM subtracts nearly equal numbers.

        Args:
            fused: the network's output, (B, 1, H, W).
            a: first source in [0, 1], (B, 1, H, W).
            b: second source in [0, 1], (B, 1, H, W).

        Raises:
            ValueError: the shapes differ or are not (B, 1, H, W).
        """
        for name, image in (("fused", fused), ("a", a), ("b", b)):
            if image.ndim != 4 or image.shape[1] != 1 or image.shape != fused.shape:
                expected = f"(B, 1, H, W) as fused {tuple(fused.shape)}"
                raise ValueError(f"{name} must have shape {expected}, found {tuple(image.shape)}")
        with torch.autocast(fused.device.type, enabled=False):
            return self._terms(_at_least_float32(fused), _at_least_float32(a), _at_least_float32(b))

    def extra_repr(self) -> str:
        """The settings, for ``print(loss)``."""
        return repr(self.config)

    def _terms(self, fused: Tensor, a: Tensor, b: Tensor) -> LossTerms:
        c = self.config
        textured = texture(a, b) if c.flat == "intensity" else torch.ones_like(a)
        target = intensity_target(a, b, c.glare)
        intensity = c.intensity * robust_intensity_term(
            fused, target, c.robust_scale, textured, c.flat_weight
        )
        compare_edges = direction_term if c.edges == "direction" else gradient_term
        gradient = c.gradient * compare_edges(fused, a, b)
        structure = c.structure * self._structure(fused, a, b, textured)
        overshoot = c.overshoot * overshoot_term(fused, a, b)
        return LossTerms(
            gradient + intensity + structure + overshoot, gradient, intensity, structure, overshoot
        )

    def _structure(self, fused: Tensor, a: Tensor, b: Tensor, textured: Tensor) -> Tensor:
        share, value_range = self._share(a, b), self.config.ssim_range
        if self.config.flat == "all":
            return structure_term(fused, a, b, share, value_range)
        similarity_a, similarity_b = (similarity_map(x, fused, value_range, textured) for x in (a, b))
        return 1 - (share * similarity_a + (1 - share) * similarity_b).mean()

    def _share(self, a: Tensor, b: Tensor) -> Tensor:
        """α, a scalar, or λ, (B, 1, H, W): how much of the structure term belongs to a."""
        if self.config.ssim_weighting == "local":
            return local_share(a, b, self.config.ssim_range)
        if self.config.ssim_weighting == "equal":
            return a.new_tensor(0.5)
        return gradient_share(a, b)


class OneTerm(NamedTuple):
    """A loss that is not made of terms."""

    total: Tensor


class OwnLoss(nn.Module):
    """A loss of your own, ``module:Class``.

    The class, a ``torch.nn.Module``, is built with the configuration and called with ``fused``, ``a`` and ``b``,
    (B, 1, H, W) each, in float32 or float64. It returns a scalar, or a named tuple of scalars one of which is
    ``total``, as :class:`LossTerms`.

    Raises:
        ValueError: there is no such class, it has parameters, which nothing would train, or it returns something else.
    """

    def __init__(self, config: FusionLossConfig) -> None:
        super().__init__()
        self.name = config.criterion
        self.own = named_component(config.criterion, nn.Module)(config)
        if any(True for _ in self.own.parameters()):
            raise ValueError(f"{self.name}: has parameters, and only those of the network are trained")

    def forward(self, fused: Tensor, a: Tensor, b: Tensor) -> Any:
        """The terms for a batch, a named tuple with ``total``."""
        with torch.autocast(fused.device.type, enabled=False):
            found = self.own(_at_least_float32(fused), _at_least_float32(a), _at_least_float32(b))
        terms = OneTerm(found) if isinstance(found, Tensor) else found
        scalars = "total" in getattr(terms, "_fields", ()) and all(
            isinstance(term, Tensor) and term.numel() == 1 for term in terms
        )
        if not scalars:
            raise ValueError(
                f"{self.name}: expected a scalar, or a named tuple of scalars with a total, found {found!r:.200}"
            )
        return terms


def build_loss(config: FusionLossConfig) -> nn.Module:
    """The loss that ``config.criterion`` names; it returns a named tuple with ``total``."""
    return OwnLoss(config) if is_component(config.criterion) else FusionLoss(config)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
