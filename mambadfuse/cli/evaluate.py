"""``mambadfuse evaluate``: scores, compares and ranks folders of fused images."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import check_outputs
from mambadfuse.cli.messages import write
from mambadfuse.cli.pairs import add_folders, add_join, add_shard, pairs_of, require_nothing_but_tables
from mambadfuse.cli.reading import add_reading, reading_arguments
from mambadfuse.cli.tables import add_table_files, show, table_files

if TYPE_CHECKING:
    from mambadfuse.evaluation.table import Table

SUMMARY = "score folders of fused images, and rank them beside classical baselines"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--fused",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="one folder of results for each method",
    )
    add_folders(parser)
    add_reading(parser)
    add_shard(parser)
    add_join(parser, "scoring")
    parser.add_argument(
        "--convention",
        choices=("literature", "strict"),
        default="literature",
        help="the conventions of published tables, or the strict definitions",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="EN SD SF MI SCD VIF Qabf SSIM, the default; AG CC PSNR MSE; BLUR (lower is better, needs scikit-image)",
    )
    parser.add_argument("--no-baselines", action="store_true", help="omit mean, maximum and pyramid")
    parser.add_argument(
        "--rows",
        metavar="SET",
        help="add the published rows of a test set: TNO-25, RoadScene-50, MSRS-361, ...",
    )
    add_table_files(parser, "scores")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the means, a .png file")
    parser.add_argument("--boxes", type=Path, metavar="FILE", help="draw the spread over images, a .png file")


def run(options: Namespace) -> int:
    """Prints the table and writes the requested files; 1 if anything could not be scored."""
    for name in ("plot", "boxes"):
        path = getattr(options, name)
        if path and path.suffix.lower() != ".png":
            options.usage_error(f"--{name} {path}: expected the name of a .png file")

    table = _join(options) if options.join else _score(options)
    show(table, options)
    if options.plot or options.boxes:
        from mambadfuse.plotting import box_plots, parallel_plot, png

        if options.plot:
            write(options.plot, png(parallel_plot(table)))
        if options.boxes:
            write(options.boxes, png(box_plots(table)))
    return 1 if table.problems else 0


def _join(options: Namespace) -> "Table":
    """The table of the whole."""
    from mambadfuse.evaluation.shards import join_tables

    require_nothing_but_tables(options, [options.rows])
    check_outputs(options, reports=_reports(options), sources=options.join)
    return join_tables(options.join)


def _score(options: Namespace) -> "Table":
    """The table of the folders, or of a shard of them."""
    from mambadfuse.data.results import results_in
    from mambadfuse.evaluation.folders import evaluate_folders
    from mambadfuse.metrics import EIGHT

    if not options.fused:
        options.usage_error("the following arguments are required: --fused, or --join")
    found = pairs_of(options)
    results = [file for folder in options.fused for file in results_in(folder, found.pairs).values()]
    check_outputs(
        options,
        reports=_reports(options),
        sources=[*found.files, *results, options.pairs_file],
        folders=found.folders,
    )
    return evaluate_folders(
        options.fused,
        found,
        convention=options.convention,
        metrics=options.metrics or EIGHT,
        baselines=not options.no_baselines,
        rows=options.rows,
        shard=options.shard,
        **reading_arguments(options),
        progress=sys.stderr.isatty(),
    )


def _reports(options: Namespace) -> list[Path | None]:
    return [*table_files(options), options.plot, options.boxes]
