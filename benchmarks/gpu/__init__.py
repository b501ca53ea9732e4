"""How right and how fast the kit is on a GPU: ``python -m benchmarks.gpu`` or ``make gpu``. Not run on a GPU by us."""
