"""Weights in and out: networks from files and to files."""

import hashlib
from pathlib import Path

from torch import nn

from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.models.published_names import published_name
from mambadfuse.models.weights_file import (
    CheckpointError,
    WeightsFile,
    fill,
    read_published,
    write_weights,
)

__all__ = ["CheckpointError", "load", "load_published", "save", "weights_digest"]


def load(source: str | Path) -> MambaDFuse:
    """A trained network in evaluation mode.

    >>> load("ivf").config.dim
    32

    Args:
        source: the name of shipped weights ("ivf", "ct-mri", "pet-mri", "spect-mri"; their checksum is
            verified) the path of a file written by :func:`save`, or of a folder
            written by ``save_pretrained``.

    Raises:
        CheckpointError: no such file, a damaged file, or tensors that do not fit its configuration.
    """
    return MambaDFuse.from_file(source)


def save(model: MambaDFuse, path: str | Path) -> None:
    """Write weights, configuration and contrast into one safetensors file.

    The same network makes the same file, byte for byte. The file appears under its name only when it is complete and
    on disk.

    Raises:
        OSError: it cannot be written.
    """
    write_weights(Path(path), WeightsFile(model.state_dict(), model.config, model.contrast))


def load_published(path: str | Path) -> MambaDFuse:
    """The authors' checkpoint (``.pth``, or the same tensors as ``.safetensors``) as the published network.

    All 484 tensors are matched one to one by name and shape. Pickled files are read with ``weights_only=True``:
    nothing in them is executed.

    Raises:
        CheckpointError: a missing, damaged, incomplete or different file, with the first names that do not fit.
    """
    tensors = read_published(Path(path))
    model = MambaDFuse(MambaDFuseConfig.published())
    names = {published_name(name): name for name in model.state_dict()}
    fill(model, {names.get(name, name): t for name, t in tensors.items()}, Path(path))
    return model.eval()


def weights_digest(model: nn.Module) -> str:
    """The first 16 hex digits of the SHA-256 of a network's configuration, if it has one, and weights."""
    digest = hashlib.sha256(repr(getattr(model, "config", None)).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
