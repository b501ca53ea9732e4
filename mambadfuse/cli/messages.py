"""Messages and files, in the form that all commands share."""

import sys
from pathlib import Path


def complain(message: str) -> None:
    """Prints one line on stderr."""
    print("mambadfuse:", " ".join(message.split()), file=sys.stderr)


def write(path: Path, content: bytes) -> None:
    """Writes a file atomically, makes its folder if needed, and prints its name."""
    from mambadfuse.files import atomic_write, make_folder

    make_folder(path.parent)
    with atomic_write(path) as file:
        file.write(content)
    print(f"wrote {path}")
