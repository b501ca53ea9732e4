"""``mambadfuse ablate``: one change at a time, trained with several seeds and compared with the default."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.ablation_report import add_report_options, check_report_options, report, reports
from mambadfuse.cli.arguments import add_component_option, check_outputs, name_components
from mambadfuse.cli.messages import complain, say
from mambadfuse.cli.pairs import add_training_pairs, training_pairs_of
from mambadfuse.cli.reading import add_reading, reading_arguments
from mambadfuse.cli.train import BUDGETS
from mambadfuse.data.tasks import TASKS

if TYPE_CHECKING:
    from mambadfuse.ablation import Experiment, Run, Store
    from mambadfuse.data.training_pairs import TrainingPair

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
    sides = ("A", "B")
    parser.add_argument(
        "--test",
        type=Path,
        nargs=2,
        metavar=sides,
        help="train nothing: score the kept weights of --out once on these pairs, which took no part in any choice",
    )
    parser.add_argument(
        "--test-file", type=Path, nargs=1, metavar="CSV", dest="test", help="CSV file of pairs to test on"
    )
    add_component_option(parser)
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
    parser.add_argument(
        "--keep-weights",
        action="store_true",
        help="keep the weights of every run in the folder weights/ of --out, for mambadfuse fuse --model",
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
        "--metrics",
        nargs="+",
        default=[],
        metavar="METRIC",
        help="what runs are scored by, or with --report which scores are shown: Qabf MSE 'noise gain', or faults for "
        "all faults of an image; the eight usual ones by default",
    )
    add_report_options(parser)


def run(options: Namespace) -> int:
    """Trains what is missing and prints the table; 1 if a run failed."""
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            options.usage_error(f"--{name} must be at least 1, found {getattr(options, name)}")
    if options.test and (options.pairs or options.validate or options.metrics):
        options.usage_error("--test takes no --pairs, --validate or --metrics: those of the stored runs hold")
    if options.report is None and bool(options.pairs) != bool(options.validate):
        options.usage_error("--pairs and --validate must be given together")

    from mambadfuse.ablation import SHIPPED_TABLE, read_table, select_rows

    name_components(options)
    shipped = options.table is None and options.report == "shipped"
    rows = select_rows(read_table(SHIPPED_TABLE if shipped else options.table), options.rows)
    if options.list:
        for row in rows:
            changes = ", ".join(f"{name}={value}" for name, value in row.changes.items())
            say(f"{row.name:<18}  {row.question}\n{'':<18}  {changes or 'changes nothing'}")
        return 0
    if options.report is not None:
        store = _stored(options)
        check_outputs(
            options,
            results=[options.tensorboard],
            reports=reports(options),
            sources=[options.table, store.path],
        )
        pairs = _pairs(options, [])[1] if options.pictures else []
        return report(options, store.results(), store.path.parent, pairs)
    if options.test:
        return _test(options)

    from mambadfuse.ablation import pending_runs, run_all

    check_report_options(options)
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
    failed = report(options, experiment.results(), experiment.out, experiment.validation)
    for problem in problems:
        complain(problem)
    return 1 if problems else failed


def _test(options: Namespace) -> int:
    """Scores the test pairs and prints their table."""
    from mambadfuse.ablation import Store, score_test
    from mambadfuse.data.training_pairs import find_training_pairs

    check_report_options(options)
    store = Store(options.out / "results.jsonl")
    options.pairs = [options.test]
    [found], _ = training_pairs_of(
        options, [options.tensorboard, store.path], [options.table], reports(options)
    )
    pairs = find_training_pairs(found, **reading_arguments(options))
    return report(options, score_test(store, pairs, say), options.out, pairs)


def _experiment(options: Namespace) -> "Experiment":
    """The experiment the options describe."""
    from mambadfuse.ablation import Experiment, metric_names
    from mambadfuse.metrics import EIGHT

    metrics = metric_names(options.metrics) if options.metrics else EIGHT
    if options.primary and options.primary not in metrics:
        options.usage_error(f"--primary {options.primary}: is not one of the metrics {', '.join(metrics)}")
    sets, validation = _pairs(options, [options.out / "results.jsonl"])
    return Experiment(
        sets,
        validation,
        options.out,
        options.task,
        options.budget,
        tuple(options.settings),
        metrics,
        options.keep_weights,
    )


def _pairs(
    options: Namespace, results: "Sequence[Path]"
) -> "tuple[list[Sequence[TrainingPair]], Sequence[TrainingPair]]":
    """The pairs to train on and those to score; prints a note if they are those of the kit."""
    from mambadfuse.ablation import bundled_pairs, centre_crop
    from mambadfuse.data.training_pairs import find_training_pairs

    found, judged = training_pairs_of(
        options, [options.tensorboard, *results], [options.table], reports(options)
    )
    how = reading_arguments(options)
    sets: list[Sequence[TrainingPair]]
    validation: Sequence[TrainingPair]
    if judged:
        sets = [find_training_pairs(each, **how) for each in found]
        validation = find_training_pairs(judged, **how)
    elif options.task == "ivf":
        sets, validation = bundled_pairs()
        say("no --pairs: training on the infrared-visible samples and toy pairs, scoring other toy pairs")
    else:
        options.usage_error(
            f"--task {options.task}: needs --pairs and --validate, the kit has pairs for ivf only"
        )
    return sets, centre_crop(validation, _size(options)) if options.centre_crop else validation


def _size(options: Namespace) -> tuple[int, int]:
    height, _, width = options.centre_crop.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        options.usage_error(
            f"--centre-crop {options.centre_crop}: expected a size such as 160x224 (height x width)"
        )
    return int(height), int(width)


def _stored(options: Namespace) -> "Store":
    from mambadfuse.ablation import SHIPPED_RESULTS, SHIPPED_TEST, Store

    if options.report == "shipped":
        return Store(SHIPPED_TEST if options.split == "test" else SHIPPED_RESULTS)
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
