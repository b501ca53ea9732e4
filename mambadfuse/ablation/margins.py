"""Margins: the smallest difference of each metric that matters, below which two rows are equal."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mambadfuse.ablation.scoring import KNOWN


@dataclass(frozen=True)
class Margins:
    """The margin of each metric, absolute or as a share of the baseline's mean.

    Attributes:
        of: by metric, ``(number, whether it is a share)``; "" stands for all metrics that are not named.
    """

    of: Mapping[str, tuple[float, bool]]

    def __call__(self, metric: str, mean: float) -> float:
        """The margin of a metric with this mean of the baseline; NaN if none is set.

        >>> margins = read_margins(["2%", "VIF=0.01"])
        >>> margins("Qabf", 0.5), margins("VIF", 0.5)
        (0.01, 0.01)
        """
        number, share = self.of.get(metric, self.of.get("", (math.nan, False)))
        return number * abs(mean) if share else number


def read_margins(texts: Iterable[str]) -> Margins:
    """Margins as the command line takes them: ``VIF=0.01``, ``VIF=2%``, or ``2%`` for all metrics not named.

    Raises:
        ValueError: a margin is not a number above 0, one for all metrics is no percentage, or there is no such metric.
    """
    of = {}
    for text in texts:
        metric, _, number = text.rpartition("=")
        share = number.endswith("%")
        try:
            value = float(number.removesuffix("%")) / (100 if share else 1)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise ValueError(f"margin {text!r}: expected a number above 0, such as VIF=0.01 or 2%")
        if not (metric or share):
            raise ValueError(f"margin {text!r}: without a metric it must be a percentage, such as 2%")
        if metric and metric not in KNOWN:
            raise ValueError(f"margin {text!r}: unknown metric {metric!r}: choose from {', '.join(KNOWN)}")
        of[metric] = (value, share)
    return Margins(of)
