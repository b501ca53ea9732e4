"""Checkpoints of a run: written whole or not at all, the latest few kept, resumed from the latest undamaged one.

A checkpoint is one safetensors file, ``<step>-<CRC-32 of its bytes>.safetensors``, whose metadata holds everything
that is not a tensor. It is written under a hidden name, flushed to disk, and renamed last; if anything fails before
that, the earlier checkpoints are untouched. A lock keeps other processes out.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from mambadfuse.files import atomic_write
from mambadfuse.locks import locked

_log = logging.getLogger("mambadfuse")
# Data loader workers hold the lock until they notice that the main process was killed, which takes up to 5 seconds.
_LOCK_TIMEOUT = 8.0  # seconds


def exclusive(lock: Path, run: str, remove: bool = False) -> AbstractContextManager[None]:
    """Holds a lock file, so that no other process uses the run meanwhile.

    Args:
        lock: the lock file, created if missing; its folder must exist.
        run: the name of the run in the error message.
        remove: whether to remove the lock file at the end.

    Raises:
        BusyError: another process holds the lock.
        OSError: the lock file cannot be created.
    """
    return locked(lock, f"{run}: is being trained by another process", _LOCK_TIMEOUT, remove)


class Checkpoint(NamedTuple):
    """The state of a run after one step, as read from disk."""

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]


class CheckpointManager:
    """Writes, finds and prunes the checkpoints of one run.

    Args:
        folder: used by this run alone; created with the first checkpoint.
        identity: what distinguishes this run from others, as JSON types. A checkpoint with another identity is
            refused.
        count: how many checkpoints to keep; older ones are deleted once a newer one is safely on disk.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], count: int) -> None:
        self.folder, self.count = folder, count
        self.identity = json.loads(json.dumps(identity))

    def save(self, step: int, tensors: dict[str, Tensor], metadata: Mapping[str, Any]) -> Path:
        """Write one checkpoint and return its path.

        Raises:
            OSError: it cannot be written, for example because the disk is full; earlier checkpoints are untouched.
        """
        content = save(tensors, {"state": json.dumps(metadata), "identity": json.dumps(self.identity)})
        path = self.folder / f"{step:08d}-{zlib.crc32(content):08x}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=True) as file:
                file.write(content)
        except OSError as error:
            last = self._files()[-1:]
            left = f"the run can resume from {last[0].name}" if last else "there is no earlier checkpoint"
            raise OSError(f"{self.folder}: step {step} could not be saved ({error}); {left}") from error
        for old in self._files()[: -self.count]:
            old.unlink()
        return path

    def latest(self) -> Checkpoint | None:
        """The latest undamaged checkpoint, None if there is none yet; damaged ones are named in the log.

        Raises:
            ValueError: the checkpoint belongs to another run, or all checkpoints are damaged.
        """
        files = self._files()
        for path in reversed(files):
            checkpoint = self._read(path)
            if checkpoint:
                return checkpoint
            _log.warning("%s is damaged: the run resumes from the checkpoint before it", path)
        if files:
            raise ValueError(
                f"{self.folder}: the run is damaged, none of its {len(files)} checkpoints can be read. "
                "Delete the folder to start over"
            )
        return None

    def clean_up(self) -> None:
        """Delete half-written files left by a kill, and rename damaged checkpoints to ``*.damaged``."""
        for partial in self.folder.glob(".*.part"):
            partial.unlink(missing_ok=True)
        for path in self._files():
            if not _is_whole(path, path.read_bytes()):
                path.replace(path.with_name(path.name + ".damaged"))

    def remove(self) -> None:
        """Delete the checkpoints, and the folder if it holds nothing else."""
        for file in (*self._files(), *self.folder.glob(".*.part")):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds more, or is gone
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return checkpoints_in(self.folder)

    def _read(self, path: Path) -> Checkpoint | None:
        content = path.read_bytes()
        if not _is_whole(path, content):
            return None
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata()
            checkpoint = Checkpoint(load(content), json.loads(header["state"]))
            identity = json.loads(header["identity"])
        except (SafetensorError, KeyError, TypeError, ValueError):
            return None
        self._require_same(identity)
        return checkpoint

    def _require_same(self, identity: dict[str, Any]) -> None:
        names = [*self.identity, *(name for name in identity if name not in self.identity)]
        differing = [
            f"{name} was {identity.get(name)}, is {self.identity.get(name)}"
            for name in names
            if identity.get(name) != self.identity.get(name)
        ]
        if differing:
            raise ValueError(
                f"{self.folder} belongs to another run: {'; '.join(differing)}. "
                "Choose another name for the weights, or delete the folder"
            )


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints in the folder of a run, oldest first; another file, whatever was put there, is none."""
    found = folder.glob(f"{'[0-9]' * 8}*-{'[0-9a-f]' * 8}.safetensors")
    return sorted(found, key=lambda path: (len(path.name), path.name))  # steps may have nine digits


def tensors_of(modules: Mapping[str, nn.Module], optimiser: Optimizer) -> dict[str, Tensor]:
    """Every tensor of these modules and of their optimiser on the CPU, by names such as "model.conv.weight".

    >>> import torch
    >>> line = nn.Linear(2, 1)
    >>> list(tensors_of({"model": line}, torch.optim.SGD(line.parameters())))
    ['model.weight', 'model.bias']
    """
    found = {
        f"{name}.{of_module}": t
        for name, module in modules.items()
        for of_module, t in module.state_dict().items()
    }
    for number, moments in optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{number}.{name}": t for name, t in moments.items()}
    return {name: t.detach().cpu().contiguous() for name, t in found.items()}


def restore_tensors(
    tensors: Mapping[str, Tensor],
    modules: Mapping[str, nn.Module],
    optimiser: Optimizer,
    groups: list[dict[str, Any]],
) -> None:
    """The inverse of :func:`tensors_of`.

    Args:
        tensors: by name.
        modules: that take them.
        optimiser: of the modules.
        groups: its parameter groups, from its ``state_dict()``.
    """
    for name, module in modules.items():
        module.load_state_dict(_below(f"{name}.", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, t in _below("optimiser.", tensors).items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = t
    optimiser.load_state_dict({"state": moments, "param_groups": groups})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _is_whole(path: Path, content: bytes) -> bool:
    return path.stem.endswith(f"-{zlib.crc32(content):08x}")
