"""What every command says in the same way."""

import sys
from pathlib import Path


def complain(message: str) -> None:
    """One line on stderr."""
    print("mambadfuse:", " ".join(message.split()), file=sys.stderr)


def write(path: Path, content: bytes) -> None:
    """A file, whole or not at all, its folder made where there is none; says so on stdout."""
    from mambadfuse.files import atomic_write, make_folder

    make_folder(path.parent)
    with atomic_write(path) as file:
        file.write(content)
    print(f"wrote {path}")
