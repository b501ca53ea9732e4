"""Remarks: what a user should know about an image that can be read, but may not show what was meant.

Each is a warning when the image is read, and a problem in the report of :mod:`mambadfuse.data.checking`.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mambadfuse.data.colour import Floats
from mambadfuse.data.stretch import ADVICE, Stored, Stretch, advice
from mambadfuse.files import printable

_log = logging.getLogger("mambadfuse")
_NARROW_PART = {
    12: 0.25,
    16: 0.25,
    32: 1 / 16,
}  # of the range, by bits: an image that uses less is hard to see
_DEAD, _HOT = 1e-3, 0.05  # of the values at either end: dead pixels; a flame, a lamp, the sky between roofs
_LEVELS, _SHARE = 16, 0.25  # an alpha channel with so many levels on so many pixels is more than a soft edge


@dataclass(frozen=True)
class Remark:
    """One remark; ``str(remark)`` is its text.

    Attributes:
        template: the text with %-placeholders, the same for all remarks of a kind.
        values: for the placeholders.
    """

    template: str
    values: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.template % self.values

    def log(self, name: str | Path) -> None:
        """Logs it as a warning about the image of this name."""
        _log.warning("%s: " + self.template, printable(str(name)), *self.values)


def of_values(stored: Stored, stretch: Stretch | None) -> list[Remark]:
    """Remarks on an image that is black, constant, outside its window or in a narrow part of its range."""
    low, high = stored.extent
    if low == high:
        return [Remark("is black") if high == 0 else Remark("is constant: all its values are %g", (high,))]
    if stretch is not None:
        outside = not stretch.percentiles and (high <= stretch.low or low >= stretch.high)
        return [Remark(_OUTSIDE, (low, high, str(stretch)))] if outside else []
    return _of_range(stored)


def _of_range(stored: Stored) -> list[Remark]:
    """A remark on values in a narrow part of their range, or of which all but hot spots and black corners are."""
    if stored.bits not in _NARROW_PART or not stored.white:
        return []
    kind = "floating-point" if stored.bits == 32 else f"{stored.bits}-bit"
    narrow = _NARROW_PART[stored.bits]
    for template, tail, limit, what in (
        (_NARROW, _DEAD, narrow, ADVICE),
        (_MOSTLY_NARROW, _HOT, narrow / 4, advice(5)),
    ):
        low, high = stored.core(tail)
        part = (high - low) / stored.white
        offset_counts = tail == _DEAD or low > high - low  # of most values: a dark ground begins near 0
        if part < limit and offset_counts:
            return [Remark(template, (kind, low, high, 100 * part, what))]
    return []


_OUTSIDE = "has values from %g to %g, all outside the window %s: it becomes constant (percentiles are written 1%% 99%%)"
_NARROW = "its %s values, %g to %g, use %.2g %% of their range, so little of it is seen: %s"
_MOSTLY_NARROW = "most of its %s values, %g to %g, use %.2g %% of their range, so little of them is seen: %s"


def of_alpha(alpha: Floats) -> list[Remark]:
    """A remark on an alpha channel, (H, W) in 0 to 255, that looks like an image of its own."""
    between = alpha[(alpha > 0) & (alpha < 255)]
    levels = len(np.unique(between))
    if between.size < _SHARE * alpha.size or levels < _LEVELS:
        return []
    return [Remark(_ALPHA, (levels,))]


_ALPHA = (
    "its alpha channel looks like an image (%d levels) but is read as transparency, laid on black: "
    "--alpha a takes it as side a, --alpha ignore leaves it out (in Python alpha=...)"
)


def of_frames(count: int) -> list[Remark]:
    """A remark on a file of several pages or frames."""
    return [Remark("holds %d pages or frames; the first is taken", (count,))] if count > 1 else []


_SHOWN = 3  # names of further images


@contextmanager
def first_of_each_kind() -> Iterator[None]:
    """Of the remarks logged meanwhile, shows the first of each kind, and at the end which others there were."""
    names: dict[str, dict[object, None]] = defaultdict(dict)  # each image once, however often it is read

    def is_first(record: logging.LogRecord) -> bool:
        if not (record.msg.startswith("%s: ") and isinstance(record.args, tuple)):
            return True
        names[record.msg][record.args[0]] = None
        return next(iter(names[record.msg])) == record.args[0]

    _log.addFilter(is_first)
    try:
        yield
    finally:
        _log.removeFilter(is_first)
        for first, *more in names.values():
            if more:
                shown = ", ".join(map(str, more[:_SHOWN])) + (", ..." if len(more) > _SHOWN else "")
                _log.warning("%s: %d more like it: %s", first, len(more), shown)
