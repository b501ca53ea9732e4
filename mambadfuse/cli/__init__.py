"""The command ``mambadfuse``: one file for each of its commands.

Whatever is slow to import is imported by the function that needs it, so that ``mambadfuse --help`` is instant.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Protocol

import mambadfuse
from mambadfuse.cli import ablate, data, doctor, evaluate, fuse, train
from mambadfuse.cli.messages import complain


class Command(Protocol):
    """What the file of a command holds."""

    SUMMARY: str

    def add_options(self, parser: ArgumentParser) -> None:
        """Declares the options of the command."""

    def run(self, options: Namespace) -> int:
        """Does the work; returns the exit code."""


COMMANDS: dict[str, Command] = {
    "fuse": fuse,
    "evaluate": evaluate,
    "data": data,
    "train": train,
    "ablate": ablate,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after ``mambadfuse``; those of the process if None.

    Returns:
        0 if all went well, 1 if something failed (said on stderr), 130 after Ctrl-C.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after --help and --version.
    """
    parser = ArgumentParser(prog="mambadfuse", description="Image fusion with MambaDFuse.")
    parser.add_argument("--version", action="version", version=f"mambadfuse {mambadfuse.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, command in COMMANDS.items():
        words = commands.add_parser(name, help=command.SUMMARY, description=f"{command.SUMMARY}.")
        command.add_options(words)
        words.set_defaults(run=command.run, usage_error=words.error)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        complain(str(error))
        return 1
