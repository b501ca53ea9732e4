"""How the two images of a pair are read: stretched, with or without their alpha channel, resized to one size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mambadfuse.data.colour import Floats
from mambadfuse.data.discovery import find_images_with_alpha, find_pairs
from mambadfuse.data.images import read_values
from mambadfuse.data.inputs import ImageLike, to_float_batch
from mambadfuse.data.pairs import Pair, PairSet
from mambadfuse.data.resize import SIDES, resize_to, same_shape
from mambadfuse.data.stretch import Stretch, StretchLike, require_finite

ALPHAS = ("black", "ignore", "a")


@dataclass(frozen=True)
class SideReading:
    """How one image is read; the options are those of :func:`mambadfuse.read_image`."""

    stretch: Stretch | None = None
    alpha: str = "black"


@dataclass(frozen=True)
class PairReading:
    """How the two images of a pair are read.

    >>> from mambadfuse.data.reading import PairReading
    >>> PairReading.of(stretch=(20, 40), alpha="ignore").settings()
    {'stretch': '20 40', 'alpha': 'ignore'}

    Attributes:
        stretch: of side a; None leaves its values as they are.
        stretch_b: of side b.
        resize: the side, "a" or "b", that is resized to the size of the other; None for neither.
        alpha: "black" lays images on black by their alpha channel, "ignore" leaves it out, "a" takes that of side a
            as side a and leaves out that of side b.

    Raises:
        ValueError: an option has an unknown value.
    """

    stretch: Stretch | None = None
    stretch_b: Stretch | None = None
    resize: str | None = None
    alpha: str = "black"

    def __post_init__(self) -> None:
        if self.resize not in (None, *SIDES):
            raise ValueError(f"resize must be one of {', '.join(SIDES)}, or None, found {self.resize!r}")
        if self.alpha not in ALPHAS:
            raise ValueError(f"alpha must be one of {', '.join(ALPHAS)}, found {self.alpha!r}")

    @classmethod
    def of(
        cls,
        stretch: StretchLike | Stretch | None = None,
        stretch_b: StretchLike | Stretch | None = None,
        resize: str | None = None,
        alpha: str = "black",
    ) -> "PairReading":
        """The reading with these options, as :func:`mambadfuse.fuse` takes them.

        Raises:
            ValueError: an option has an unknown value.
        """
        window, window_b = (None if bounds is None else Stretch.of(bounds) for bounds in (stretch, stretch_b))
        return cls(window, window_b, resize, alpha)

    @property
    def sides(self) -> tuple[SideReading, SideReading]:
        """How side a is read, and side b."""
        alpha_a, alpha_b = ("only", "ignore") if self.alpha == "a" else (self.alpha, self.alpha)
        return SideReading(self.stretch, alpha_a), SideReading(self.stretch_b, alpha_b)

    def find_pairs(self, a: str | Path | PairSet, b: str | Path | None = None) -> PairSet:
        """As :func:`~mambadfuse.data.discovery.find_pairs`; with alpha = "a", the images of one folder.

        Raises:
            PairError: there are none.
            ValueError: for alpha channels, two folders are given.
        """
        if self.alpha == "a" and not isinstance(a, PairSet):
            return find_images_with_alpha(a, b)
        return find_pairs(a, b)

    def read(self, a: ImageLike, b: ImageLike) -> tuple[Floats, Floats]:
        """Both images, float32 in [0, 1], (B, H, W, C), C = 1 or 3; without ``resize`` their sizes may differ.

        Raises:
            ImageError, ValueError, TypeError: as :func:`mambadfuse.fuse`.
        """
        side_a, side_b = self.sides
        pixels_a = to_float_batch(a, "a", side_a.stretch, side_a.alpha)
        pixels_b = to_float_batch(b, "b", side_b.stretch, side_b.alpha)
        if self.resize == "a":
            pixels_a = _resized(pixels_a, pixels_b, named("a", a))
        elif self.resize == "b":
            pixels_b = _resized(pixels_b, pixels_a, named("b", b))
        return pixels_a, pixels_b

    def over(self, pairs: Sequence[Pair]) -> "PairReading":
        """The same with percentiles taken over all a sides together, and over all b sides.

        Images that cannot be read are left out.

        Raises:
            ValueError: no image of a side can be read, or all have the same value at both percentiles.
        """

        def window(side: SideReading, files: list[Path], name: str) -> Stretch | None:
            try:
                return side.stretch and side.stretch.window(_readable(files, side.alpha), len(files))
            except ValueError as error:
                raise ValueError(f"side {name} {error}") from None

        side_a, side_b = self.sides
        return replace(
            self,
            stretch=window(side_a, [pair.a for pair in pairs], "a"),
            stretch_b=window(side_b, [pair.b for pair in pairs], "b"),
        )

    def settings(self) -> dict[str, str]:
        """The options that differ from the default, as texts."""
        options = {
            name: getattr(self, name)
            for name in ("stretch", "stretch_b", "resize", "alpha")
            if getattr(self, name) != getattr(PairReading, name)
        }
        return {name: str(value) for name, value in options.items()}


def _readable(files: Sequence[Path], alpha: str) -> Iterator[NDArray[Any]]:
    """The stored values of the files that can be read."""
    for file in files:
        try:
            values = read_values(file, alpha=alpha)
            require_finite(values)
        except ValueError:
            continue
        yield values


def _resized(pixels: Floats, other: Floats, name: str) -> Floats:
    try:
        return resize_to(pixels, *other.shape[1:3])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def named(side: str, source: ImageLike) -> str:
    """A side as messages call it: with its file, if it is one.

    >>> from mambadfuse.data.reading import named
    >>> named("a", "ir/1.png")
    'a (ir/1.png)'
    """
    return f"{side} ({source})" if isinstance(source, str | Path) else side


def require_one_size(a: Floats, b: Floats, sources: tuple[ImageLike, ImageLike]) -> None:
    """Refuses two batches of images, (B, H, W, C), of different number or size; files among the sources are named.

    Raises:
        ValueError: they differ; the message says what to do.
    """
    if a.shape[:3] != b.shape[:3]:
        both = " and ".join(map(named, "ab", sources))
        raise ValueError(f"{both} must be of one size, found {_size(a)} and {_size(b)}{_advice(a, b)}")


def _size(pixels: Floats) -> str:
    count, height, width, _ = pixels.shape
    return f"{width}x{height}" if count == 1 else f"{count} times {width}x{height}"


def _advice(a: Floats, b: Floats) -> str:
    """What to do about two sizes, for the end of a message."""
    (count_a, *size_a), (count_b, *size_b) = a.shape[:3], b.shape[:3]
    if count_a != count_b:
        return ""
    if not same_shape((size_a[0], size_a[1]), (size_b[0], size_b[1])):
        return ": their aspect ratios differ, so one of them is cropped or squeezed"
    side = "a" if size_a < size_b else "b"
    return f': resize the smaller one with --resize {side} (in Python resize="{side}"), if both show the same scene'
