"""Values of options, checked while the command line is read."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from math import inf
from pathlib import Path

from mambadfuse.components import component
from mambadfuse.files import require_apart, require_report, require_writable

_SMALLEST_TILE = 32  # smaller ones are very slow, and leave the scan almost no context


def device(name: str) -> str:
    """The name of a device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ArgumentTypeError(f"unknown device {name!r}: choose auto, cpu, cuda, cuda:1, ... or mps")
    return name


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        if 0 < (number := float(text)) < inf:
            return number
    except ValueError:
        pass
    raise ArgumentTypeError(f"expected a positive number, found {text!r}")


def pixels(text: str) -> int:
    """The side of a tile."""
    if not text.isdecimal() or int(text) < _SMALLEST_TILE:
        raise ArgumentTypeError(f"expected a number of pixels, at least {_SMALLEST_TILE}, found {text!r}")
    return int(text)


def add_component_option(parser: ArgumentParser) -> None:
    """Declares ``--component``, which :func:`name_components` reads."""
    parser.add_argument(
        "--component",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="a component of your own that the weights need; its module is imported, so trust it",
    )


def name_components(options: Namespace) -> None:
    """Imports the components that the weights may then use.

    Raises:
        ValueError: one cannot be imported.
    """
    for name in options.component:
        component(name)


def check_outputs(
    options: Namespace,
    *,
    results: Iterable[Path | None] = (),
    reports: Iterable[Path | None] = (),
    sources: Iterable[str | Path | None] = (),
    folders: Iterable[Path] = (),
) -> None:
    """Stops before the work if an output would replace a source, or cannot be written.

    None stands for an option that was not given.

    Args:
        options: of the command, for usage errors.
        results: files, or folders of files, that the command is there to make, and replaces by rules of its own.
        reports: files beside them: tables, figures and contact sheets, which replace only other reports.
        sources: files that are read.
        folders: all of whose files are sources.

    Raises:
        OSError: an output cannot be written.
    """
    made, beside = list(filter(None, results)), list(filter(None, reports))
    try:
        require_apart([*made, *beside], filter(None, sources), folders)
        for report in beside:
            require_report(report)
    except ValueError as error:
        options.usage_error(str(error))
    require_writable([*made, *beside])
