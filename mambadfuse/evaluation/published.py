"""Published scores: what other methods reach on well-known test sets, and where each number comes from."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published_rows.json")


@dataclass(frozen=True)
class PublishedRow:
    """One method on one test set: the mean of each score over all pairs, under "literature", and its source."""

    method: str
    means: dict[str, float]
    source: str


@dataclass(frozen=True)
class PublishedSet:
    """What is known of one test set.

    Attributes:
        name: of the set; the number in it counts its pairs.
        pairs: that number.
        rows: the methods.
        baselines: the means of :mod:`mambadfuse.fusion.baselines` on it, by name; none where unknown. Whoever
            gets other numbers has other pictures.
    """

    name: str
    pairs: int
    rows: tuple[PublishedRow, ...]
    baselines: dict[str, dict[str, float]]


def published_sets() -> list[str]:
    """The names of the test sets with published rows."""
    return list(_content()["sets"])


def published(test_set: str) -> PublishedSet:
    """The published rows of one test set.

    Raises:
        ValueError: none are known of a set of that name.
    """
    if test_set not in published_sets():
        known = ", ".join(published_sets())
        raise ValueError(f"no published rows are known of {test_set!r}: choose one of {known}")
    found, sources = _content()["sets"][test_set], _content()["sources"]
    rows = (PublishedRow(row["method"], row["means"], sources[row["source"]]) for row in found["rows"])
    return PublishedSet(test_set, found["pairs"], tuple(rows), found["baselines"])


@cache
def _content() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))
