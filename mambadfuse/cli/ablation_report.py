"""The report of ``mambadfuse ablate``: tables on the screen, and files."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.messages import complain, say, write

if TYPE_CHECKING:
    from mambadfuse.ablation import Report, Result
    from mambadfuse.data.training_pairs import TrainingPair

_FIGURES = ("forest", "curves", "cost")  # files of --figures
_SHOWN = 3  # pairs of --pictures


def add_report_options(parser: ArgumentParser) -> None:
    """Declares what the report shows, and the files that it writes."""
    parser.add_argument(
        "--code",
        default="",
        metavar="COMMIT",
        help="with --report, only results of this version of the kit, by its commit or digest; all by default",
    )
    parser.add_argument(
        "--split",
        choices=("validation", "test"),
        help="with --report, only the results on these images; by default each set has its own table, and the "
        "'shipped' ones show that of the validation set",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table with all digits")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the table as a page, with its figures"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table in Markdown")
    parser.add_argument("--latex", type=Path, metavar="FILE", help="write the table in LaTeX, with booktabs")
    parser.add_argument(
        "--picture-csv", type=Path, metavar="FILE", help="write the scores of every image in every run"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="DIR",
        help="draw differences with intervals, loss curves, and quality against cost, .png files",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="FILE",
        help="draw the first three pairs of --validate as each row fuses them, a .png file; needs kept weights",
    )
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="write every run for TensorBoard, with its settings, scores and loss, to a new folder",
    )
    parser.add_argument(
        "--margin",
        nargs="+",
        default=[],
        metavar="MARGIN",
        dest="margins",
        help="smallest differences that matter: 2%% of the mean of default, or SSIM=0.01; smaller is equal",
    )
    parser.add_argument(
        "--primary", metavar="METRIC", help="the metric of the verdicts, chosen beforehand; default Qabf"
    )


def check_report_options(options: Namespace) -> None:
    """Refuses, before anything is trained, what the report would refuse at the end.

    Raises:
        ValueError: a margin cannot be read, or there is something at the place of --tensorboard.
        ImportError: tensorboardX is needed, but not installed.
    """
    from mambadfuse.ablation import read_margins
    from mambadfuse.ablation.tensorboard import require_new

    read_margins(options.margins)
    if options.tensorboard:
        require_new(options.tensorboard)
    if options.pictures and not (options.keep_weights or options.test):
        options.usage_error("--pictures draws what kept weights fuse: give --keep-weights")


def reports(options: Namespace) -> list[Path | None]:
    """The files that the report writes, but for those of TensorBoard."""
    figures = [options.figures / f"{name}.png" for name in _FIGURES] if options.figures else []
    return [*_texts_of(options), options.pictures, *figures]


def report(
    options: Namespace, results: "Sequence[Result]", folder: Path, pairs: "Sequence[TrainingPair]"
) -> int:
    """Prints one table per setting and writes the requested files; 1 if there are no results.

    Args:
        options: of the command.
        results: all that are stored.
        folder: of the file that they are stored in.
        pairs: to draw.
    """
    from mambadfuse.ablation import compare, metric_names, read_margins
    from mambadfuse.ablation.store import rows_by_code

    results = [
        result for result in results if _is_of(result, options.code) and options.split in (None, result.split)
    ]
    if options.metrics:
        metrics = metric_names(options.metrics)
        scored = [result for result in results if result.means.keys() >= set(metrics)]
        results = [result.only(metrics) for result in scored or results]
    alike = {result.setting: [r for r in results if r.setting == result.setting] for result in results}
    margins = read_margins(options.margins)
    tables = [compare(group, margins, options.primary) for group in alike.values()]
    if options.rows:
        tables = [table.only(options.rows) for table in tables]
        results = [result for result in results if result.row in {"default", *options.rows}]
    if not tables:
        complain("there are no results yet")
        return 1
    kits = [_kit(group[-1]) for group in alike.values()]
    heads = [f"{kit}\n" for kit in kits] if len(set(kits)) > 1 else [""] * len(kits)
    say("\n\n\n".join(f"{head}{table}" for head, table in zip(heads, tables, strict=True)))
    for path in filter(None, [*reports(options), options.tensorboard]):
        if len(tables) > 1:
            raise ValueError(
                f"{path}: cannot hold {len(tables)} tables, of different settings, pairs or code (see --split, --code)"
            )
    _write(options, tables[0], rows_by_code(results), folder, pairs)
    return 0


def _write(
    options: Namespace,
    table: "Report",
    results: "Sequence[Result]",
    folder: Path,
    pairs: "Sequence[TrainingPair]",
) -> None:
    from mambadfuse.ablation import picture_csv
    from mambadfuse.ablation.tensorboard import write_tensorboard

    pictures = {"pictures": _pictures(results, folder, pairs)} if options.pictures else {}
    made = (
        table.to_json,
        table.to_csv,
        lambda: _page(table, _figures(table, results) | pictures),
        table.to_markdown,
        table.to_latex,
        lambda: picture_csv(results),
    )
    for path, text in zip(_texts_of(options), made, strict=True):
        if path:
            write(path, text().encode())
    if options.figures:
        for name, content in _figures(table, results).items():
            write(options.figures / f"{name}.png", content)
    for content in pictures.values():
        write(options.pictures, content)
    if options.tensorboard:
        write_tensorboard(results, options.tensorboard)


def _texts_of(options: Namespace) -> list[Path | None]:
    return [
        options.json,
        options.csv,
        options.html,
        options.markdown,
        options.latex,
        options.picture_csv,
    ]


def _figures(table: "Report", results: "Sequence[Result]") -> dict[str, bytes]:
    """PNG files by name; without a row to compare with ``default`` there is no forest plot.

    Cost is operations, or training time where the operations of a row are unknown.
    """
    from mambadfuse.analysis.ablation_figures import cost_plot, flops_of_rows, forest_plot, loss_curves
    from mambadfuse.plotting import png

    forest, curves, cost = _FIGURES
    figures = {forest: forest_plot(table)} if len(table.lines) > 1 else {}
    flops = flops_of_rows(results)
    known = all(line.row in flops for line in table.lines)
    drawn = cost_plot(table, flops, "operations for a pair, 10⁹") if known else cost_plot(table)
    figures |= {curves: loss_curves(results), cost: drawn}
    return {name: png(figure) for name, figure in figures.items()}


def _pictures(results: "Sequence[Result]", folder: Path, pairs: "Sequence[TrainingPair]") -> bytes:
    """A PNG file."""
    from mambadfuse.ablation import kept_weights
    from mambadfuse.analysis.ablation_pictures import fused_pictures
    from mambadfuse.plotting import png

    weights = kept_weights(results, folder)
    if not weights:
        raise ValueError(f"{folder}: holds no weights of these results; train with --keep-weights")
    return png(fused_pictures(weights, pairs[:_SHOWN]))


def _page(table: "Report", figures: dict[str, bytes]) -> str:
    """A page that needs no other file."""
    from base64 import b64encode

    drawn = "".join(
        f'<p><img alt="{name}" style="max-width: 100%" src="data:image/png;base64,{b64encode(png).decode()}"></p>'
        for name, png in figures.items()
    )
    head = (
        '<!doctype html><meta charset="utf-8"><title>Ablation</title><body style="font-family: sans-serif">'
    )
    return f"{head}\n{table.to_html()}\n{drawn}\n"


def _is_of(result: "Result", version: str) -> bool:
    """Whether a result is of a version of the kit; of any if it is empty."""
    return any(str(result.code.get(name, "")).startswith(version) for name in ("kit", "commit"))


def _kit(result: "Result") -> str:
    """The version of the kit in words."""
    code = {"kit": "of a version that was not recorded", "commit": "", **result.code}
    return f"kit {code['kit']}{code['commit'] and ', commit '}{code['commit']}"
