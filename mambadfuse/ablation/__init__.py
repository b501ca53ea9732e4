"""The ablation lab: each row of a table asks one question by one change, trained with several seeds.

>>> from mambadfuse.ablation import Experiment, compare, pending_runs, read_table, run_all, select_rows
>>> rows = select_rows(read_table(), ["gate-shared"])
>>> experiment = Experiment([pairs], validation, Path("outputs/gate"))  # doctest: +SKIP
>>> runs, left_out = pending_runs(experiment, rows, seeds=range(3))  # doctest: +SKIP
>>> run_all(experiment, runs)  # doctest: +SKIP
>>> print(compare(experiment.store.results()))  # doctest: +SKIP

===================  ====================================================================
``table``            the questions, and the change that asks each of them
``experiment``       one run: a row trained with a seed and scored
``forecast``         how long the runs will take
``runner``           all missing runs, several in parallel
``cluster``          the same as jobs on a cluster
``preload``          what the processes of ``runner`` find loaded
``background_runs``  the same in the background, for the panel of the lab
``scoring``          the metrics and faults by which a run is scored
``testing``          kept weights scored once on test pairs
``worker``           the process of one background run
``default_pairs``    the pairs used where none are given
``store``            the results, kept as JSON lines
``statistics``       intervals, effect sizes, tests of difference and of equivalence
``scatter``          how far rows vary from seed to seed, from the whole table
``margins``          the smallest differences that matter
``verdicts``         **better, worse, equal or open**
``interactions``     do two changes together do more than each alone?
``convergence``      has a run learnt, and was its training long enough?
``conclusions``      what follows for ``default``
``placebo``          how often seeds of one and the same row are found to differ
``report``           all of that for all rows
``report_formats``   its tables as text, Markdown, LaTeX and HTML
``tensorboard``      its results for TensorBoard
===================  ====================================================================
"""

from mambadfuse.ablation.default_pairs import bundled_pairs, centre_crop
from mambadfuse.ablation.experiment import Experiment
from mambadfuse.ablation.margins import Margins, read_margins
from mambadfuse.ablation.placebo import false_alarms
from mambadfuse.ablation.report import Line, Report, compare, picture_csv
from mambadfuse.ablation.runner import Run, pending_runs, run_all
from mambadfuse.ablation.scoring import metric_names
from mambadfuse.ablation.store import (
    SHIPPED_RESULTS,
    SHIPPED_TABLE,
    SHIPPED_TEST,
    Result,
    Store,
    kept_weights,
)
from mambadfuse.ablation.table import Row, read_table, row_config, select_rows
from mambadfuse.ablation.testing import score_test
from mambadfuse.ablation.verdicts import Effect
from mambadfuse.training import BusyError

__all__ = [
    "SHIPPED_RESULTS",
    "SHIPPED_TABLE",
    "SHIPPED_TEST",
    "BusyError",
    "Effect",
    "Experiment",
    "Line",
    "Margins",
    "Report",
    "Result",
    "Row",
    "Run",
    "Store",
    "bundled_pairs",
    "centre_crop",
    "compare",
    "false_alarms",
    "kept_weights",
    "metric_names",
    "pending_runs",
    "picture_csv",
    "read_margins",
    "read_table",
    "row_config",
    "run_all",
    "score_test",
    "select_rows",
]
