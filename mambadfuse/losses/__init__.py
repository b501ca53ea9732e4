"""Training losses."""

from mambadfuse.losses.fusion_loss import FusionLoss, LossTerms

__all__ = ["FusionLoss", "LossTerms"]
