"""Imported once by the server that the processes of :mod:`running` are forked from: they find all of it loaded."""

from dataclasses import replace

import torch

from mambadfuse.ablation.default_pairs import toys
from mambadfuse.training import TrainingConfig, estimate

torch.set_num_threads(1)  # more do not survive a fork
_config = replace(TrainingConfig.preset("ivf", "minutes"), batch=1, windows=((16, 16),), device="cpu")
estimate(_config, [toys([0], (16, 16))], measured=1)
