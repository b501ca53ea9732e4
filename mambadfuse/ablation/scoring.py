"""The scores of a network: metrics and faults of every validation pair, fused whole.

======================  ============================================================================
name                    what it stands for
======================  ============================================================================
Qabf, VIF, MSE, ...     one metric of :mod:`mambadfuse.metrics`, in the "literature" convention
band, halo, ...         one fault of :mod:`mambadfuse.evaluation.faults`
raster bias, tile seam  a fault of fusing, of the same module; they take three and one more fusions
faults                  all faults of a fused image
======================  ============================================================================

A fault that cannot occur in a pair is NaN, as of a seam in a pair that fits into one tile.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from torch import nn

from mambadfuse.data.training_pairs import TrainingPair
from mambadfuse.evaluation.fault_folders import fusing_faults
from mambadfuse.evaluation.faults import FAULTS, FAULTS_OF_FUSING, measure
from mambadfuse.fusion.options import FusionOptions
from mambadfuse.fusion.pair import fuse_with
from mambadfuse.metrics import ALL, LOWER_IS_BETTER, OPTIONAL, evaluate, require_known

ALL_FAULTS = "faults"
KNOWN = (*ALL, *OPTIONAL, *FAULTS, *FAULTS_OF_FUSING)
"""The names of all metrics."""


@dataclass(frozen=True)
class Scored:
    """What a network makes of some pairs.

    Attributes:
        scores: score by metric, by the name of the pair.
        contrast: standard deviation of a fused image in grey levels, mean over the pairs.
        likeness: correlation of a fused image with the mean of its sources, mean over the pairs; that of a constant
            image is 0.
    """

    scores: Mapping[str, Mapping[str, float]]
    contrast: float
    likeness: float


def metric_names(words: Iterable[str]) -> tuple[str, ...]:
    """The metrics that these words name, each once, in their order.

    >>> metric_names(["Qabf", "faults"])
    ('Qabf', 'band', 'overshoot', 'excess', 'saturation', 'target', 'noise gain', 'halo')

    Raises:
        ValueError: there is no such metric, or none at all.
        ImportError: BLUR is among them and scikit-image is missing.
    """
    names = [name for word in words for name in (FAULTS if word == ALL_FAULTS else [word])]
    if not names:
        raise ValueError("an ablation needs at least one metric, found none")
    if unknown := [name for name in names if name not in KNOWN]:
        raise ValueError(f"unknown metric {unknown[0]!r}: choose from {', '.join(KNOWN)}, or {ALL_FAULTS}")
    require_known([name for name in names if name in (*ALL, *OPTIONAL)], "literature")
    return tuple(dict.fromkeys(names))


def lower_is_better(metric: str) -> bool:
    """Whether a lower score is better, as of every fault but ``target``, the contrast that is kept.

    >>> [lower_is_better(name) for name in ("MSE", "halo", "target", "VIF")]
    [True, True, False, False]
    """
    faults = FAULTS | FAULTS_OF_FUSING
    return metric in LOWER_IS_BETTER or (metric in faults and faults[metric].low == 0)


def require_distinct_names(pairs: Iterable[TrainingPair]) -> None:
    """Refuses pairs of one name, by which their scores are kept.

    Raises:
        ValueError: two have the same name, as those of two folders may.
    """
    counts = Counter(pair.name for pair in pairs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"pairs to score must have different names, found {twice[0]!r} {counts[twice[0]]} times"
        )


def score(network: nn.Module, pairs: Iterable[TrainingPair], metrics: Iterable[str]) -> Scored:
    """Fuse every pair whole and score it.

    Args:
        network: in evaluation mode.
        pairs: at least one, of different names, none smaller than its metrics need.
        metrics: their names, from :func:`metric_names`.
    """
    metrics = tuple(metrics)
    scores, contrasts, likenesses = {}, [], []
    for pair in pairs:
        a, b = pair.pictures()
        fused = np.asarray(fuse_with(network, a, b, FusionOptions(), warn=False).image)
        scores[pair.name] = _scores(network, fused, a, b, metrics)
        contrasts.append(float(fused.std()))
        likenesses.append(_correlation(fused, a.astype(float) + b))
    return Scored(scores, fmean(contrasts), fmean(likenesses))


def means(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the images whose score is a number; NaN if there are none.

    >>> means({"dusk": {"VIF": 0.5, "halo": float("nan")}, "dawn": {"VIF": 0.7, "halo": 3.0}})
    {'VIF': 0.6, 'halo': 3.0}
    """
    found = {}
    for metric in next(iter(scores.values())):
        numbers = [one[metric] for one in scores.values() if not math.isnan(one[metric])]
        found[metric] = fmean(numbers) if numbers else math.nan
    return found


def _scores(
    network: nn.Module, fused: np.ndarray, a: np.ndarray, b: np.ndarray, metrics: tuple[str, ...]
) -> dict[str, float]:
    """In the order of ``metrics``."""
    found: dict[str, float] = {}
    if wanted := [name for name in metrics if name in (*ALL, *OPTIONAL)]:
        found |= evaluate(fused, a, b, metrics=wanted)
    if not FAULTS.keys().isdisjoint(metrics):
        found |= measure(fused, a, b)
    if not FAULTS_OF_FUSING.keys().isdisjoint(metrics):
        found |= fusing_faults(network, fused, a, b)
    return {name: found[name] for name in metrics}


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    if not (x.std() and y.std()):
        return 0.0
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])
