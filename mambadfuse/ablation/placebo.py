"""Placebo comparisons: two halves of the seeds of one row, which differ in nothing but the seed.

Whatever a test finds here is a false alarm, of which there should be at most 5 %. :func:`false_alarms` counts them.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

import numpy as np

from mambadfuse.ablation.statistics import LEVEL
from mambadfuse.ablation.store import Result
from mambadfuse.ablation.verdicts import Effect, effects


def placebo_effects(results: Sequence[Result], row: str = "default") -> Iterator[tuple[str, Effect]]:
    """The effect in every metric of every half of the row's seeds against the other half, paired in every way.

    Nothing is corrected, as if each comparison were the only one. Of an odd number of seeds the largest is left out.

    Args:
        results: of one ablation.
        row: one with at least six different seeds.

    Yields:
        The name of a metric, and the effect in it.

    Raises:
        ValueError: the row has fewer than six seeds.
    """
    runs = {result.seed: result for result in results if result.row == row}
    half = len(runs) // 2
    if half < 3:
        raise ValueError(f"placebo comparisons of {row!r} need at least six seeds, found {len(runs)}")
    seeds = sorted(runs)[: 2 * half]
    for metric in runs[seeds[0]].means:
        scores = {seed: np.array([s[metric] for s in runs[seed].scores.values()]) for seed in seeds}
        for mine, others in _halves(seeds):
            placebo, base = (dict(enumerate(scores[seed] for seed in chosen)) for chosen in (mine, others))
            [effect] = effects([placebo], base, metric)
            yield metric, effect


def false_alarms(results: Sequence[Result], row: str = "default", rows: int = 1) -> tuple[int, int]:
    """How many placebo comparisons are significant, and of how many.

    Halves of the same seeds overlap, and metrics of the same images agree, so these are fewer independent
    comparisons than they look.

    Args:
        results: of one ablation.
        row: one with at least six different seeds.
        rows: the number of rows for which p is corrected, as if each comparison had the smallest p of so many.

    Raises:
        ValueError: as :func:`placebo_effects`.
    """
    significant = [rows * effect.seeds.p < LEVEL for _, effect in placebo_effects(results, row)]
    return sum(significant), len(significant)


def _halves(seeds: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each division into two halves once, with every order of the second half."""
    for mine in combinations(seeds, len(seeds) // 2):
        if seeds[0] in mine:
            for others in permutations(seed for seed in seeds if seed not in mine):
                yield mine, others
