"""Imported once by the fork server of :mod:`mambadfuse.ablation.runner`, so that its processes start loaded."""

from dataclasses import replace

import torch

from mambadfuse.ablation.default_pairs import toy_pairs
from mambadfuse.training import TrainingConfig, estimate
from mambadfuse.training.code import kit_code

torch.set_num_threads(1)  # a pool of several does not survive a fork
_config = replace(TrainingConfig.preset("ivf", "minutes"), batch=1, crop_sizes=((16, 16),), device="cpu")
kit_code()
estimate(_config, [toy_pairs([0], (16, 16))], measured=1)
