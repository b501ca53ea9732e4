"""What a detector looks at: one image of a pair, a fusion of both, or both as two channels."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mambadfuse.fusion.baselines import laplacian_pyramid, maximum, mean

Grey = NDArray[np.uint8]

INPUTS: Mapping[str, Callable[[Grey, Grey], tuple[Grey, ...]]] = {
    "a": lambda a, b: (a,),
    "b": lambda a, b: (b,),
    "mean": lambda a, b: (mean(a, b),),
    "maximum": lambda a, b: (maximum(a, b),),
    "pyramid": lambda a, b: (laplacian_pyramid(a, b),),
    "both": lambda a, b: (a, b),
}
"""The channels of each input; "both" is early fusion, where the detector itself fuses in its first convolution."""


def input_image(name: str, a: Grey, b: Grey) -> NDArray[np.uint8]:
    """The image that a detector with this input sees of a pair, (C, H, W); C is 2 for "both", else 1.

    >>> a, b = np.array([[10, 90]], np.uint8), np.array([[30, 50]], np.uint8)
    >>> input_image("maximum", a, b).tolist(), input_image("both", a, b).shape
    ([[[30, 90]]], (2, 1, 2))

    Args:
        name: a key of ``INPUTS``.
        a: the infrared side, uint8, (H, W).
        b: the visible side, uint8, (H, W).

    Raises:
        ValueError: there is no such input, or the sides differ in size.
    """
    if name not in INPUTS:
        raise ValueError(f"unknown input {name!r}: choose one of {', '.join(INPUTS)}")
    if a.shape != b.shape:
        raise ValueError(f"a and b must be of one size, found {a.shape} and {b.shape}")
    return np.stack(INPUTS[name](a, b))
