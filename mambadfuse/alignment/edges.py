"""Edge maps: what images of two modalities have in common.

Brightness differs between modalities, and so does the sign of an edge; where edges are and which way they run agrees.
"""

import numpy as np
from scipy import ndimage

from mambadfuse.alignment.motion import Plane
from mambadfuse.alignment.resample import Mask

_WEAK = 0.1  # share of the mean squared gradient at which an edge counts half
_LOCAL = 6.0  # pixels: what is constant over more than that is taken off


def edge_maps(image: Plane, inside: Mask, blur: float) -> Plane:
    """The double angle of the gradient g = (u, v), (2, H, W): edges of either sign, nearly alike in strength.

        e = (u² − v², 2 u v) / (|g|² + 0.1 mean |g|²)

    It turns twice as fast as the gradient, so opposite gradients give the same e: the squared dot product of the
    normalised gradient fields of Haber and Modersitzki (2006) is (1 + e₁·e₂) / 2. e is blurred, and its local mean
    taken off, lest the prevailing direction of all edges hide the position of each.

    Args:
        image: (H, W).
        inside: where the image is known; e is 0 elsewhere.
        blur: standard deviation in pixels.
    """
    u, v = (ndimage.gaussian_filter(image, 1.0, order=order) for order in ((0, 1), (1, 0)))
    power = u * u + v * v
    floor = _WEAK * power[inside].mean() if inside.any() else 0.0
    e = np.stack([u * u - v * v, 2 * u * v]) / (power + floor + np.float32(1e-12)) * inside
    share = ndimage.gaussian_filter(inside.astype(np.float32), _LOCAL) + np.float32(1e-3)
    sharp = [ndimage.gaussian_filter(plane, blur) for plane in e]
    return np.stack([(plane - ndimage.gaussian_filter(plane, _LOCAL) / share) * inside for plane in sharp])
