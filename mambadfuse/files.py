"""Writing files atomically, and making the folders they go to."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[BinaryIO]:
    """An open file that appears under its name only when it is complete.

    It is written under a hidden name in the same folder and renamed at the end; an error or Ctrl-C leaves
    neither an incomplete file nor the hidden one.

    Args:
        path: of the file.
        durable: whether to flush content and name to the disk before returning, so that they survive a crash of
            the machine.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk, if the system has a call for that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents unless they exist.

    Raises:
        OSError: the folder cannot be made; the message names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder}: the folder cannot be made ({error.strerror or error})") from error
