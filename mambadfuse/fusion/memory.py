"""Whether a pass through the network fits in memory, asked before the work; if not, tiles that do.

Letters: B batch, H and W height and width, C model width, E inner width of a Mamba unit.
"""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor, nn

from mambadfuse.data.images import ImageError, picture_size
from mambadfuse.data.inputs import ImageLike
from mambadfuse.fusion.tiling import TiledModel
from mambadfuse.models.checkpoints import Network
from mambadfuse.models.config import FastFusionConfig, NetworkConfig

_log = logging.getLogger("mambadfuse")

# Measured on CPUs, at the moment when most is held: in shallow fusion, or between two mixers that are not causal.
_FEATURE_MAPS = 13
_INNER_MAPS = 15
_FAST_MAPS = 3
_PICTURE = 60  # bytes per pixel: both images, the result, and what is between them
_TILES = (2048, 1024, 512, 256, 128)
_OVERLAP = 64
_CGROUP, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def pass_memory(config: NetworkConfig, height: int, width: int, batch: int = 1) -> int:
    """What :func:`mambadfuse.fuse` takes at most on a CPU beside what the process holds already, in bytes, roughly.

        4 B H W · 13 C, for a causal mixer;   4 B H W · (13 C + 15 E), for another;   and 60 B H W for the images

    The features of the network are float32, (B, H W, C) and (B, H W, E); a causal mixer needs its inner width only for
    one tile of tokens at a time. A fast network: 4 B H W · 3 C / p².

    >>> from mambadfuse import MambaDFuseConfig
    >>> pass_memory(MambaDFuseConfig.lite(), 3000, 4000) / 1e9
    20.688

    Args:
        config: of the network.
        height: of the images.
        width: of the images.
        batch: number of pairs that are fused at once.
    """
    return batch * height * width * (_bytes_per_token(config) + _PICTURE)


def free_memory() -> int | None:
    """The bytes that this process can still get, from system, cgroup and resource limits; None where none of them says.

    >>> (free_memory() or 1) > 0
    True
    """
    found = [x for x in (_available(), _left_in_cgroup(), _left_of_address_space()) if x is not None]
    return max(0, min(found)) if found else None


class FittingTiles(TiledModel):
    """Tiles that memory was too small to do without, not the user's choice: if it shrinks, smaller ones take over."""


def within_memory(network: nn.Module, height: int, width: int, batch: int = 1) -> nn.Module:
    """The network itself if such images fit in memory, else the same in the largest tiles that do, with a warning.

    Judged are the kit's networks and :class:`TiledModel` around it, on a CPU; other modules are returned as
    they are. :class:`FittingTiles` from an earlier call stay as they are while they fit, else smaller ones follow.

    Args:
        network: to fuse with.
        height: of the images.
        width: of the images.
        batch: number of pairs that are fused at once.

    Raises:
        MemoryError: no tile fits, or not that of the given :class:`TiledModel`; the message says what is needed.
    """
    inner = network.network if isinstance(network, TiledModel) else network
    free = free_memory()
    if not isinstance(inner, Network) or next(inner.parameters()).device.type != "cpu" or free is None:
        return network

    def needed(side: int) -> int:
        tile = min(height, side) * min(width, side) * _bytes_per_token(inner.config)
        return batch * (tile + height * width * _PICTURE)

    size = f"{width}x{height}" if batch == 1 else f"{batch} times {width}x{height}"
    if isinstance(network, TiledModel):
        if needed(network.size) <= free:
            return network
        if not isinstance(network, FittingTiles):
            raise MemoryError(
                f"fusing {size} in tiles of {network.size} pixels takes about {_gigabytes(needed(network.size))}, "
                f"{_gigabytes(free)} are free: choose smaller tiles (--tile on the command line)"
            )
    elif pass_memory(inner.config, height, width, batch) <= free:
        return network
    tile = next((side for side in _TILES if needed(side) <= free), None)
    if tile is None:
        raise MemoryError(
            f"fusing {size} takes about {_gigabytes(needed(_TILES[-1]))} even in tiles of {_TILES[-1]} pixels, "
            f"{_gigabytes(free)} are free: scale the images down (or try a smaller --tile)"
        )
    _log.warning(
        "note: fusing %s in one piece takes about %s, %s are free: it is fused in tiles of %d pixels, which changes "
        "the result a little (--tile chooses their size)",
        size,
        _gigabytes(pass_memory(inner.config, height, width, batch)),
        _gigabytes(free),
        tile,
    )
    return FittingTiles(inner, tile, min(_OVERLAP, tile // 2))


def require_room_for(a: ImageLike, b: ImageLike) -> None:
    """Refuses images that are too large for what is free, before they are read or copied.

    These are files, by their headers, and views such as those of ``np.broadcast_to``, which have any size but hold a
    few pixels. Other arrays are in memory already.

    Raises:
        MemoryError: one is.
    """
    for name, image in (("a", a), ("b", b)):
        with suppress(ImageError):  # what cannot be read is described by whoever reads it
            count, height, width = _size(image)
            if count:
                size = f"{width}x{height}" if count == 1 else f"{count} times {width}x{height}"
                work = f"{image if isinstance(image, str | Path) else name}: fusing {size}"
                require_free(count * height * width * _PICTURE, work, "scale the images down")


def require_free(count: int, work: str, remedy: str) -> None:
    """Refuses work that takes more memory than is free.

    Args:
        count: bytes that it takes at least.
        work: what takes them, for the message.
        remedy: what to do instead.

    Raises:
        MemoryError: it does.
    """
    free = free_memory()
    if free is not None and count > free:
        raise MemoryError(f"{work} takes at least {_gigabytes(count)}, {_gigabytes(free)} are free: {remedy}")


def _size(image: ImageLike) -> tuple[int, int, int]:
    """Number, height and width of images that are not in memory; zeros for others, and for .npy files."""
    if isinstance(image, str | Path) and Path(image).suffix.lower() != ".npy":
        width, height = picture_size(Path(image))
        return 1, height, width
    if isinstance(image, np.ndarray) and image.ndim > 1 and 0 in image.strides:
        return 1, image.shape[0], image.shape[1]
    strided = isinstance(image, Tensor) and image.layout == torch.strided and not image.is_nested
    if isinstance(image, Tensor) and strided and image.ndim > 1 and 0 in image.stride():
        return math.prod(image.shape[:-3]), image.shape[-2], image.shape[-1]
    return 0, 0, 0


def _bytes_per_token(config: NetworkConfig) -> int:
    if isinstance(config, FastFusionConfig):
        return math.ceil(4 * _FAST_MAPS * config.dim / config.patch**2)
    inner = 0 if config.mixer == "scan" else config.inner
    return 4 * (_FEATURE_MAPS * config.dim + _INNER_MAPS * inner)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _available() -> int | None:
    """What Linux can give without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_cgroup() -> int | None:
    """What is left of the limits on the control groups that this process is in, the outer ones included."""
    found = [x for group, *files in _groups() if (x := _left(group, *files)) is not None]
    return min(found, default=None)


def _groups() -> Iterator[tuple[Path, str, str]]:
    """The folders of these groups, with the names of the files that hold limit and usage; version 2, then 1.

    A container sees its own group as the root, whatever the path to it is outside.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        lines = []
    paths = {
        name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")
    }
    for controller, limit, used in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        own = PurePosixPath(paths.get(controller, "/"))
        for group in (own, *own.parents):
            yield _CGROUP / controller / group.relative_to("/"), limit, used


def _left(group: Path, limit: str, used: str) -> int | None:
    """What is left of the limit of one group; page cache that can be dropped counts as free."""
    try:
        left = int((group / limit).read_text()) - int((group / used).read_text())
        lines = (group / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no such group or version, or the limit is "max"
        return None
    cache = (int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return left + next(cache, 0)


def _left_of_address_space() -> int | None:
    """What is left of ``ulimit -v``."""
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    return limit - pages * resource.getpagesize()
