"""Placebo comparisons: two halves of the seeds of one row, which differ in nothing but the seed.

Whatever a test finds here is a false alarm, of which there should be at most 5 %. :func:`false_alarms` counts them.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

from mambadfuse.ablation.convergence import has_learnt
from mambadfuse.ablation.report import finite_scores
from mambadfuse.ablation.statistics import LEVEL
from mambadfuse.ablation.store import Result
from mambadfuse.ablation.verdicts import FEWEST_SEEDS, Effect, effects


def placebo_effects(results: Sequence[Result], row: str = "default") -> Iterator[tuple[str, Effect]]:
    """The effect in every metric of every half of the row's seeds against the other half.

    The other rows stand beside it and tell, as in the report, how far rows scatter. Runs that have not learnt are left
    out. Each division into halves counts once, its seeds paired in ascending order: 10 divisions of six seeds, 126 of
    ten. Pairing them in other orders too would repeat the same few trainings and tell nothing new, since every order is
    as likely to raise a false alarm as any other. Nothing is corrected, as if each comparison were the only one. Of an
    odd number of seeds the largest is left out.

    Args:
        results: of one ablation.
        row: one with at least six different seeds.

    Yields:
        The name of a metric, and the effect in it.

    Raises:
        ValueError: the row has fewer than six seeds.
    """
    by_row: dict[str, dict[int, Result]] = {row: {}}
    for result in filter(has_learnt, results):
        by_row.setdefault(result.row, {})[result.seed] = result
    runs = by_row[row]
    half = len(runs) // 2
    if half < FEWEST_SEEDS:
        raise ValueError(f"placebo comparisons of {row!r} need at least six seeds, found {len(runs)}")
    seeds = sorted(runs)[: 2 * half]
    for metric in runs[seeds[0]].means:
        own, *others_of_table = finite_scores(by_row, metric, list(runs[seeds[0]].scores)).values()
        rest = [dict(enumerate(x for _, x in sorted(scores.items()))) for scores in others_of_table]
        for mine, others in _halves(seeds):
            placebo, base = (dict(enumerate(own[seed] for seed in chosen)) for chosen in (mine, others))
            yield metric, effects([placebo, *rest], base, metric)[0]


def false_alarms(results: Sequence[Result], row: str = "default", rows: int = 1) -> tuple[int, int]:
    """How many placebo comparisons are significant, and of how many.

    Without a correction each has a chance of 5 % to be significant, so the expected share is what the test promises.
    The share found is rough, since halves of the same seeds overlap: if a metric scatters in the shape of a bell, ten
    seeds give between 1 % and 10 % in nine of ten cases. Several metrics of the same images tell little more than one.
    In an ablation, a row and ``default`` share their seeds and so the order of crops; the halves share none, so that
    where this order matters the count is too high rather than too low.

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
    """Each division into two halves once, both in ascending order."""
    first, *rest = seeds
    for chosen in combinations(rest, len(seeds) // 2 - 1):
        yield (first, *chosen), tuple(seed for seed in rest if seed not in chosen)
