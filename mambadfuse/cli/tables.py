"""The table that a command prints, and the files that it is written to."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Protocol

from mambadfuse.cli.messages import complain, say, write


class PrintedTable(Protocol):
    """What a table provides; ``str(table)`` is what is printed."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing from it."""

    def to_json(self) -> str:
        """Everything."""

    def to_csv(self) -> str:
        """Everything, as a table for spreadsheets."""

    def to_markdown(self) -> str:
        """The means."""


def add_table_files(parser: ArgumentParser, numbers: str) -> None:
    """Declares --json, --csv and --markdown; ``numbers`` is what they hold for each image, such as "scores"."""
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help=f"write everything, including the {numbers} of each image"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the same as a table for spreadsheets")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the means as a Markdown table")


def table_files(options: Namespace) -> list[Path | None]:
    """The files that :func:`show` writes; None for an option that was not given."""
    return [options.json, options.csv, options.markdown]


def show(table: PrintedTable, options: Namespace) -> None:
    """Prints a table and its problems, and writes the requested files."""
    say(table)
    for problem in table.problems:
        complain(problem)
    texts = table.to_json, table.to_csv, table.to_markdown
    for file, text in zip(table_files(options), texts, strict=True):
        if file:
            write(file, text().encode())
