"""The options of fusing: what decides the pixels of a result beside the images and the network."""

from dataclasses import dataclass, field

from mambadfuse.alignment.motion import check_model
from mambadfuse.data.reading import PairReading
from mambadfuse.fusion.postprocess import check_contrast

COLOURS = ("auto", "a", "b", "grey")


@dataclass(frozen=True)
class FusionOptions:
    """How a pair is fused.

    Attributes:
        colour: whose chroma the result gets, as in :func:`mambadfuse.fuse`.
        contrast: as there; None takes that of the network.
        bits: as there.
        reading: how the two images are read.
        align: the motion by which side a is first moved onto side b, as in :func:`mambadfuse.fuse`; None for none.

    Raises:
        ValueError: an option has an unknown value; the message names it.
    """

    colour: str = "auto"
    contrast: float | None = None
    bits: int = 8
    reading: PairReading = field(default_factory=PairReading)
    align: str | None = None

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise ValueError(f"colour must be one of {', '.join(COLOURS)}, found {self.colour!r}")
        if self.contrast is not None:
            check_contrast(self.contrast)
        if self.bits not in (8, 16):
            raise ValueError(f"bits must be 8 or 16, found {self.bits!r}")
        if self.align is not None:
            check_model(self.align)
