"""``mambadfuse faults``: what is wrong with fused images that no score shows."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mambadfuse.cli.arguments import add_component_option, name_components, positive, refuse_swapped_sides
from mambadfuse.cli.messages import complain, write

SUMMARY = "measure what no score shows: bands, overshoot, lost targets, noise and halos"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--a",
        type=Path,
        metavar="DIR",
        required=True,
        help="folder of the infrared or MRI side, or of both sides",
    )
    parser.add_argument(
        "--b", type=Path, metavar="DIR", help="folder of the other side; not needed if --a holds both sides"
    )
    parser.add_argument(
        "--fused",
        type=Path,
        nargs="+",
        default=(),
        metavar="DIR",
        help="one folder of results for each method",
    )
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="also fuse the pairs with shipped weights, or those of a file, and measure that; slow",
    )
    add_component_option(parser)
    parser.add_argument(
        "--contrast",
        type=positive,
        metavar="C",
        help="contrast factor for --model; default that of the weights, 1 for none",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything, including the faults of each image"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the same as a table for spreadsheets")


def run(options: Namespace) -> int:
    """Prints the table and writes the requested files; 1 if anything could not be measured."""
    if options.contrast is not None and options.model is None:
        options.usage_error("--contrast is that of the weights: give --model")
    if options.model and options.b:
        refuse_swapped_sides(options)

    from mambadfuse.evaluation.fault_folders import measure_folders

    name_components(options)
    table = measure_folders(
        options.fused,
        options.a,
        options.b,
        model=options.model,
        contrast=options.contrast,
        progress=sys.stderr.isatty(),
    )
    print(table)
    for problem in table.problems:
        complain(problem)
    if options.json:
        write(options.json, table.to_json().encode())
    if options.csv:
        write(options.csv, table.to_csv().encode())
    return 1 if table.problems else 0
