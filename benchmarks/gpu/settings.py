"""The sizes of a run: those of the published network and recipe, or small ones by which to try the command."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mambadfuse.models.config import MambaDFuseConfig


@dataclass(frozen=True)
class Settings:
    device: str  # "cuda" or "cpu"
    out: Path  # folder of the report and of the weights that the recipe trains
    minutes: float  # of the recipe
    pairs: tuple[str, str] | None = None  # two folders to train on; None for the pairs of the kit
    network: MambaDFuseConfig = field(default_factory=MambaDFuseConfig.published)
    shapes: tuple[tuple[int, int, int, int], ...] = (
        (2, 20, 18, 4),
        (1, 1, 3, 1),
        (2, 257, 33, 17),
        (2, 1000, 120, 16),
    )
    """Of the operations that are compared: batch, length, channels, states."""
    pair: tuple[int, int] = (96, 128)  # the made-up pair on which outputs are compared
    image: tuple[int, int] = (480, 640)  # to fuse
    batch: int = 12  # crops of a training step
    crop: int = 128
    patience: float = 12.0  # seconds to time one call, again and again
    limit: float = 900.0  # seconds after which a case is given up; the recipe has its own minutes besides
    budget: str = "gpu"  # of the recipe
    changes: tuple[str, ...] = ()  # of its settings


def small(settings: Settings) -> Settings:
    """The same on sizes that take seconds."""
    tiny = MambaDFuseConfig(
        dim=8, state=4, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
    )
    return replace(
        settings,
        network=tiny,
        shapes=((2, 20, 18, 4),),
        pair=(8, 12),
        image=(48, 64),
        batch=2,
        crop=16,
        patience=0.01,
        budget="minutes",
        changes=("model.dim=8", "model.state=4", "batch=2", "crop_sizes=16x16", "log_every=1"),
    )
