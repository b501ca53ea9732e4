"""Kept states of a run: whole files or none, the last few of them, and the newest whole one to go on from.

A state is one safetensors file, ``<step>-<CRC-32 of its bytes>.safetensors``, whose metadata holds everything that
is no tensor. It grows under a hidden name, reaches the disk, and takes its name last. Whatever happens in between,
the earlier states stay as they are. A lock keeps a second process off them.
"""

import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from mambadfuse.files import atomic_write

_log = logging.getLogger("mambadfuse")
_PATIENCE = 8.0  # seconds: a killed process's readers of crops notice within 5, and hold its lock till then


class BusyError(RuntimeError):
    """Another process is at this run."""


@contextmanager
def alone(lock: Path, run: str) -> Iterator[None]:
    """While this lasts, no other process is at what the lock stands for.

    Args:
        lock: a file, made if there is none; its folder must exist.
        run: what a message calls it.

    Raises:
        BusyError: another process is at it.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=_PATIENCE)
    except Timeout:
        raise BusyError(f"{run}: is trained by another process right now") from None
    try:
        yield
    finally:
        held.release()


class Kept(NamedTuple):
    """One kept state."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Keeper:
    """The kept states of one run.

    Args:
        folder: of this run alone; made with the first state.
        identity: what tells this run from others, fit for JSON. A state of another identity is not continued.
        count: how many states stay; older ones are deleted once a newer one is safe.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], count: int) -> None:
        self.folder, self.count = folder, count
        self.identity = json.loads(json.dumps(identity))

    def keep(self, step: int, tensors: dict[str, Tensor], facts: Mapping[str, Any]) -> Path:
        """Write one state; returns its file.

        Raises:
            OSError: it cannot be written, say because the disk is full; the earlier states are untouched.
        """
        metadata = {"facts": json.dumps(facts), "identity": json.dumps(self.identity)}
        content = save(tensors, metadata)
        path = self.folder / f"{step:08d}-{zlib.crc32(content):08x}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, durable=True) as file:
                file.write(content)
        except OSError as error:
            last = self._files()[-1:]
            left = f"the run can go on from {last[0].name}" if last else "there is no earlier state"
            raise OSError(f"{self.folder}: step {step} could not be kept ({error}); {left}") from error
        for old in self._files()[: -self.count]:
            old.unlink()
        return path

    def newest(self) -> Kept | None:
        """The newest whole state, None if nothing was kept yet; damaged ones are put aside and named in the log.

        Raises:
            ValueError: the state belongs to another run, or all of them are damaged.
        """
        files = self._files()
        for path in reversed(files):
            kept = self._read(path)
            if kept:
                return kept
            _log.warning("%s is damaged: the run goes on from the state before it", path)
        if files:
            raise ValueError(
                f"{self.folder}: the kept run is damaged, none of its {len(files)} states can be read. "
                "Delete the folder to start anew"
            )
        return None

    def tidy(self) -> None:
        """Remove what a kill left half-written, and put damaged states aside as ``*.damaged``."""
        for partial in self.folder.glob(".*.part"):
            partial.unlink(missing_ok=True)
        for path in self._files():
            if not _is_whole(path, path.read_bytes()):
                path.replace(path.with_name(path.name + ".damaged"))

    def _files(self) -> list[Path]:
        """The states, oldest first."""
        return sorted(self.folder.glob("*-*.safetensors"))

    def _read(self, path: Path) -> Kept | None:
        content = path.read_bytes()
        if not _is_whole(path, content):
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
            kept = Kept(load(content), json.loads(metadata["facts"]))
            identity = json.loads(metadata["identity"])
        except (SafetensorError, KeyError, TypeError, ValueError):
            return None
        self._require_same(identity)
        return kept

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


def _is_whole(path: Path, content: bytes) -> bool:
    return path.stem.endswith(f"-{zlib.crc32(content):08x}")
