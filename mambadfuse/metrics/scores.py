"""All metrics of one fused picture and its two sources, under one convention."""

import math
from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import grey_all
from mambadfuse.metrics.information import entropy, mutual_information, visual_information_fidelity
from mambadfuse.metrics.no_reference import blur, require_library
from mambadfuse.metrics.statistics import (
    average_gradient,
    correlation,
    mean_squared_error,
    peak_signal_to_noise,
    spatial_frequency,
    standard_deviation,
    sum_of_correlations_of_differences,
)
from mambadfuse.metrics.structure import edge_transfer, structural_similarity

ALL = ("EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "SSIM", "CC", "PSNR", "MSE")
EIGHT = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM")
BLIND = ("BLUR",)  # by name only: it needs scikit-image, the extra "metrics"
LOWER_IS_BETTER = ("MSE", "BLUR")
CONVENTIONS = ("literature", "strict")


def evaluate(
    fused: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    convention: str = "literature",
    metrics: Sequence[str] | None = None,
) -> dict[str, float]:
    """The scores of a fused picture against its two sources, which may be exchanged.

    Args:
        fused: (H, W) grey or (H, W, 3) colour, of which the luma is judged; uint8, or floating-point in
            [0, 1].
        a: first source, as fused.
        b: second source, as fused.
        convention: "literature" computes what published tables hold, "strict" what the definitions say; the
            table of :mod:`mambadfuse.metrics` lists where they differ.
        metrics: some of ``ALL`` and ``BLIND``; ``EIGHT`` are those of most published tables. ``ALL`` twelve if absent.

    Returns:
        Name and score, in the order of ``ALL``, then ``BLIND``. Higher is better for all but ``LOWER_IS_BETTER``.

    Raises:
        ValueError: sizes differ, a pixel is not finite or outside its range, a picture is too small for a
            metric (VIF 41 pixels a side, BLUR 11, SSIM 7, strict Qabf 3), or a metric or the convention is unknown.
        TypeError: a picture holds neither uint8 nor floating-point numbers.
        ImportError: BLUR is asked for and scikit-image is missing.
    """
    wanted = ALL if metrics is None else tuple(metrics)
    require_known(wanted, convention)
    f, a, b = grey_all({"fused": fused, "a": a, "b": b})
    strict = convention == "strict"

    def both(metric: Callable[..., float], *settings: float) -> float:
        return metric(a, f, *settings) + metric(b, f, *settings)

    scores: dict[str, Callable[[], float]] = {
        "EN": lambda: entropy(f),
        "SD": lambda: standard_deviation(f),
        "SF": lambda: spatial_frequency(f),
        "AG": lambda: average_gradient(f),
        "MI": lambda: both(mutual_information) * (1 if strict else math.log(2)),
        "SCD": lambda: sum_of_correlations_of_differences(f, a, b),
        "VIF": lambda: both(visual_information_fidelity),
        "Qabf": lambda: edge_transfer(f, a, b, as_published=not strict),
        "SSIM": lambda: both(structural_similarity, 255 if strict else 2),
        "CC": lambda: both(correlation) / 2,
        "PSNR": lambda: peak_signal_to_noise(both(mean_squared_error) / 2, 255 if strict else int(f.max())),
        "MSE": lambda: both(mean_squared_error) / 2,
        "BLUR": lambda: blur(f),
    }
    return {name: score() for name, score in scores.items() if name in wanted}


def require_known(metrics: Sequence[str], convention: str) -> None:
    """Nothing, if there are such metrics and such a convention, and what the metrics need is installed.

    Raises:
        ValueError: a metric or the convention is unknown.
        ImportError: BLUR is among them and scikit-image is missing.
    """
    if unknown := [name for name in metrics if name not in (*ALL, *BLIND)]:
        raise ValueError(f"unknown metrics {unknown}: choose from {', '.join((*ALL, *BLIND))}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {CONVENTIONS}, found {convention!r}")
    if "BLUR" in metrics:
        require_library()
