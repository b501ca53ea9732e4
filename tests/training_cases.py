"""Toy runs for the tests of training: a tiny network, toy pairs, a handful of steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from mambadfuse.data.synthetic import synthetic_pair
from mambadfuse.data.training_pairs import ArrayPair
from mambadfuse.models.mambadfuse import MambaDFuseConfig
from mambadfuse.training import TrainingConfig, read_log, run_folder, train

TINY = MambaDFuseConfig(
    dim=4, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)
CONFIG = TrainingConfig(
    model=TINY, steps=6, batch=2, crop_sizes=((16, 16), (8, 32)), warmup=2, ema_decay=0.5, log_every=1
)


def toy_pairs(count=3, size=(20, 34)):
    toys = {f"toy_{i}": synthetic_pair(i, size) for i in range(count)}
    return [ArrayPair(name, *(np.uint8(255 * side) for side in (toy.a, toy.b))) for name, toy in toys.items()]


def write_folders(root: Path, pairs) -> list[str]:
    """The pairs as image files; the two folders."""
    for side in "ab":
        (root / side).mkdir(parents=True)
        for pair in pairs:
            Image.fromarray(getattr(pair, side)).save(root / side / f"{pair.name}.png")
    return [str(root / "a"), str(root / "b")]


def quiet(out, pairs=None, validation=(), other_code=False, **changes):
    """A run of ``CONFIG`` with changes, on one thread without output."""
    torch.set_num_threads(1)
    return train(
        replace(CONFIG, **changes),
        [pairs or toy_pairs()],
        out,
        validation=validation,
        progress=False,
        other_code=other_code,
    )


def checkpoints(out):
    """The checkpoints, oldest first."""
    return sorted(run_folder(out).glob("*.safetensors"))


def checkpoint_steps(out):
    return [int(path.name.split("-")[0]) for path in checkpoints(out)]


def curve(out, name="steps"):
    """The log of a run without its clock."""
    records = read_log(run_folder(out) / f"{name}.jsonl")
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def same_weights(one, other):
    one, other = load_file(one), load_file(other)
    return one.keys() == other.keys() and all(torch.equal(t, other[name]) for name, t in one.items())
