"""Imported once by the fork server of a test: a first run, so that child processes find every kernel compiled."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from ablation_cases import TABLE, experiment

torch.set_num_threads(1)
with TemporaryDirectory() as folder:
    experiment(Path(folder)).run(TABLE["default"], 0)
