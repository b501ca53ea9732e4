"""State dicts in files: what training scripts save, unwrapped, and what a file is that holds none.

A state dict is read from a safetensors file or from one of ``torch.save``; which of the two a file is, its first bytes
say, not its name. Pickled files are read with ``weights_only=True``: nothing in them is executed.
"""

import re
import zipfile
from codecs import getincrementaldecoder
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from mambadfuse.data.signatures import HEAD, recognise
from mambadfuse.data.tasks import TASKS

_WRAPPERS = (  # averaged weights come first
    "params_ema", "state_dict_ema", "model_ema", "ema",
    "params", "state_dict", "model_state_dict", "model", "net", "generator", "weights",
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
# In an error of torch.load, whose first line advises to execute what is in the file.
_OTHER_OBJECT = re.compile(r"GLOBAL (\S+) (?:was not an allowed global|whose module \S+ is blocked)")
_DETAIL = re.compile(r"WeightsUnpickler error:\s+(.+)")
_LARGEST_SHOWN = 200  # characters of a library's error


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message names the file and what is wrong with it."""


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and the metadata of a safetensors file.

    Dictionaries around the tensors (``params_ema`` before ``params``; ``state_dict``, ``model``, ``net`` and the like;
    one of any other name if it is the only one; one in another) and prefixes that all names share (``module.`` of
    DataParallel, ``_orig_mod.`` of torch.compile, ``model.`` of Lightning) are taken off, except in a safetensors file
    with metadata of this kit.

    Raises:
        CheckpointError: no such file, or one without a state dict; the message says what it is instead.
    """
    try:
        head = _head(path)
        if head[8:9] == b"{":
            return _read_safetensors(path)
        if head[:4] == b"PK\x03\x04":
            _require_checkpoint(path)
        elif head[:1] != b"\x80":  # of a pickle
            raise CheckpointError(f"{path}: is {_what_it_is(head)}, expected a file of weights")
        return _without_prefixes(_unwrapped(_read_pickle(path), path)), {}
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: cannot be read ({_first_line(error)})") from error


def _head(path: Path) -> bytes:
    if not path.is_file():
        what = "is not a file" if path.exists() else "no such file"
        raise CheckpointError(f"{path}: {what}; shipped weights have names such as {', '.join(TASKS)}")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise CheckpointError(f"{path}: the file is empty")
    return head


def _what_it_is(head: bytes) -> str:
    if name := recognise(head):
        return name
    try:
        text = getincrementaldecoder("utf-8")().decode(head)  # the end may be cut off in a character
    except UnicodeDecodeError:
        return "of no known format"
    return "a text file" if all(x.isprintable() or x.isspace() for x in text) else "of no known format"


def _require_checkpoint(path: Path) -> None:
    """Refuses a zip archive that ``torch.save`` has not written."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: is a damaged or incomplete archive: {_first_line(error)}") from error
    names = {entry.filename.rpartition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        raise CheckpointError(f"{path}: is a TorchScript program, expected a state dict saved by torch.save")
    if "data.pkl" not in names:
        raise CheckpointError(f"{path}: is a zip archive, but none that torch.save writes: unpack it")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path}: is compressed, as torch.save never does: save it again with torch.save"
        )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = safetensors.torch.load_file(path)
    except Exception as error:  # damaged headers raise almost anything
        raise CheckpointError(f"{path}: not a readable safetensors file ({_first_line(error)})") from error
    return (tensors if "config" in metadata else _without_prefixes(tensors)), metadata


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:  # by its name, some versions of PyTorch take it for another format
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything
        if other := _OTHER_OBJECT.search(str(error)):
            raise CheckpointError(
                f"{path}: holds a {other[1]}, expected plain tensors: save the network's state_dict()"
            ) from error
        detail = _DETAIL.search(str(error))
        reason = detail[1][:_LARGEST_SHOWN] if detail else _first_line(error)
        raise CheckpointError(f"{path}: not a readable PyTorch file of plain tensors ({reason})") from error


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The dictionary of tensors in what a training script saved: under a usual name, or as the only one in it."""
    for _ in range(2):
        if not isinstance(content, Mapping):
            break
        inside = {key: x for key, x in content.items() if isinstance(x, Mapping)}
        networks = [key for key, x in inside.items() if _holds_tensors(x)]
        usual = [key for keys in (networks, inside) for key in _WRAPPERS if key in keys]
        if len(networks) > 1 and not usual:
            found = ", ".join(map(str, networks))
            raise CheckpointError(
                f"{path}: expected the tensors of one network, found several dictionaries: {found}"
            )
        content = next((inside[key] for key in [*usual, *networks]), content)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found {type(content).__name__}")
    if not content:
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found an empty one")
    for key, value in content.items():
        if not isinstance(key, str):
            raise CheckpointError(
                f"{path}: expected tensors by name, found the key {key!r:.40} of type {type(key).__name__}"
            )
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: expected a dictionary of tensors, found {type(value).__name__} under {key!r:.80}"
            )
    return dict(content)


def _holds_tensors(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(k, str) and isinstance(x, Tensor) for k, x in content.items())


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            if tensors and all(name.startswith(prefix) for name in tensors):
                tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return text.strip().splitlines()[0][:_LARGEST_SHOWN] if text.strip() else type(error).__name__
