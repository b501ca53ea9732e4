"""``mambadfuse ablate``: one change at a time, trained with several seeds and compared with the default."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.arguments import refuse_sources
from mambadfuse.cli.messages import complain, say, write
from mambadfuse.cli.pairs import add_training_pairs, training_pairs_of
from mambadfuse.cli.reading import add_reading, reading_arguments
from mambadfuse.cli.train import BUDGETS
from mambadfuse.data.tasks import TASKS

if TYPE_CHECKING:
    from mambadfuse.ablation import Experiment, Report, Result, Run, Store
    from mambadfuse.data.training_pairs import TrainingPair

_FIGURES = ("forest", "curves", "cost")  # files of --figures

SUMMARY = "train the network with one change at a time and test which changes matter"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="NAME", help="rows of the table, see --list; all by default"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="train each row with seeds 0 to N - 1"
    )
    parser.add_argument(
        "--task", choices=TASKS, default="ivf", help="what the pairs show; determines the loss"
    )
    parser.add_argument("--budget", choices=BUDGETS, default="minutes", help="as for mambadfuse train")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="settings for every row, such as steps=300 or model.dim=24",
    )
    add_training_pairs(
        parser,
        "folders to train on, may be repeated; by default samples and toy pairs that come with the kit",
        "score",
    )
    add_reading(parser)
    parser.add_argument(
        "--centre-crop", metavar="HxW", help="score only the centre of each image, to save time"
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="YAML",
        help="your own table, in the format of mambadfuse/ablation/table.yaml",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/ablation"),
        metavar="DIR",
        help="folder for results and unfinished runs, which the same command resumes",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many runs to train in parallel")
    parser.add_argument(
        "--submit",
        choices=("local", "slurm"),
        help="submit every run as a job through submitit, on this machine or to a cluster",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="only list the rows, their questions and changes")
    what.add_argument(
        "--dry-run", action="store_true", help="only show what would run and how long it would take"
    )
    what.add_argument(
        "--report",
        nargs="?",
        const="",
        metavar="FILE",
        help="only show the table of the results in --out, in FILE, or of the 'shipped' ones",
    )
    parser.add_argument(
        "--code",
        default="",
        metavar="COMMIT",
        help="with --report, only results of this version of the kit, by its commit or digest; all by default",
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
        "--margin",
        nargs="+",
        default=[],
        metavar="MARGIN",
        dest="margins",
        help="smallest differences that matter: 2%% of the mean of default, or SSIM=0.01; smaller is equal",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=[],
        metavar="METRIC",
        help="what runs are scored by, or with --report which scores are shown: Qabf MSE 'noise gain', or faults for "
        "all faults of an image; the eight usual ones by default",
    )
    parser.add_argument(
        "--primary", metavar="METRIC", help="the metric of the verdicts, chosen beforehand; default Qabf"
    )


def run(options: Namespace) -> int:
    """Trains what is missing and prints the table; 1 if a run failed."""
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            options.usage_error(f"--{name} must be at least 1, found {getattr(options, name)}")
    if bool(options.pairs) != bool(options.validate):
        options.usage_error("--pairs and --validate must be given together")

    from mambadfuse.ablation import read_table, select_rows

    rows = select_rows(read_table(options.table), options.rows)
    if options.list:
        for row in rows:
            changes = ", ".join(f"{name}={value}" for name, value in row.changes.items())
            say(f"{row.name:<18}  {row.question}\n{'':<18}  {changes or 'changes nothing'}")
        return 0
    if options.report is not None:
        store = _stored(options)
        refuse_sources(options, _outputs(options), [options.table, store.path])
        return _report(options, store.results())

    from mambadfuse.ablation import pending_runs, run_all

    experiment = _experiment(options)
    runs, left_out = pending_runs(experiment, rows, range(options.seeds))
    say("\n".join([f"{len(runs)} runs to do", *left_out]))
    if options.dry_run:
        _print_estimates(experiment, runs, options.jobs)
        return 0
    if options.submit:
        from mambadfuse.ablation.cluster import submit_all

        problems = submit_all(experiment, runs, options.submit, say=say)
    else:
        problems = run_all(experiment, runs, options.jobs, say=say)
    failed = _report(options, experiment.results())
    for problem in problems:
        complain(problem)
    return 1 if problems else failed


def _experiment(options: Namespace) -> "Experiment":
    """The experiment the options describe; prints a note if it uses the pairs of the kit."""
    from mambadfuse.ablation import Experiment, bundled_pairs, centre_crop, metric_names
    from mambadfuse.data.training_pairs import find_training_pairs
    from mambadfuse.metrics import EIGHT

    outputs = [*_outputs(options), options.out / "results.jsonl"]
    found, judged = training_pairs_of(options, outputs, [options.table])
    how = reading_arguments(options)
    sets: list[Sequence[TrainingPair]]
    validation: Sequence[TrainingPair]
    if judged:
        sets, validation = (
            [find_training_pairs(each, **how) for each in found],
            find_training_pairs(judged, **how),
        )
    elif options.task == "ivf":
        sets, validation = bundled_pairs()
        say("no --pairs: training on the infrared-visible samples and toy pairs, scoring other toy pairs")
    else:
        options.usage_error(
            f"--task {options.task}: needs --pairs and --validate, the kit has pairs for ivf only"
        )
    if options.centre_crop:
        validation = centre_crop(validation, _size(options))
    metrics = metric_names(options.metrics) if options.metrics else EIGHT
    if options.primary and options.primary not in metrics:
        options.usage_error(f"--primary {options.primary}: is not one of the metrics {', '.join(metrics)}")
    settings = tuple(options.settings)
    return Experiment(sets, validation, options.out, options.task, options.budget, settings, metrics)


def _outputs(options: Namespace) -> list["Path | None"]:
    """The files that the report writes."""
    figures = [options.figures / f"{name}.png" for name in _FIGURES] if options.figures else []
    texts = [options.json, options.csv, options.html, options.markdown, options.latex, options.picture_csv]
    return [*texts, *figures]


def _size(options: Namespace) -> tuple[int, int]:
    height, _, width = options.centre_crop.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        options.usage_error(
            f"--centre-crop {options.centre_crop}: expected a size such as 160x224 (height x width)"
        )
    return int(height), int(width)


def _stored(options: Namespace) -> "Store":
    from mambadfuse.ablation import SHIPPED_RESULTS, Store

    if options.report == "shipped":
        return Store(SHIPPED_RESULTS)
    path = Path(options.report) if options.report else options.out / "results.jsonl"
    if path.is_dir():
        path = path / "results.jsonl"
    if not path.is_file():
        raise ValueError(f"{path}: no such file of results; the command without --report creates it")
    return Store(path)


def _print_estimates(experiment: "Experiment", runs: "Sequence[Run]", jobs: int) -> None:
    """Prints how long each run would take, measured on a few steps of its row."""
    from mambadfuse.training.estimate import estimate, format_duration

    seconds = {}
    for run in runs:
        if run.row.name not in seconds:
            expected = estimate(experiment.config(run.row, 0), experiment.sets, measured=2)
            seconds[run.row.name] = expected.steps * expected.seconds_per_step
        say(f"{run!s:<28}  {format_duration(seconds[run.row.name])}")
    total = sum(seconds[run.row.name] for run in runs)
    say(f"{format_duration(total / jobs)} in total with --jobs {jobs}, without scoring")


def _report(options: Namespace, results: "Sequence[Result]") -> int:
    """Prints one table per setting and writes the requested files; 1 if there are no results."""
    from mambadfuse.ablation import compare, metric_names, picture_csv, read_margins
    from mambadfuse.ablation.store import rows_by_code

    results = [result for result in results if _is_of(result, options.code)]
    if options.metrics:
        results = [result.only(metric_names(options.metrics)) for result in results]
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
    results = rows_by_code(results)
    texts = {
        options.json: lambda: tables[0].to_json(),
        options.csv: lambda: tables[0].to_csv(),
        options.html: lambda: _page(tables[0], results),
        options.markdown: lambda: tables[0].to_markdown(),
        options.latex: lambda: tables[0].to_latex(),
        options.picture_csv: lambda: picture_csv(results),
    }
    for path in filter(None, [*texts, options.figures]):
        if len(tables) > 1:
            raise ValueError(
                f"{path}: cannot hold {len(tables)} tables, of different settings, pairs or code (see --code)"
            )
    for path, text in texts.items():
        if path:
            write(path, text().encode())
    if options.figures:
        for name, content in _figures(tables[0], results).items():
            write(options.figures / f"{name}.png", content)
    return 0


def _figures(table: "Report", results: "Sequence[Result]") -> dict[str, bytes]:
    """PNG files by name; without a row to compare with ``default`` there is no forest plot."""
    from mambadfuse.analysis.ablation_figures import cost_plot, forest_plot, loss_curves
    from mambadfuse.plotting import png

    forest, curves, cost = _FIGURES
    figures = {forest: forest_plot(table)} if len(table.lines) > 1 else {}
    figures |= {curves: loss_curves(results), cost: cost_plot(table)}
    return {name: png(figure) for name, figure in figures.items()}


def _page(table: "Report", results: "Sequence[Result]") -> str:
    """A page that needs no other file."""
    from base64 import b64encode

    figures = "".join(
        f'<p><img alt="{name}" style="max-width: 100%" src="data:image/png;base64,{b64encode(png).decode()}"></p>'
        for name, png in _figures(table, results).items()
    )
    head = (
        '<!doctype html><meta charset="utf-8"><title>Ablation</title><body style="font-family: sans-serif">'
    )
    return f"{head}\n{table.to_html()}\n{figures}\n"


def _is_of(result: "Result", version: str) -> bool:
    """Whether a result is of a version of the kit; of any if it is empty."""
    return any(str(result.code.get(name, "")).startswith(version) for name in ("kit", "commit"))


def _kit(result: "Result") -> str:
    """The version of the kit in words."""
    code = {"kit": "of a version that was not recorded", "commit": "", **result.code}
    return f"kit {code['kit']}{code['commit'] and ', commit '}{code['commit']}"
