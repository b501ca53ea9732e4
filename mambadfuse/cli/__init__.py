"""The command line ``mambadfuse``, with one file for each command.

Slow imports stand inside the functions that need them, so that ``mambadfuse --help`` is instant.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Protocol

import mambadfuse
from mambadfuse.cli import ablate, align, data, detect, doctor, evaluate, export, faults, fuse, train
from mambadfuse.cli.messages import complain, words_of


class Command(Protocol):
    """What the module of a command provides."""

    SUMMARY: str

    def add_options(self, parser: ArgumentParser) -> None:
        """Declares the options of the command."""

    def run(self, options: Namespace) -> int:
        """Runs the command and returns its exit code."""


COMMANDS: dict[str, Command] = {
    "fuse": fuse,
    "align": align,
    "evaluate": evaluate,
    "faults": faults,
    "data": data,
    "train": train,
    "ablate": ablate,
    "detect": detect,
    "export": export,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after ``mambadfuse``; those of the process if None.

    Returns:
        0 for success, 1 if something failed (stderr says what), 130 after Ctrl-C.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after --help and --version.
    """
    parser = ArgumentParser(prog="mambadfuse", description="Image fusion with MambaDFuse.")
    parser.add_argument("--version", action="version", version=f"mambadfuse {mambadfuse.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.SUMMARY, description=f"{command.SUMMARY}.")
        command.add_options(subparser)
        subparser.set_defaults(run=command.run, usage_error=subparser.error)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt as stop:
        complain(": ".join(["interrupted", *map(str, stop.args)]))
        return 130
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        complain(words_of(error))
        return 1
