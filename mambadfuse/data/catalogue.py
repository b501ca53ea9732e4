"""The catalogue: the data sets the kit knows by name, where they come from, and on what terms."""

import csv
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_REGISTRY = Path(__file__).with_name("registry")


@dataclass(frozen=True)
class Source:
    """Where the files are: a public repository at one commit, and the paths of both sides of a pair."""

    repository: str
    commit: str
    a: str
    b: str


@dataclass(frozen=True)
class Entry:
    """One pair: its name, and the SHA-256 of both files if they are known."""

    split: str
    name: str
    sha256_a: str | None = None
    sha256_b: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A set of pairs as its source describes it; the attributes are those of ``registry/datasets.toml``.

    Attributes:
        source: None if no checksums are known; the set must then be fetched by hand.
        entries: the pairs that are listed by name.
        pairs: the number of pairs by split.
        picture: width and height, if all images share them.
    """

    name: str
    title: str
    task: str
    origin: str
    size: str
    terms: str
    note: str
    source: Source | None
    entries: tuple[Entry, ...]
    pairs: dict[str, int]
    picture: tuple[int, int] | None

    def split(self, name: str) -> tuple[Entry, ...]:
        """The listed pairs of one split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in self.pairs:
            raise ValueError(
                f"{self.name} has no split {name!r}: choose one of {', '.join(self.pairs)}. {self.note}"
            )
        return tuple(entry for entry in self.entries if entry.split == name)


def names() -> list[str]:
    """The names of all data sets."""
    return list(_facts())


def load(name: str) -> Dataset:
    """One data set of the catalogue.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in _facts():
        raise ValueError(f"unknown data set {name!r}: choose one of {', '.join(names())}")
    facts = dict(_facts()[name])
    source, picture = facts.pop("source", None), facts.pop("picture", None)
    entries = _entries(_REGISTRY / f"{name}.csv")
    return Dataset(
        name=name,
        source=Source(**source) if source else None,
        entries=entries,
        pairs=facts.pop("pairs", None) or dict(Counter(entry.split for entry in entries)),
        picture=tuple(picture) if picture else None,
        **facts,
    )


def describe(name: str | None = None) -> str:
    """All data sets as a table, or everything known of one.

    Raises:
        ValueError: there is none of that name.
    """
    if name is not None:
        return _describe_one(load(name))
    rows = [("name", "task", "pairs", "how to get it")]
    for dataset in map(load, names()):
        how = "by hand" if dataset.source is None else f"mambadfuse data get {dataset.name}"
        rows.append((dataset.name, dataset.task, _pairs(dataset), how))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


@cache
def _facts() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_REGISTRY / "datasets.toml").read_text(encoding="utf-8"))


def _entries(path: Path) -> tuple[Entry, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(Entry(**row) for row in csv.DictReader(file))


def _pairs(dataset: Dataset) -> str:
    total = sum(dataset.pairs.values())
    parts = ", ".join(f"{split} {count}" for split, count in dataset.pairs.items())
    return str(total) if list(dataset.pairs) == ["all"] else f"{total} ({parts})"


def _describe_one(dataset: Dataset) -> str:
    if dataset.source is None:
        files = f"no checksums known: fetch it by hand, then mambadfuse data check FOLDER --as {dataset.name}"
    else:
        source = dataset.source
        files = f"https://github.com/{source.repository} at {source.commit}, SHA-256 of every file known"
    facts = {
        "task": dataset.task,
        "pairs": _pairs(dataset),
        "size": dataset.size,
        "origin": dataset.origin,
        "terms": dataset.terms,
        "files": files,
        "note": dataset.note,
    }
    return "\n".join([f"{dataset.name}: {dataset.title}", *(f"  {key:7}{v}" for key, v in facts.items())])
