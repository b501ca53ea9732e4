"""All scores of one fused image against its two sources, under one convention."""

import math
from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import grey_all
from mambadfuse.metrics.information import entropy, mutual_information, visual_information_fidelity
from mambadfuse.metrics.no_reference import blur, require_scikit_image
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
OPTIONAL = ("BLUR",)  # computed only if named: needs scikit-image, the extra "metrics"
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
    """The scores of one fused image against its two sources; the order of the sources does not matter.

    Args:
        fused: (H, W) grey or (H, W, 3) RGB, scored by its luma; uint8, or floating-point in [0, 1].
        a: first source, in the same form.
        b: second source, in the same form.
        convention: "literature" for the numbers of published tables, "strict" for the definitions; the table in
            :mod:`mambadfuse.metrics` lists where they differ.
        metrics: names from ``ALL`` and ``OPTIONAL``; by default the twelve of ``ALL``. ``EIGHT`` holds those of most
            published tables.

    Returns:
        Score by metric, in the order of ``ALL``, then ``OPTIONAL``. Higher is better except for ``LOWER_IS_BETTER``.

    Raises:
        ValueError: the sizes differ, a pixel is not finite or out of range, an image is too small for a metric (VIF
            needs 41 pixels a side, BLUR 11, SSIM 7, strict Qabf 3), or a metric or the convention is unknown.
        TypeError: an image holds neither uint8 nor floating-point numbers.
        ImportError: BLUR is requested and scikit-image is missing.

    Example:
        >>> import numpy as np
        >>> a, b = (np.full((48, 48), level, dtype=np.uint8) for level in (80, 90))
        >>> evaluate((a + b) // 2, a, b, convention="strict", metrics=["MSE", "PSNR"])
        {'PSNR': 34.15140352195873, 'MSE': 25.0}
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
    """Checks that the metrics and the convention exist, and that what the metrics need is installed.

    Raises:
        ValueError: a metric or the convention is unknown, or a metric is named twice.
        ImportError: BLUR is among the metrics and scikit-image is missing.
    """
    if unknown := [name for name in metrics if name not in (*ALL, *OPTIONAL)]:
        raise ValueError(f"unknown metrics {unknown}: choose from {', '.join((*ALL, *OPTIONAL))}")
    if twice := [name for name in metrics if list(metrics).count(name) > 1]:
        raise ValueError(f"the metric {twice[0]} is named twice")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {CONVENTIONS}, found {convention!r}")
    if "BLUR" in metrics:
        require_scikit_image()
