"""What every command says in the same way."""

import sys
from pathlib import Path


def complain(message: str) -> None:
    """One line on stderr."""
    print("mambadfuse:", " ".join(message.split()), file=sys.stderr)


def write(path: Path, content: bytes) -> None:
    """A file, whole or not at all, its folder made where there is none; says so on stdout."""
    from mambadfuse.data.images import make_folder, written_whole

    make_folder(path.parent)
    with written_whole(path) as file:
        file.write(content)
    print(f"wrote {path}")
