"""The ablation lab: one row, one question, one change, trained with several seeds and compared with ``default``.

==========  =====================================================
``table``   the questions, and the change each of them is asked by
``store``   what was found, kept as JSON lines
==========  =====================================================
"""

from mambadfuse.ablation.store import Result, Store
from mambadfuse.ablation.table import Row, choose, configuration, read_table

__all__ = ["Result", "Row", "Store", "choose", "configuration", "read_table"]
