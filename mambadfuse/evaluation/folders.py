"""Evaluating folders of fused images: scored and compared, beside the classical baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mambadfuse.data.pairs import PairSet
from mambadfuse.data.reading import PairReading
from mambadfuse.data.stretch import Stretch, StretchLike
from mambadfuse.evaluation.methods import Fusion, Judge, Key, folders_by_name, judge_pairs, read_from
from mambadfuse.evaluation.published import PublishedSet, published
from mambadfuse.evaluation.table import (
    BASELINE,
    PUBLISHED,
    RESULT,
    Method,
    Scores,
    Table,
    rank,
    summarise,
    summarise_all,
)
from mambadfuse.fusion.baselines import BASELINES
from mambadfuse.metrics import EIGHT, evaluate, require_known

_ROUNDING = 2e-3  # between our mean and the same one published to three decimals


def evaluate_folders(
    fused: str | Path | Sequence[str | Path],
    a: str | Path | PairSet,
    b: str | Path | None = None,
    *,
    convention: str = "literature",
    metrics: Sequence[str] = EIGHT,
    baselines: bool = True,
    rows: str | None = None,
    stretch: StretchLike | Stretch | None = None,
    stretch_b: StretchLike | Stretch | None = None,
    stretch_each: bool = False,
    resize: str | None = None,
    alpha: str = "black",
    shard: tuple[int, int] | None = None,
    progress: bool = True,
) -> Table:
    """Scores folders of fused images against their sources, and ranks them against each other.

    Pairs are found, and named, as by :func:`mambadfuse.data.discovery.find_pairs`, and fused images are matched by
    the names of the pairs. Colour images are scored by their luma. What cannot be scored (no fused image, another
    size, unreadable, too small for a metric) becomes one of the problems of the table. Means and ranks are over the
    images for which every method has a score, so that all methods are judged by the same ones.

    >>> import mambadfuse as mdf
    >>> from mambadfuse.resources import resource_folder
    >>> images = resource_folder("data_samples") / "ivf"
    >>> table = mdf.evaluate_folders([images / "ir"], images / "ir", images / "vi", progress=False)
    >>> sorted(method.label for method in table.methods)
    ['ir', 'laplacian pyramid (baseline)', 'maximum (baseline)', 'mean (baseline)']

    Args:
        fused: one folder for each method; images in it without sources are ignored.
        a: the folder of one side, or of both; or the pairs themselves.
        b: the folder of the other side; None or ``a`` if both lie below ``a``. Two folders may be exchanged.
        convention: "literature" or "strict", as in :func:`mambadfuse.metrics.evaluate`.
        metrics: names of metrics, as there.
        baselines: whether to add :data:`mambadfuse.fusion.baselines.BASELINES` to the comparison.
        rows: a test set whose published rows are added, see :mod:`mambadfuse.evaluation.published`.
        stretch: how the sources are read, as in :func:`mambadfuse.fuse_folders`: as when they were fused.
        stretch_b: the same for side b.
        stretch_each: as there.
        resize: as there.
        alpha: as there.
        shard: (3, 16) scores the third of 16 equal parts of the pairs alone, see :mod:`mambadfuse.evaluation.shards`.
        progress: whether to show a progress bar.

    Returns:
        The table. A folder without any score is not in it, but among its problems.

    Raises:
        PairError: a folder is missing or empty, or has no image in common with the others.
        ValueError: no folder is given, or one twice; nothing can be compared; a metric, convention or test set is
            unknown; or the published rows are of other pairs, another convention or other metrics.
        ImportError: BLUR is requested and scikit-image is missing.
    """
    require_known(metrics, convention)
    reading = PairReading.of(stretch, stretch_b, resize, alpha)
    found = reading.find_pairs(a, b)
    beside = published(rows) if rows else None
    if beside:
        pairs = (found.shard(*shard) if shard else found).pairs
        _require_comparable(beside, len(pairs), metrics, convention)
    folders = folders_by_name(fused)
    if not folders:
        raise ValueError("give at least one folder of fused images")
    fusions: dict[Key, Fusion] = {
        (RESULT, name): read_from(folder, found.pairs) for name, folder in folders.items()
    }
    if baselines:
        fusions |= {(BASELINE, name): _computed_by(fuse) for name, fuse in BASELINES.items()}

    def score(fusion: Fusion) -> Judge:
        return lambda name, a, b: evaluate(fusion(name, a, b), a, b, convention=convention, metrics=metrics)

    judges = {key: score(fusion) for key, fusion in fusions.items()}
    judged = judge_pairs(
        found, judges, reading, "evaluate", stretch_each=stretch_each, shard=shard, progress=progress
    )
    methods, problems = summarise_all(judged.numbers, judged.pictures), judged.problems
    if beside:
        problems += _evidence_of_other_images(beside, judged.numbers, found.folder_a)
        methods += [Method(row.method, PUBLISHED, row.means, {}, {}, row.source) for row in beside.rows]
    return replace(rank(methods, metrics, judged.pictures, convention, problems), shard=shard)


def _computed_by(fuse: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fusion:
    return lambda name, a, b: fuse(a, b)


def _require_comparable(beside: PublishedSet, pairs: int, metrics: Sequence[str], convention: str) -> None:
    if convention != "literature":
        raise ValueError(f"published rows follow the convention 'literature', found {convention!r}")
    if pairs != beside.pairs:
        raise ValueError(f"{beside.name} has {beside.pairs} pairs, found {pairs}")
    if not any(set(metrics) & row.means.keys() for row in beside.rows):
        raise ValueError(f"none of {', '.join(metrics)} is published for {beside.name}")


def _evidence_of_other_images(
    beside: PublishedSet, scores: Mapping[Key, dict[str, Scores]], a: Path
) -> list[str]:
    """A problem if the scores of the baselines, over all pairs, are not those on the published test set."""
    for (kind, name), own in scores.items():
        if kind != BASELINE or len(own) < beside.pairs:
            continue
        means, known = summarise(own, own)[0], beside.baselines.get(name, {})
        for metric in known.keys() & means.keys():
            if abs(known[metric] - means[metric]) > _ROUNDING:
                values = f"{metric} of the {name} is {means[metric]:.3f}, expected {known[metric]:.3f}"
                return [f"{a}: does not hold the images of {beside.name}: {values}"]
    return []
