"""Which cells of a notebook its last ones depend on, judged by the names that each cell reads and binds."""

import ast
import symtable
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager


@dataclass
class Names:
    """The global names of a cell."""

    read: set[str] = field(default_factory=set)
    """Those that have to be there before it runs."""
    bound: set[str] = field(default_factory=set)
    """Those that it assigns, imports or defines."""
    written_into: set[str] = field(default_factory=set)
    """Those of objects of which it sets an element or an attribute."""


def needed(cells: Sequence[str], wanted: Collection[str]) -> list[int]:
    """The places of the cells that have to run, in this order, so that the wanted names have their values.

    What a method changes, as ``numbers.append(1)`` does, is not seen.

    >>> needed(["a = 1", "b = 2", "c = a + 1", "print(b)"], {"c"})
    [0, 2]
    """
    missing, places = set(wanted), []
    for place in reversed(range(len(cells))):
        names = names_in(cells[place])
        if missing & (names.bound | names.written_into):
            missing = (missing - names.bound) | names.read
            places.append(place)
    return places[::-1]


def names_in(source: str) -> Names:
    """The global names of a cell.

    >>> names_in("a = b\\nc = a").read
    {'b'}
    """
    names = Names()
    for statement in reversed(ast.parse(TransformerManager().transform_cell(source)).body):
        bound, read = _bound_and_read(statement)
        names.read = (names.read - bound) | read
        names.bound |= bound
        names.written_into |= {_owner(node) for node in ast.walk(statement) if _is_written_into(node)}
    return names


def _bound_and_read(statement: ast.stmt) -> tuple[set[str], set[str]]:
    table = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    read = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    scopes = list(table.get_children())
    for scope in scopes:  # grows by the scopes within
        scopes += scope.get_children()
        read |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
    if isinstance(statement, ast.AugAssign | ast.If | ast.Try):  # a condition may leave a name as it was
        read |= bound
    elif not isinstance(
        statement, ast.Assign | ast.AnnAssign
    ):  # a loop reads its own variable, a function itself
        read -= bound
    return bound, read


def _is_written_into(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)


def _owner(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
