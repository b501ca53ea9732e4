"""Files that are written whole or not at all, and the folders they lie in."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[BinaryIO]:
    """An open file that takes its name only once it is complete.

    It grows under a hidden name in the same folder and is renamed at the end; an error or Ctrl-C in between
    leaves neither a half-written file nor the hidden one.

    Args:
        path: its name.
        durable: whether content, and then name, shall be on the disk before this goes on, whatever becomes of the
            machine.

    Raises:
        OSError: it cannot be written; the message names it.
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
            _settle(path.parent)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system has a call for it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those it lies in, where there is none yet.

    Raises:
        OSError: it cannot be made; the message names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder}: the folder cannot be made ({error.strerror or error})") from error
