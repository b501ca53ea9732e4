"""Weights files: the kit's safetensors files, and the authors' checkpoints.

A file of the kit holds the tensors of the network's ``state_dict()`` and, in its metadata, the configuration of the
network and the contrast of the images made with it: the file alone is enough to rebuild its network, unless that has
components of somebody's own. Of these the file holds the names, and is loaded only where they have been named before.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from mambadfuse.components import require_named
from mambadfuse.data.tasks import TASKS
from mambadfuse.files import atomic_write
from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.models.config import MambaDFuseConfig, NetworkConfig, network_config
from mambadfuse.models.published_names import published_name
from mambadfuse.models.state_dict_file import CheckpointError, read_state_dict
from mambadfuse.resources import resource_folder

Network = TypeVar("Network")

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    config: NetworkConfig
    contrast: float = 1.0
    """Factor by which the contrast of fused images is scaled: see :mod:`mambadfuse.fusion.postprocess`."""
    published: bool = False
    """Whether the file has no configuration, and is taken for a checkpoint of the authors."""

    def __post_init__(self) -> None:
        """Refuse a contrast that is not a positive number."""
        check_contrast(self.contrast)


def read_weights(path: Path) -> WeightsFile:
    """The content of a weights file of the kit, or of the authors' checkpoint under its published names.

    Raises:
        CheckpointError: no such file, or not an intact file of weights.
    """
    tensors, metadata = read_state_dict(path)
    if "config" not in metadata:
        return WeightsFile(tensors, MambaDFuseConfig.published(), published=True)
    try:
        settings = json.loads(metadata["config"])
        if not isinstance(settings, dict):
            raise TypeError(f"expected names and values, found {type(settings).__name__}")
        contrast = settings.pop("contrast", 1.0)
        return WeightsFile(tensors, network_config(settings), contrast)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its configuration is not understood: {error}") from error


def write_weights(path: Path, weights: WeightsFile) -> None:
    """Write a weights file; the same content makes the same file, byte for byte.

    The file appears under its name only when it is complete and on disk.

    Raises:
        OSError: it cannot be written.
    """
    settings = weights.config.to_dict() | {"contrast": weights.contrast}
    metadata = {"config": json.dumps(settings)}  # one entry: safetensors writes several in random order
    tensors = {name: t.detach().cpu().contiguous() for name, t in weights.tensors.items()}
    with atomic_write(path, durable=True) as file:
        file.write(safetensors.torch.save(tensors, metadata))


def shipped_names() -> list[str]:
    """The names of the weights that come with the kit: those of the tasks first.

    >>> shipped_names()[:2]
    ['ivf', 'ct-mri']
    """
    present = sorted(path.stem for path in resource_folder("weights").glob("*.safetensors"))
    return [*TASKS, *(name for name in present if name not in TASKS)]


def shipped_weights(name: str) -> Path:
    """The weights file of that name that comes with the kit, its checksum verified.

    Raises:
        CheckpointError: there is no such file, or it is not the one that was shipped.
    """
    folder = resource_folder("weights")
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        present = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise CheckpointError(f"no weights are shipped for {name!r} yet; present: {present}")
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {file: digest for digest, file in map(str.split, lines)}
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if sums.get(path.name) != found:
        raise CheckpointError(f"{path}: sha256 is {found}, expected {sums.get(path.name)}: fetch it again")
    return path


def network_of(weights: WeightsFile, network: Callable[..., Network], path: Path) -> Network:
    """The network of a weights file, in evaluation mode; it costs what its tensors in the file cost, and no more.

    It is built without memory for its parameters; they become those of the file, in float32, once all of them fit.

    Raises:
        CheckpointError: names, shapes or types do not match one to one, or a tensor is not finite; the first five are
            named. Or it needs a component that has not been named, see :mod:`mambadfuse.components`.
    """
    _require_buildable(weights, path)
    try:
        with torch.device("meta"):
            model = network(weights.config)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path}: no network has its configuration: {error}") from error
    assert isinstance(model, nn.Module)
    model.load_state_dict(_fitting(weights, model.state_dict(), path), assign=True)
    unset = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if unset:
        raise CheckpointError(
            f"{path}: does not hold the buffer {unset[0]}, register it with persistent=True"
        )
    model.eval()
    return model


def _require_buildable(weights: WeightsFile, path: Path) -> None:
    """Refuses a configuration with more blocks than the file has tensors, and components that were not named."""
    for name, value in weights.config.to_dict().items():
        if name.endswith("depth") and value > len(weights.tensors) and not weights.published:
            raise CheckpointError(
                f"{path}: {name} is {value}, but the file holds {len(weights.tensors)} tensors"
            )
    try:
        for name in weights.config.own_components().values():
            require_named(name)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _fitting(weights: WeightsFile, wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a file under the names that the network wants, in float32; all of them fit."""
    names = {published_name(name): name for name in wanted} if weights.published else {}
    found = {names.get(name, name): tensor for name, tensor in weights.tensors.items()}
    problems = [f"missing {name}" for name in wanted if name not in found]
    problems += [problem for name, t in found.items() if (problem := _misfit(name, t, wanted.get(name)))]
    if problems:
        named = f"{len(problems)} tensors do not fit: {'; '.join(problems[:5])}"
        why = (
            ". It holds no configuration, so the authors' checkpoint was expected"
            if weights.published
            else ""
        )
        raise CheckpointError(f"{path}: {named}{why}")
    return {
        name: t.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        for name, t in found.items()
    }


def _misfit(name: str, tensor: Tensor, wanted: Tensor | None) -> str:
    """What is wrong with a tensor of a file; empty if nothing is."""
    if wanted is None:
        return f"unknown {name}"
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return f"{name} is not a plain dense tensor"
    if tensor.dtype not in _DTYPES:
        return f"{name} is {str(tensor.dtype).removeprefix('torch.')}, expected floating-point numbers"
    if tensor.shape != wanted.shape:
        return f"{name} has shape {tuple(tensor.shape)}, expected {tuple(wanted.shape)}"
    if not tensor.float().isfinite().all():
        return f"{name} holds NaN or infinity, or numbers beyond float32"
    return ""
