"""Weights files: the kit's safetensors files, and what can be read of the authors' checkpoints.

A file of the kit holds the tensors of ``MambaDFuse.state_dict()`` and, in its metadata, the configuration of the
network and the contrast of the images made with it: the file alone is enough to rebuild its network.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mambadfuse.data.tasks import TASKS
from mambadfuse.files import atomic_write
from mambadfuse.fusion.postprocess import check_contrast
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.resources import resource_folder

_PUBLISHED_HINT = (
    "If it holds the authors' weights, load_published(path) reads it in Python, and "
    "save(load_published(path), 'published.safetensors') turns it into a file of this kit"
)


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file of the kit holds."""

    tensors: dict[str, Tensor]
    config: MambaDFuseConfig
    contrast: float = 1.0
    """Factor by which the contrast of fused images is scaled: see :mod:`mambadfuse.fusion.postprocess`."""

    def __post_init__(self) -> None:
        """Refuse a contrast that is not a positive number."""
        check_contrast(self.contrast)


def read_weights(path: Path) -> WeightsFile:
    """The content of a weights file of the kit.

    Raises:
        CheckpointError: no such file, or not an intact weights file of this kit.
    """
    if _is_pytorch_file(path):
        raise CheckpointError(
            f"{path}: is a PyTorch file, expected a safetensors file of this kit. {_PUBLISHED_HINT}"
        )
    tensors, metadata = _read_safetensors(path)
    if "config" not in metadata:
        raise CheckpointError(f"{path}: holds no configuration, as files of this kit do. {_PUBLISHED_HINT}")
    try:
        settings = json.loads(metadata["config"])
        if not isinstance(settings, dict):
            raise TypeError(f"expected names and values, found {type(settings).__name__}")
        contrast = settings.pop("contrast", 1.0)
        return WeightsFile(tensors, MambaDFuseConfig(**settings), contrast)
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


def shipped_weights(task: str) -> Path:
    """The weights file of a task that comes with the kit, its checksum verified.

    Raises:
        CheckpointError: there is no such file, or it is not the one that was shipped.
    """
    folder = resource_folder("weights")
    path = folder / f"{task}.safetensors"
    if not path.is_file():
        present = ", ".join(sorted(p.stem for p in folder.glob("*.safetensors"))) or "none"
        raise CheckpointError(f"no weights are shipped for {task!r} yet; present: {present}")
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if sums.get(path.name) != found:
        raise CheckpointError(f"{path}: sha256 is {found}, expected {sums.get(path.name)}: fetch it again")
    return path


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of the authors' checkpoint under their published names.

    Pickled files are read with ``weights_only=True``: nothing in them is executed.

    Raises:
        CheckpointError: a missing or damaged file, or one of this kit.
    """
    tensors, metadata = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path), {})
    if "config" in metadata:
        raise CheckpointError(f"{path}: is a file of this kit, expected the authors' checkpoint: use load")
    return {name.removeprefix("module."): t for name, t in tensors.items()}


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load the tensors of a file into a network, all of them or none.

    Raises:
        CheckpointError: names or shapes do not match one to one, or a tensor is not finite; the first five are named.
    """
    wanted = model.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in tensors]
    problems += [f"unknown {name}" for name in tensors if name not in wanted]
    problems += [
        f"{name} has shape {tuple(t.shape)}, expected {tuple(wanted[name].shape)}"
        for name, t in tensors.items()
        if name in wanted and t.shape != wanted[name].shape
    ]
    problems += [f"{name} holds NaN or infinity" for name, t in tensors.items() if not t.isfinite().all()]
    if problems:
        raise CheckpointError(f"{path}: {len(problems)} tensors do not fit: {'; '.join(problems[:5])}")
    model.load_state_dict(tensors)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    _require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return safetensors.torch.load_file(path), metadata
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    _require_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything
        raise CheckpointError(f"{path}: not a readable PyTorch file of plain tensors ({error})") from error
    if isinstance(content, dict) and isinstance(content.get("params"), dict):
        content = content["params"]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    return content


def _is_pytorch_file(path: Path) -> bool:
    """Whether a file was written by ``torch.save``, judging by its first bytes, or else by its suffix."""
    _require_file(path)
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or path.suffix.lower() in (".pth", ".pt")


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; names of shipped weights are {', '.join(TASKS)}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: the file is empty")
