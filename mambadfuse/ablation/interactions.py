"""Interactions: do two changes together do more, or less, than the sum of what each does alone?

Four rows form a 2 x 2 design: the baseline, change A, change B, and A with B. For every seed that all four have, the
interaction is the difference of differences (AB - B) - (A - baseline). It is 0 if the effects add up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mambadfuse.ablation.statistics import LEVEL, Estimate, estimate, holm
from mambadfuse.ablation.store import Result
from mambadfuse.ablation.verdicts import FEWEST_SEEDS


@dataclass(frozen=True)
class Interaction:
    """How much the effect of two changes together differs from the sum of their effects, in one metric.

    Attributes:
        both: the row with both changes.
        parts: the rows with one of them each.
        seeds: estimate from one difference of differences for each seed, a mean over images.
        p: corrected for the number of interactions (Holm); NaN for fewer than three seeds.
    """

    both: str
    parts: tuple[str, str]
    seeds: Estimate
    p: float

    @property
    def mark(self) -> str:
        """ "*" if significant, else empty."""
        return "*" if self.p < LEVEL else ""


def designs(configs: Mapping[str, Mapping[str, Any]], baseline: str) -> list[tuple[str, str, str]]:
    """The rows (A, B, AB) whose changes to the baseline's configuration are such that AB has those of A and of B.

    >>> base = {"gate": "own", "period": 2}
    >>> rows = {"g": {"gate": "shared"}, "x": {"period": 0}, "g+x": {"gate": "shared", "period": 0}}
    >>> designs({"default": base, **{name: base | changes for name, changes in rows.items()}}, "default")
    [('g', 'x', 'g+x')]
    """
    base = configs[baseline]
    changes = {
        row: {name: value for name, value in config.items() if base.get(name) != value}
        for row, config in configs.items()
    }
    rows = [row for row, changed in changes.items() if changed]
    return [
        (a, b, both)
        for a, b in combinations(rows, 2)
        if not changes[a].keys() & changes[b].keys()
        for both in rows
        if changes[both] == changes[a] | changes[b]
    ]


def interactions(
    means: Mapping[str, Mapping[int, float]], baseline: str, found: Sequence[tuple[str, str, str]]
) -> list[Interaction]:
    """The interaction of each design in one metric.

    Args:
        means: of every row, by seed, over images.
        baseline: the row without a change.
        found: rows (A, B, AB), as from :func:`designs`.
    """
    estimates = []
    for a, b, both in found:
        seeds = sorted(set.intersection(*(set(means[row]) for row in (baseline, a, b, both))))
        scores = {row: np.array([means[row][seed] for seed in seeds]) for row in (baseline, a, b, both)}
        estimates.append(estimate(scores[both] - scores[b] - scores[a] + scores[baseline]))
    p = holm([one.p if one.n >= FEWEST_SEEDS else math.nan for one in estimates])
    return [
        Interaction(both, (a, b), one, corrected)
        for (a, b, both), one, corrected in zip(found, estimates, p, strict=True)
    ]


def configurations(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """The configuration of every row, without its seed."""
    return {r.row: {name: value for name, value in r.config.items() if name != "seed"} for r in results}
