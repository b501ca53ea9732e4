"""Training that can be trusted: one function from pairs to weights, wherever it runs and however often it is stopped.

>>> from mambadfuse.training import TrainingConfig, train
>>> config = TrainingConfig.preset("ivf", "minutes")
>>> train(config, [find_training_pairs("ir", "vi")], "mine.safetensors")  # doctest: +SKIP

===================  =====================================================
``config``           what decides a run, and presets of it
``settings``         the same from words and YAML files
``stepping``         one step, on any device, in parts and processes
``state``            what changes from step to step
``keeping``          that state on the disk, whole or not at all
``validation``       how good the weights are by now
``log``              the curve of a run
``estimate``         how long a run will take
``loop``             all of it together
===================  =====================================================
"""

from mambadfuse.data.tasks import TASKS
from mambadfuse.training.checkpointing import BusyError
from mambadfuse.training.config import BUDGETS, TrainingConfig
from mambadfuse.training.estimate import Estimate, estimate
from mambadfuse.training.log import read_log
from mambadfuse.training.loop import run_folder, train
from mambadfuse.training.settings import as_yaml, configure
from mambadfuse.training.step import DivergedError

__all__ = [
    "BUDGETS",
    "TASKS",
    "BusyError",
    "DivergedError",
    "Estimate",
    "TrainingConfig",
    "as_yaml",
    "configure",
    "estimate",
    "read_log",
    "run_folder",
    "train",
]
