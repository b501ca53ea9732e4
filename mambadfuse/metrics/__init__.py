"""Scores of a fused image f against its two sources a and b, under two conventions.

:func:`~mambadfuse.metrics.scores.evaluate` computes them all for one image; each metric is also a function of its
own. "literature" is the arithmetic behind the tables of most papers, so that the kit's scores can be compared with
them; "strict" follows the definitions. The conventions differ in four scores:

=====  ========================================  ========================  ================================
score  literature                                strict                    why
=====  ========================================  ========================  ================================
EN     bits                                      the same
SD     on grey levels 0 ... 255                  the same
SF     on grey levels 0 ... 255                  the same
AG     on grey levels 0 ... 255                  the same
MI     MI(a, f) + MI(b, f), nats                 bits                      the unit of EN: MI(f, f) = EN(f)
SCD    CC(a, f − b) + CC(b, f − a)               the same
VIF    VIF(a, f) + VIF(b, f), pixel domain       the same
Qabf   black around the image;                   inner pixels only;        no edges that are not there;
       G = g_f where both edges are equal;       G = 1 there;              what is kept whole counts whole;
       angles −90° and +90° are opposite         they are one              a line has no front
SSIM   SSIM(a, f) + SSIM(b, f), data range 2     data range 255            C1, C2 fit the range of the pixels
CC     mean of CC(a, f) and CC(b, f)             the same
PSNR   of the MSE, peak = brightest pixel of f   peak 255                  no score for one bright pixel
MSE    mean of MSE(a, f) and MSE(b, f)           the same
BLUR   of f alone; only if named                 the same
=====  ========================================  ========================  ================================

BLUR is computed by scikit-image: ``pip install -e ".[metrics]"``.

Where a formula divides 0 by 0, both conventions define a value: CC and SCD are 0 for a constant image, Qabf is 0 for
sources without edges, VIF is 1 for a flat reference, BLUR is 1 for a constant image. PSNR is infinite if f equals
both sources, and −infinite under "literature" if f is black but the sources are not: its peak is then 0.

The literature's evaluator computes in float32; everything here is float64. The difference is about 1e-5 of the
"literature" SSIM where an image is flat and bright, and less than 1e-6 of every other score.
"""

from mambadfuse.metrics.grey_image import grey
from mambadfuse.metrics.information import entropy, mutual_information, visual_information_fidelity
from mambadfuse.metrics.no_reference import blur
from mambadfuse.metrics.scores import (
    ALL,
    CONVENTIONS,
    EIGHT,
    LOWER_IS_BETTER,
    OPTIONAL,
    evaluate,
    require_known,
)
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

__all__ = [
    "ALL",
    "CONVENTIONS",
    "EIGHT",
    "LOWER_IS_BETTER",
    "OPTIONAL",
    "average_gradient",
    "blur",
    "correlation",
    "edge_transfer",
    "entropy",
    "evaluate",
    "grey",
    "mean_squared_error",
    "mutual_information",
    "peak_signal_to_noise",
    "require_known",
    "spatial_frequency",
    "standard_deviation",
    "structural_similarity",
    "sum_of_correlations_of_differences",
    "visual_information_fidelity",
]
