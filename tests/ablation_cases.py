"""A tiny ablation for the tests: toys of a few pixels, a few steps."""

from pathlib import Path

from training_cases import toy_pairs

from mambadfuse.ablation import Experiment, read_table

SETTINGS = (
    "steps=4",
    "batch=2",
    "crop_sizes=8x16",
    "model.dim=4",
    "model.state=2",
    "warmup=1",
    "checkpoint_seconds=0",
    "log_every=1",
)
TABLE = read_table()


def experiment(out: Path, **changes) -> Experiment:
    options = {"settings": SETTINGS, "sets": [toy_pairs()], "validation": toy_pairs(2, (44, 48))}
    return Experiment(**{**options, "out": out, **changes})


def comparable(result):
    """A result without what differs from run to run."""
    return result.row, result.seed, result.config, result.means, result.scores, result.curve, result.pairs
