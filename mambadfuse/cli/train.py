"""``mambadfuse train``: trains weights on folders of pairs; a stopped run resumes where it was."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mambadfuse.cli.messages import complain, say, words_of
from mambadfuse.cli.pairs import add_training_pairs, training_pairs_of
from mambadfuse.cli.reading import add_reading, reading_arguments
from mambadfuse.data.tasks import TASKS

SUMMARY = "train weights on folders of pairs; the same command resumes a run that was stopped"
BUDGETS = ("minutes", "laptop", "gpu")


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    add_training_pairs(
        parser,
        "folder of infrared or MRI images and folder of the other side; may be repeated",
        "validate on",
    )
    add_reading(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="weights file to write, .safetensors"
    )
    parser.add_argument(
        "--task", choices=TASKS, default="ivf", help="what the pairs show; determines the loss"
    )
    parser.add_argument(
        "--budget",
        choices=BUDGETS,
        default="laptop",
        help="a miniature in minutes, a small network in hours, or the published recipe for a GPU (not run by us)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="number of steps, instead of the budget's")
    parser.add_argument(
        "--sampling-weights",
        type=float,
        nargs="+",
        metavar="X",
        help="how often each --pairs is drawn, relative to the others; equal by default",
    )
    parser.add_argument("--config", type=Path, metavar="YAML", help="settings file")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="settings, such as model=published model.dim=40 learning_rate=5e-4; --dry-run lists all of them",
    )
    parser.add_argument(
        "--other-code",
        action="store_true",
        help="resume even where the code of the kit or of a component has changed since",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only show the settings and the expected time and memory"
    )


def run(options: Namespace) -> int:
    """Trains to the last step; the checkpoints and logs of the run lie beside ``--out``."""
    if not options.pairs:
        options.usage_error("the following arguments are required: --pairs or --pairs-file")
    weights = options.sampling_weights
    if weights and len(weights) != len(options.pairs):
        options.usage_error(f"{len(weights)} --sampling-weights for {len(options.pairs)} --pairs")
    if options.out.suffix != ".safetensors":
        options.usage_error(f"--out {options.out}: expected the name of a .safetensors file")

    from mambadfuse.data.training_pairs import find_training_pairs
    from mambadfuse.models.pretrained import weights_path
    from mambadfuse.training import as_yaml, configure, estimate, run_folder, train
    from mambadfuse.training.validation import require_large_enough

    overrides = [*options.settings, *([f"steps={options.steps}"] if options.steps is not None else [])]
    config = configure(options.task, options.budget, options.config, overrides)
    weights_read = [weights_path(name) for name in (config.init_from, config.teacher) if name]
    found, judged = training_pairs_of(
        options, [options.out, run_folder(options.out)], [options.config, *weights_read]
    )
    how = reading_arguments(options)
    sets = [find_training_pairs(each, **how) for each in found]
    validation = find_training_pairs(judged, **how) if judged else []
    require_large_enough(validation)
    warnings = [f"warning: {warning}" for warning in config.warnings()]
    prints = os.environ.get("RANK", "0") == "0"  # of several processes the first
    if options.dry_run:
        expected = estimate(config, sets, weights)
        if prints:
            print(as_yaml(config), expected, *warnings, sep="\n")
        return 0
    if prints:
        summary = f"{sum(map(len, sets))} pairs, {config.steps} steps of {config.batch} crops"
        print(summary, *warnings, sep="\n", flush=True)
    try:
        train(
            config,
            sets,
            options.out,
            sampling_weights=weights,
            validation=validation,
            other_code=options.other_code,
        )
    except OSError as error:
        complain(f"{words_of(error)}. Fix this, then repeat the command to resume")
        return 1
    if prints:
        say(f"wrote {options.out}")
    return 0
