"""Writing files atomically, making the folders they go to, and keeping outputs apart from sources."""

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
OnComplete = Callable[[Path], object]
FIGURE_MARK = b"Software\0mambadfuse"
"""What stands near the beginning of a PNG file of the kit that is a figure or a contact sheet."""
_HEAD = 4096  # bytes
_SPECIAL = "is a pipe, socket or device, expected a file"


def require_no_special(path: Path) -> None:
    """Refuses a pipe, socket or device: reading it could wait for ever.

    Raises:
        OSError: it is one; the message names it.
    """
    if is_special(path):
        raise OSError(f"{path}: {_SPECIAL}")


def is_special(path: Path) -> bool:
    """Whether a path leads to a pipe, socket or device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def atomic_write(
    path: Path, durable: bool = False, on_complete: OnComplete | None = None
) -> Iterator[BinaryIO]:
    """An open file that appears under its name only when it is complete.

    It is written under a hidden name in the same folder and renamed at the end; an error or Ctrl-C leaves
    neither an incomplete file nor the hidden one. A pipe, socket or device, such as /dev/null, is not replaced.

    Args:
        path: of the file.
        durable: whether to flush content and name to the disk before returning, so that they survive a crash of
            the machine.
        on_complete: called with the complete file, while it still has its hidden name.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if is_special(path):
            raise OSError(_SPECIAL)
        with temporary.open("xb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if on_complete:
            on_complete(temporary)
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


def printable(name: str) -> str:
    """A name, or a text with names, that can be printed and written as UTF-8.

    Bytes that are no text are escaped, and so are characters that command a terminal or turn the direction of reading;
    tabs and ends of lines stay.

    >>> from mambadfuse.files import printable
    >>> print(printable("夜 bad\\udcff \\x1b[31mred.png"))
    夜 bad\\xff \\x1b[31mred.png
    """
    return _UNPRINTABLE.sub(lambda found: _escaped(ord(found[0])), name)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # as which Python keeps a byte that it cannot decode
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents unless they exist.

    Raises:
        OSError: the folder cannot be made; the message names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder}: the folder cannot be made ({error.strerror or error})") from error


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Makes a folder and its parents for the work inside; afterwards it removes those that it made and are empty.

    Raises:
        OSError: as :func:`make_folder`.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make_folder(folder)
        yield
    finally:
        with suppress(OSError):  # the first that is not empty
            for each in filter(Path.exists, missing):
                each.rmdir()


def require_writable(paths: Iterable[Path]) -> None:
    """Refuses files, or folders for files, that cannot be made, before the work whose results they are to hold.

    In the folder of each, or the nearest one that exists, a file is made and removed. A disk that is full shows later.

    Raises:
        OSError: one cannot be made; the message names it, and the folder.
    """
    probed = set()
    for path in paths:
        folder = path
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                path.lstat()  # says if the name is too long
            folder = path if path.is_dir() else next(filter(Path.exists, path.parents))
            if folder not in probed:
                TemporaryFile(dir=folder).close()
                probed.add(folder)
        except OSError as error:
            raise OSError(
                f"{path}: cannot be written: expected a place for new files, found {folder}, which takes none "
                f"({error.strerror or error})"
            ) from error


def require_report(path: Path) -> None:
    """Refuses the name of a report if there is something else: no text, and no figure of the kit.

    So no image, volume or file of weights is replaced by a table or a figure, whosever source it is.

    Raises:
        ValueError: there is; the message names it.
        IsADirectoryError: it is the name of a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: cannot be written (it is a folder, expected the name of a file)")
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(_HEAD)
    if b"\0" in start and FIGURE_MARK not in start:
        raise ValueError(
            f"{path}: is there already, and neither a text nor a figure of mambadfuse: choose another name"
        )


_Identity = tuple[int, int] | Path


def require_apart(
    outputs: Iterable[str | Path], sources: Iterable[str | Path], folders: Iterable[str | Path] = ()
) -> None:
    """Refuses outputs that would replace a source, each other or a device, or lie in a folder of sources.

    Files are compared, not their names: a link to a source is that source, and so is another spelling of its path or,
    where the file system ignores case, of its name.

    >>> from pathlib import Path
    >>> from mambadfuse.files import require_apart
    >>> require_apart(["fused.png"], ["ir.png", "vi.png"])
    >>> require_apart(["x/../ir.png"], ["ir.png", "vi.png"])
    Traceback (most recent call last):
    ValueError: x/../ir.png: would replace its own source

    Args:
        outputs: files, or folders of results, that are to be written; they need not exist.
        sources: files that are read.
        folders: all of whose files count as sources.

    Raises:
        ValueError: an output is not apart; the message names it.
    """
    taken = {_identity(Path(source)) for source in sources}
    roots = {_identity(Path(folder)): folder for folder in folders}
    written: set[_Identity] = set()
    around: dict[Path, str | Path | None] = {}  # folder -> the folder of sources that it is, or lies in
    for output in outputs:
        path = Path(output).resolve()
        identity = _identity(path)
        if is_special(path):
            raise ValueError(f"{output}: {_SPECIAL}")
        if identity in taken:
            raise ValueError(f"{output}: would replace its own source")
        if identity in written:
            raise ValueError(f"{output}: two outputs would have this name")
        if path.parent not in around:
            chain = (path.parent, *path.parent.parents)
            around[path.parent] = next((roots[i] for i in map(_identity, chain) if i in roots), None)
        root = roots.get(identity) or around[path.parent]
        if root is not None:
            raise ValueError(f"{output}: lies in {root}, a folder of sources; choose a place outside it")
        written.add(identity)


def _identity(path: Path) -> _Identity:
    """What two paths share if and only if they lead to one file; where there is none yet, the path without links."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino
