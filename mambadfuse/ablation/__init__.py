"""The ablation lab: one row, one question, one change, trained with several seeds and compared with ``default``::

    from mambadfuse.ablation import Experiment, choose, compare, planned, read_table, run_all
    rows = choose(read_table(), ["gate-shared"])
    experiment = Experiment([pairs], validation, Path("outputs/gate"))
    runs, left_out = planned(experiment, rows, seeds=range(3))
    run_all(experiment, runs)
    print(compare(experiment.store.results()))

==============  ====================================================
``table``       the questions, and the change each of them is asked by
``experiment``  one run: a row trained with a seed and scored
``running``     all runs that are missing, side by side
``submitting``  the same as jobs on a cluster
``pairs``       the kit's own pairs, where none are given
``live``        the same while one watches, for the panel of the lab
``store``       what was found, kept as JSON lines
``report``      the table: means, spreads, and which differences mean something
==============  ====================================================
"""

from mambadfuse.ablation.default_pairs import middle, own_pairs
from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.report import Effect, Line, Report, compare
from mambadfuse.ablation.runner import Run, planned, run_all
from mambadfuse.ablation.store import SHIPPED_RESULTS, Result, Store
from mambadfuse.ablation.table import Row, choose, configuration, read_table
from mambadfuse.training import BusyError

__all__ = [
    "SHIPPED_RESULTS",
    "BusyError",
    "Effect",
    "Experiment",
    "Line",
    "Report",
    "Result",
    "Row",
    "Run",
    "Store",
    "choose",
    "compare",
    "configuration",
    "middle",
    "own_pairs",
    "planned",
    "read_table",
    "run_all",
]
