"""Published scores of other methods on well-known test sets, with the source of each number."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("published_rows.json")


@dataclass(frozen=True)
class PublishedRow:
    """One method on one test set: the mean of each score over all pairs (convention "literature"), and its source."""

    method: str
    means: dict[str, float]
    source: str


@dataclass(frozen=True)
class PublishedSet:
    """The published results on one test set.

    Attributes:
        name: of the test set; it ends in the number of its pairs.
        pairs: that number.
        rows: the methods.
        baselines: the mean scores of :mod:`mambadfuse.fusion.baselines` on the set, by name; empty if unknown. If a
            folder gives other numbers, it holds other images.
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
        ValueError: there are none for a set of that name.
    """
    if test_set not in published_sets():
        known = ", ".join(published_sets())
        raise ValueError(f"no published rows for {test_set!r}: choose one of {known}")
    found, sources = _content()["sets"][test_set], _content()["sources"]
    rows = (PublishedRow(row["method"], row["means"], sources[row["source"]]) for row in found["rows"])
    return PublishedSet(test_set, found["pairs"], tuple(rows), found["baselines"])


@cache
def _content() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))
