"""A score without any reference: how blurred is the fused picture itself? Computed by scikit-image, an extra."""

import numpy as np
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import grey

_WINDOW = 11  # pixels blurred over


def blur(f: ArrayLike) -> float:
    """BLUR: how little a picture changes when it is blurred once more (Crété-Roffet et al. 2007).

        BLUR = max over both axes of  Σ min(g, h) / Σ g

    g is the strength of the Sobel gradient along an axis, h the same after averaging over 11 pixels along that axis:
    a sharp edge loses most of its strength, one that was blurred before keeps it.

    1 if the picture is constant. Lower is better, unlike most; in [0, 1]. Judges f alone: a sharp picture of something
    else is perfect. Gamed by noise, which is sharp; edges along one axis alone count as blurred along the other.

    Raises:
        ValueError: a side is shorter than 11 pixels: the window does not fit.
        ImportError: scikit-image is missing.
    """
    require_library()
    from skimage.measure import blur_effect

    f = grey(f, "f")
    if min(f.shape) < _WINDOW:
        raise ValueError(f"BLUR needs pictures of at least {_WINDOW} x {_WINDOW} pixels, found {f.shape}")
    return float(np.clip(blur_effect(f, h_size=_WINDOW), 0, 1))


def require_library() -> None:
    """Nothing, if scikit-image can be imported.

    Raises:
        ImportError: it cannot; says how to get it.
    """
    try:
        import skimage.measure  # noqa: F401 - whether it can be imported
    except ImportError as error:
        raise ImportError(
            'BLUR needs scikit-image: in the folder of the kit, pip install -e ".[metrics]"'
        ) from error
