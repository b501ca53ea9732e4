"""What every command says in the same way."""

import sys


def complain(message: str) -> None:
    """One line on stderr."""
    print("mambadfuse:", " ".join(message.split()), file=sys.stderr)
