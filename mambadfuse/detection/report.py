"""The matrix in numbers and words: what each input is worth to a detector, and whether fusion helps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mambadfuse.ablation.report_formats import Block, text
from mambadfuse.ablation.verdicts import FEWEST_SEEDS, Effect, effects
from mambadfuse.detection.inputs import INPUTS
from mambadfuse.detection.matrix import Trained

MARGIN = 0.01  # of AP: one point, the smallest difference that matters


@dataclass(frozen=True)
class Comparison:
    """An input compared with one that a network fused; every detector is tested on the input it was trained on.

    Attributes:
        fused: the input that the network fused.
        other: the other one.
        metric: that is compared, such as "AP50".
        effect: score of the other minus that of the fused one; p values are corrected for the number of others.
    """

    fused: str
    other: str
    metric: str
    effect: Effect

    def __str__(self) -> str:
        seeds = self.effect.seeds
        points = (
            f"{100 * seeds.mean:+.1f} points, 95 % interval {100 * seeds.low:+.1f} to {100 * seeds.high:+.1f}"
        )
        verdict = {
            "better": "better",
            "worse": "worse",
            "equal": f"equal, within {100 * MARGIN:.0f} point",
        }.get(self.effect.verdict, f"open after {seeds.n} seeds")
        return f"{self.other} instead of {self.fused}: {verdict} ({self.metric} {points})"


def compare(results: Sequence[Trained], metric: str = "AP50") -> list[Comparison]:
    """Every other input compared with every input that a network fused.

    The statistics are those of the ablation lab (:mod:`mambadfuse.ablation.verdicts`): differences are paired by seed,
    p values corrected for the number of other inputs (Holm), and differences below one point are equal. Each difference
    tells its own scatter, since detectors need not scatter alike on single sources and on fused images.

    Args:
        results: of one matrix.
        metric: a key of their scores.

    Raises:
        ValueError: there are no results, or they lack the metric.
    """
    own = own_scores(results, metric)
    return [
        Comparison(fused, other, metric, effect)
        for fused in own
        if fused not in INPUTS
        for others in [[name for name in own if name != fused]]
        for other, effect in zip(
            others,
            effects([own[name] for name in others], own[fused], metric, MARGIN, pool=False),
            strict=True,
        )
    ]


def own_scores(results: Sequence[Trained], metric: str = "AP50") -> dict[str, dict[int, np.ndarray]]:
    """Of every input, by seed, the score of the detector that was trained and tested on it, (1,).

    Raises:
        ValueError: there are no results, or they lack the metric.
    """
    if not results:
        raise ValueError("there are no results yet")
    if metric not in (known := results[0].scores[results[0].source]):
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(known)}")
    found: dict[str, dict[int, np.ndarray]] = {}
    for one in results:
        found.setdefault(one.source, {})[one.seed] = np.array([one.scores[one.source][metric]])
    return found


def verdict(results: Sequence[Trained], metric: str = "AP50") -> list[str]:
    """Whether fusion helps the detector, a sentence for each network that fused.

    It helps if its images are better than each source alone; whether a rule, or the two channels without any fusion,
    would have done as well is said beside it.

    Raises:
        ValueError: there are no results, or they lack the metric.
    """
    found = compare(results, metric)
    by_network: dict[str, list[Comparison]] = {}
    for one in found:
        by_network.setdefault(one.fused, []).append(one)
    return [_verdict_on(fused, own) for fused, own in by_network.items()]


def _verdict_on(fused: str, found: Sequence[Comparison]) -> str:
    if min(one.effect.seeds.n for one in found) < FEWEST_SEEDS:
        return f"Fewer than {FEWEST_SEEDS} seeds were trained on all inputs: no verdict on {fused}."
    outcomes = {one.other: one.effect.verdict for one in found}
    sources = {name: outcomes.pop(name) for name in _SOURCES if name in outcomes}
    clauses = [
        f"with {_listed([_TITLES.get(name, name) for name in names])} it {words}"
        for outcome, words in _WORDS.items()
        if (names := [name for name, own in outcomes.items() if own == outcome])
    ]
    return "; ".join([_compared_with_sources(fused, sources), *clauses]) + "."


def _compared_with_sources(fused: str, outcomes: Mapping[str, str]) -> str:
    """Whether fusing helps more than a source alone, from the verdicts on those that were tested."""
    best = [name for name, own in outcomes.items() if own in ("better", "equal")]
    if best:
        return (
            f"Fusing with {fused} does not help the detector: it finds no less in {' or '.join(best)} alone"
        )
    if missing := [name for name in _SOURCES if name not in outcomes]:
        return f"Whether fusing with {fused} helps the detector is open without results of {' and '.join(missing)}"
    if all(own == "worse" for own in outcomes.values()):
        return f"Fusing with {fused} helps the detector: it finds more than in either image alone"
    return f"Whether fusing with {fused} helps the detector more than one image alone is open"


_SOURCES = ("a", "b")
_WORDS = {
    "better": "finds more",
    "equal": "finds as much",
    "worse": "finds less",
    "open": "may find more or less",
}
_TITLES = {
    "pyramid": "the Laplacian pyramid",
    "mean": "the mean",
    "maximum": "the maximum",
    "both": "two channels",
}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def matrix_table(results: Sequence[Trained], metric: str = "AP50") -> Block:
    """Mean score over seeds, in points: one line for each input trained on, one column for each tested on."""
    inputs = list(own_scores(results, metric))
    lines = [["trained on", *inputs]]
    for trained in inputs:
        runs = [one.scores for one in results if one.source == trained]
        lines.append(
            [trained, *(_points([run[other][metric] for run in runs if other in run]) for other in inputs)]
        )
    return Block(lines, f"Tested on, in points of {metric}; the mean over seeds.")


def detail_table(results: Sequence[Trained]) -> Block:
    """Mean and standard deviation over seeds of every score, in points, trained and tested on one input."""
    inputs = list(own_scores(results))
    metrics = list(results[0].scores[results[0].source])
    lines = [["input", *metrics]]
    for name in inputs:
        runs = [one.scores[name] for one in results if one.source == name]
        lines.append([name, *(_points([run[metric] for run in runs], spread=True) for metric in metrics)])
    return Block(lines, "Trained and tested on one input, in points; mean and standard deviation over seeds.")


def report(results: Sequence[Trained]) -> str:
    """All of that as text.

    Raises:
        ValueError: there are no results.
    """
    seeds = sorted({one.seed for one in results})
    steps = max((one.steps for one in results), default=0)
    head = f"{len(results)} detectors, {steps} steps each, seeds {', '.join(map(str, seeds))}."
    tables = text(head, [matrix_table(results), detail_table(results)])
    return "\n\n".join([tables, "\n".join(map(str, compare(results))), "\n".join(verdict(results))]).rstrip()


def _points(scores: Sequence[float], spread: bool = False) -> str:
    if not scores:
        return "-"
    mean = f"{100 * np.mean(scores):.1f}"
    return f"{mean} ± {100 * np.std(scores, ddof=1):.1f}" if spread and len(scores) > 1 else mean
