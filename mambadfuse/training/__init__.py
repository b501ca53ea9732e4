"""Training: one function from pairs to weights, on any device, resumable to the last bit.

>>> from mambadfuse.training import TrainingConfig, train
>>> config = TrainingConfig.preset("ivf", "minutes")
>>> train(config, [find_training_pairs("ir", "vi")], "mine.safetensors")  # doctest: +SKIP

=================  ================================================================
``config``         everything that determines a run; presets by task and budget
``settings``       the same from ``name=value`` overrides and YAML files
``yaml_text``      YAML without what makes a small file fill the memory
``loop``           **a run from its first step to a file of weights**
``step``           one step, on any device, with one process or several
``code``           the code of a run: other code is another run
``state``          what changes from step to step
``checkpointing``  that state on disk, written whole or not at all
``validation``     whole images fused and scored during a run
``log``            the log of a run
``estimate``       the time and memory a run will take
=================  ================================================================
"""

from mambadfuse.data.tasks import TASKS
from mambadfuse.locks import BusyError
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
