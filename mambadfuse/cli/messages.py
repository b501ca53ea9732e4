"""Messages and files, in the form that all commands share."""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from mambadfuse.files import OnComplete, atomic_write, make_folder, printable


def complain(message: str) -> None:
    """Prints one line on stderr."""
    print("mambadfuse:", printable(" ".join(message.split())), file=sys.stderr)


def words_of(error: Exception) -> str:
    """What an error says; one of the system names its file first, as those of the kit do."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


def say(text: object) -> None:
    """Prints a text on stdout at once; bytes of file names that are no text are escaped."""
    print(printable(str(text)), flush=True)


def write(path: Path, content: bytes, on_complete: OnComplete | None = None) -> None:
    """Writes a file atomically, makes its folder if needed, and prints its name."""
    make_folder(path.parent)
    with atomic_write(path, on_complete=on_complete) as file:
        file.write(content)
    say(f"wrote {path}")


@contextmanager
def resumable(results: Collection[Path], out: Path, overwrite: bool) -> Iterator[None]:
    """Inside, Ctrl-C first prints how many results there are, and how to get the others."""
    try:
        yield
    except KeyboardInterrupt:
        if overwrite:
            complain(f"only part of the results in {out} is new; the same command starts over")
        else:
            done = sum(result.exists() for result in results)
            complain(f"{done} of {len(results)} results are in {out}; the same command makes the rest")
        raise
