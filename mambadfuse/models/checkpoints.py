"""Weights in and out: networks from files and to files."""

import hashlib
from pathlib import Path

from torch import nn

from mambadfuse.models.config import FastFusionConfig, NetworkConfig
from mambadfuse.models.fast import FastFusion
from mambadfuse.models.mambadfuse import MambaDFuse
from mambadfuse.models.pretrained import open_weights
from mambadfuse.models.state_dict_file import CheckpointError
from mambadfuse.models.weights_file import WeightsFile, network_of, read_weights, write_weights

__all__ = ["CheckpointError", "Network", "build", "load", "load_published", "save", "weights_digest"]

Network = MambaDFuse | FastFusion


def build(config: NetworkConfig) -> Network:
    """The network of a configuration, with random weights."""
    return FastFusion(config) if isinstance(config, FastFusionConfig) else MambaDFuse(config)


def load(source: str | Path) -> Network:
    """A trained network in evaluation mode.

    >>> load("ivf").config.dim
    32

    Args:
        source: the name of shipped weights ("ivf", "ct-mri", "pet-mri", "spect-mri", "ivf-fast", "ivf-tiny"; their
            checksum is verified), the path of a file written by :func:`save`, of a folder written by
            ``save_pretrained``, or of the authors' checkpoint, see :func:`load_published`.

    Raises:
        CheckpointError: no such file, a damaged file, or tensors that do not fit its configuration.
    """
    path, weights = open_weights(source)
    network = FastFusion if isinstance(weights.config, FastFusionConfig) else MambaDFuse
    return network.from_weights(path, weights)


def save(model: Network, path: str | Path) -> None:
    """Write weights, configuration and contrast into one safetensors file.

    The same network makes the same file, byte for byte. The file appears under its name only when it is complete and
    on disk.

    Raises:
        OSError: it cannot be written.
    """
    write_weights(Path(path), WeightsFile(model.state_dict(), model.config, model.contrast))


def load_published(path: str | Path) -> MambaDFuse:
    """The authors' checkpoint (``.pth``, or the same tensors as ``.safetensors``) as the published network.

    All 484 tensors are matched one to one by name and shape, whatever a training script has wrapped them in: see
    :mod:`mambadfuse.models.state_dict_file`. Nothing in a pickled file is executed.

    Raises:
        CheckpointError: a missing, damaged, incomplete or different file, with the first names that do not fit.
    """
    path = Path(path)
    weights = read_weights(path)
    if not weights.published:
        raise CheckpointError(f"{path}: is a file of this kit, expected the authors' checkpoint: use load")
    return network_of(weights, MambaDFuse, path)


def weights_digest(model: nn.Module) -> str:
    """The first 16 hex digits of the SHA-256 of a network's configuration, if it has one, and weights."""
    digest = hashlib.sha256(repr(getattr(model, "config", None)).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
