"""``mambadfuse faults``: what is wrong with fused images that no score shows."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import add_component_option, check_outputs, name_components, positive
from mambadfuse.cli.pairs import (
    add_folders,
    add_join,
    add_shard,
    pairs_of,
    refuse_swapped_sides,
    require_nothing_but_tables,
)
from mambadfuse.cli.reading import add_reading, reading_arguments
from mambadfuse.cli.tables import add_table_files, show, table_files

if TYPE_CHECKING:
    from mambadfuse.evaluation.fault_table import FaultTable

SUMMARY = "measure what no score shows: bands, overshoot, lost targets, noise and halos"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    add_folders(parser)
    add_reading(parser)
    add_shard(parser)
    add_join(parser, "measuring")
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
    add_table_files(parser, "faults")


def run(options: Namespace) -> int:
    """Prints the table and writes the requested files; 1 if anything could not be measured."""
    table = _join(options) if options.join else _measure(options)
    show(table, options)
    return 1 if table.problems else 0


def _join(options: Namespace) -> "FaultTable":
    """The table of the whole."""
    from mambadfuse.evaluation.shards import join_fault_tables

    require_nothing_but_tables(options, [options.model, options.contrast])
    check_outputs(options, reports=table_files(options), sources=options.join)
    return join_fault_tables(options.join)


def _measure(options: Namespace) -> "FaultTable":
    """The table of the folders and weights, or of a shard of the pairs."""
    if options.contrast is not None and options.model is None:
        options.usage_error("--contrast is that of the weights: give --model")
    if options.model and options.a and options.b:
        refuse_swapped_sides(options, options.a, options.b)

    from mambadfuse.data.results import results_in
    from mambadfuse.evaluation.fault_folders import measure_folders

    name_components(options)
    found = pairs_of(options)
    results = [file for folder in options.fused for file in results_in(folder, found.pairs).values()]
    sources = [*found.files, *results, options.model, options.pairs_file]
    check_outputs(options, reports=table_files(options), sources=sources, folders=found.folders)
    return measure_folders(
        options.fused,
        found,
        model=options.model,
        contrast=options.contrast,
        shard=options.shard,
        **reading_arguments(options),
        progress=sys.stderr.isatty(),
    )
