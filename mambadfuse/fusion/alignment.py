"""Alignment before fusion: side a is moved onto side b, and b stands in where a does not reach."""

from pathlib import Path

import numpy as np

from mambadfuse.alignment import registration_remark, shift_remark
from mambadfuse.alignment.align import align
from mambadfuse.data.colour import Floats, luma
from mambadfuse.data.inputs import ImageLike
from mambadfuse.data.reading import named
from mambadfuse.data.remarks import Remark
from mambadfuse.data.tasks import modality_of


def moved_onto(a: Floats, b: Floats, model: str, sources: tuple[ImageLike, ImageLike]) -> Floats:
    """Side a, (1, H, W, C), moved onto side b, (1, H', W', C'): (1, H', W', C).

    Where a does not reach, the brightness of b is repeated, so that the fused image shows b there.

    Raises:
        ValueError: the confidence of the alignment is below 0.5, the model is unknown, or there is more than one image.
    """
    for name, batch in (("a", a), ("b", b)):
        if len(batch) != 1:
            raise ValueError(f"only single images are aligned, found {len(batch)} in {name}")
    found = align(a[0], b[0], model)
    if not found.trusted:
        both = " and ".join(map(named, "ab", sources))
        raise ValueError(
            f"{both} cannot be aligned: the confidence is {found.confidence:.2f}, expected at least 0.5; "
            "align them by other means, or fuse them as they are"
        )
    ground = (luma(b[0]) if b.shape[-1] == 3 else b[0, ..., 0])[..., None]
    image = np.atleast_3d(found.image)
    return np.where(found.inside[..., None], image, ground)[None]


def warn_if_unregistered(a: Floats, b: Floats, sources: tuple[ImageLike, ImageLike]) -> None:
    """Logs a warning for each pair of two batches, (B, H, W, C), that does not look registered.

    Edges of SPECT and MRI never match, so files named as SPECT are warned of for a shift alone. So are arrays, which
    are often made up, and then share no edges either.
    """
    files = [Path(source) for source in sources if isinstance(source, str | Path)]
    shift_alone = not files or any(modality_of(file) == "spect" for file in files)
    remark_of = shift_remark if shift_alone else registration_remark
    for one_a, one_b in zip(a, b, strict=True):
        if remark := remark_of(one_a, one_b):
            Remark(f"%s {_ADVICE}", (remark,)).log(files[0] if files else "the pair")


_ADVICE = 'Align them first (--align, in Python align="affine"), unless they are known to be registered'
