"""``mambadfuse ablate``: one change at a time, trained with several seeds and compared with no change."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mambadfuse.cli.messages import complain, write
from mambadfuse.cli.train import BUDGETS, TASKS

if TYPE_CHECKING:
    from mambadfuse.ablation import Experiment, Result, Run, Store
    from mambadfuse.data.training_pairs import TrainingPair

SUMMARY = "train the network with one change at a time, and say which of them make a difference"


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="NAME", help="rows of the table; all if left out, see --list"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="trainings of each row: seeds 0 to N - 1"
    )
    parser.add_argument("--task", choices=TASKS, default="ivf", help="what the pairs show; decides the loss")
    parser.add_argument("--budget", choices=BUDGETS, default="minutes", help="as of mambadfuse train")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="settings for every row, such as steps=300 or model.dim=24",
    )
    parser.add_argument(
        "--pairs",
        type=Path,
        nargs=2,
        action="append",
        metavar=("A", "B"),
        help="folders to train on, may be given several times; the kit's own samples and toys if left out",
    )
    parser.add_argument(
        "--validate", type=Path, nargs=2, metavar=("A", "B"), help="two folders to be judged by"
    )
    parser.add_argument("--middle", metavar="HxW", help="judge by the middle of each picture, to save time")
    parser.add_argument(
        "--table", type=Path, metavar="YAML", help="a table of your own, like the one --list shows"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/ablation"),
        metavar="DIR",
        help="where results are kept, and unfinished runs, which the same command goes on with",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many run side by side")
    parser.add_argument(
        "--submit",
        choices=("local", "slurm"),
        help="every run as a job of its own, by submitit: here, or on a cluster",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="only show the rows, their questions and changes")
    what.add_argument("--dry-run", action="store_true", help="only show what would run, and how long")
    what.add_argument(
        "--report",
        nargs="?",
        const="",
        metavar="FILE",
        help="only show the table of the results in --out, in a file, or of the 'shipped' ones",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the table, also what the text rounds"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the same for a spreadsheet")


def run(options: Namespace) -> int:
    """Runs what is missing and prints the table; 1 if a run failed."""
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            options.usage_error(f"--{name} must be at least 1, found {getattr(options, name)}")
    if bool(options.pairs) != bool(options.validate):
        options.usage_error("--pairs and --validate belong together")

    from mambadfuse.ablation import choose, read_table

    rows = choose(read_table(options.table), options.rows)
    if options.list:
        for row in rows:
            changes = ", ".join(f"{name}={value}" for name, value in row.changes.items())
            print(f"{row.name:<18}  {row.question}\n{'':<18}  {changes or 'changes nothing'}")
        return 0
    if options.report is not None:
        return _report(options, _stored(options).results())

    from mambadfuse.ablation import planned, run_all

    experiment = _experiment(options)
    runs, left_out = planned(experiment, rows, range(options.seeds))
    print("\n".join([f"{len(runs)} runs are missing", *left_out]), flush=True)
    if options.dry_run:
        _foretell(experiment, runs, options.jobs)
        return 0
    if options.submit:
        from mambadfuse.ablation.cluster import submit_all

        problems = submit_all(experiment, runs, options.submit, say=_say)
    else:
        problems = run_all(experiment, runs, options.jobs, say=_say)
    mine = [result for result in experiment.store.results() if result.setting == experiment.setting]
    failed = _report(options, mine)
    for problem in problems:
        complain(problem)
    return 1 if problems else failed


def _experiment(options: Namespace) -> "Experiment":
    """What the options describe; says so if the kit's own pairs are used."""
    from mambadfuse.ablation import Experiment, middle, own_pairs
    from mambadfuse.data.training_pairs import find_grey_pairs

    sets: list[Sequence[TrainingPair]]
    validation: Sequence[TrainingPair]
    if options.pairs:
        sets = [find_grey_pairs(*folders) for folders in options.pairs]
        validation = find_grey_pairs(*options.validate)
    elif options.task == "ivf":
        sets, validation = own_pairs()
        print("no --pairs: trained on the infrared-visible samples and toys, judged by other toys")
    else:
        options.usage_error(f"--task {options.task}: give --pairs and --validate, the kit's own are of ivf")
    if options.middle:
        validation = middle(validation, _size(options))
    return Experiment(sets, validation, options.out, options.task, options.budget, tuple(options.settings))


def _size(options: Namespace) -> tuple[int, int]:
    height, _, width = options.middle.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        options.usage_error(f"--middle {options.middle}: expected a size such as 160x224 (height x width)")
    return int(height), int(width)


def _stored(options: Namespace) -> "Store":
    from mambadfuse.ablation import SHIPPED_RESULTS, Store

    if options.report == "shipped":
        return Store(SHIPPED_RESULTS)
    path = Path(options.report) if options.report else options.out / "results.jsonl"
    if path.is_dir():
        path = path / "results.jsonl"
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of results; without --report the command makes it")
    return Store(path)


def _foretell(experiment: "Experiment", runs: "Sequence[Run]", jobs: int) -> None:
    """How long each row would take, from a few steps of it."""
    from mambadfuse.training.estimate import estimate, spoken

    seconds = {}
    for run in runs:
        if run.row.name not in seconds:
            outlook = estimate(experiment.config(run.row, 0), experiment.sets, measured=2)
            seconds[run.row.name] = outlook.steps * outlook.seconds_per_step
        print(f"{run!s:<28}  {spoken(seconds[run.row.name])}", flush=True)
    total = sum(seconds[run.row.name] for run in runs)
    print(f"{spoken(total / jobs)} in all with --jobs {jobs}, scoring not counted")


def _report(options: Namespace, results: "Sequence[Result]") -> int:
    """Prints a table for each kind of results, and writes the files asked for; 1 if there are none."""
    from mambadfuse.ablation import compare

    wanted = {"default", *options.rows} if options.rows else {result.row for result in results}
    results = [result for result in results if result.row in wanted]
    settings = dict.fromkeys(result.setting for result in results)
    tables = [compare([r for r in results if r.setting == setting]) for setting in settings]
    if not tables:
        complain("there are no results yet")
        return 1
    print("\n\n\n".join(map(str, tables)))
    for path, text in ((options.json, "to_json"), (options.csv, "to_csv")):
        if path:
            if len(tables) > 1:
                raise ValueError(f"{path}: cannot hold {len(tables)} tables of different settings or pairs")
            write(path, getattr(tables[0], text)().encode())
    return 0


def _say(text: str) -> None:
    print(text, flush=True)
