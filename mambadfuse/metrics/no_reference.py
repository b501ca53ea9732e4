"""No-reference quality: how blurred the fused image itself is. Needs scikit-image, an optional dependency."""

import numpy as np
from numpy.typing import ArrayLike

from mambadfuse.metrics.grey_image import grey

_WINDOW = 11  # length of the blur, in pixels


def blur(f: ArrayLike) -> float:
    """BLUR: how little an image changes when it is blurred again (Crété-Roffet et al. 2007).

        BLUR = max over both axes of  Σ min(g, h) / Σ g

    g is the magnitude of the Sobel gradient along an axis, h the same after averaging over 11 pixels along that axis: a
    sharp edge loses most of its strength, an edge that was blurred already keeps it.

    Lower is better, unlike most; in [0, 1], and 1 for a constant image. Judges f alone: a sharp image of something
    else scores perfectly. Gamed by noise, which is sharp; edges along one axis only count as blurred along the other.

    Raises:
        ValueError: a side is shorter than 11 pixels: the window does not fit.
        ImportError: scikit-image is missing.

    Example:
        >>> import numpy as np
        >>> edge = np.where(np.eye(2), 255, 0).repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)  # (32, 32)
        >>> round(blur(edge), 3)  # two elevenths: perfectly sharp
        0.182
    """
    require_scikit_image()
    from skimage.measure import blur_effect

    f = grey(f, "f")
    if min(f.shape) < _WINDOW:
        raise ValueError(f"BLUR needs images of at least {_WINDOW} x {_WINDOW} pixels, found {f.shape}")
    return float(np.clip(blur_effect(f, h_size=_WINDOW), 0, 1))


def require_scikit_image() -> None:
    """Checks that scikit-image can be imported.

    Raises:
        ImportError: it cannot; the message says how to install it.
    """
    try:
        import skimage.measure  # noqa: F401 - whether it can be imported
    except ImportError as error:
        raise ImportError(
            'BLUR needs scikit-image: in the folder of the kit, pip install -e ".[metrics]"'
        ) from error
