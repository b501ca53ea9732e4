"""``mambadfuse train``: weights from folders of pairs; stops and resumes at any step."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mambadfuse.cli.messages import complain
from mambadfuse.data.tasks import TASKS

SUMMARY = "train weights on folders of pairs; a run that was stopped goes on where it stood"
BUDGETS = ("minutes", "laptop", "gpu")


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--pairs", type=Path, nargs=2, action="append", metavar=("A", "B"), required=True,
        help="a folder of the infrared or MRI side and one of the other; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="weights to write, .safetensors"
    )
    parser.add_argument("--task", choices=TASKS, default="ivf", help="what the pairs show; decides the loss")
    parser.add_argument(
        "--budget", choices=BUDGETS, default="laptop",
        help="a miniature in minutes, a small network in hours, or the published recipe for a GPU",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, metavar="N", help="another length of the run")
    parser.add_argument(
        "--shares", type=float, nargs="+", metavar="X", help="how often each --pairs is drawn; alike if left out"
    )  # fmt: skip
    parser.add_argument(
        "--validate", type=Path, nargs=2, metavar=("A", "B"), help="two folders of pairs to be judged by"
    )
    parser.add_argument("--config", type=Path, metavar="YAML", help="a file of settings")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", dest="settings",
        help="settings, such as model=published model.dim=40 learning_rate=5e-4; --dry-run lists them all",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="only show the settings, the time and the memory it will take"
    )


def run(options: Namespace) -> int:
    """Trains to the end; the state of the run lies beside ``--out``."""
    shares = options.shares or [1.0] * len(options.pairs)
    if len(shares) != len(options.pairs):
        options.usage_error(f"{len(shares)} --shares for {len(options.pairs)} --pairs")
    if options.out.suffix != ".safetensors":
        options.usage_error(f"--out {options.out}: expected the name of a .safetensors file")

    from mambadfuse.data.training_pairs import find_training_pairs
    from mambadfuse.training import as_yaml, configure, estimate, train
    from mambadfuse.training.validation import require_large_enough

    words = [*options.settings, *([f"steps={options.steps}"] if options.steps is not None else [])]
    config = configure(options.task, options.budget, options.config, words)
    sets = [find_training_pairs(*folders) for folders in options.pairs]
    validation = find_training_pairs(*options.validate) if options.validate else []
    require_large_enough(validation)
    doubts = [f"note: {doubt}" for doubt in config.doubts()]
    speaks = os.environ.get("RANK", "0") == "0"  # of several processes the first
    if options.dry_run:
        outlook = estimate(config, sets, shares)
        if speaks:
            print(as_yaml(config), outlook, *doubts, sep="\n")
        return 0
    if speaks:
        print(
            f"{sum(map(len, sets))} pairs, {config.steps} steps of {config.batch} crops",
            *doubts,
            sep="\n",
            flush=True,
        )
    try:
        train(config, sets, options.out, shares=shares, validation=validation)
    except OSError as error:
        complain(f"{error}. Mend this, then the same command goes on from what was kept")
        return 1
    if speaks:
        print(f"wrote {options.out}")
    return 0
