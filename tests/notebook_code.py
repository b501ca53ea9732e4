"""The definitions of a notebook, so that tests can run on the classes that a reader builds there."""

import ast
import builtins
import contextlib
import io
import re
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")


def definitions(number: str) -> dict[str, object]:
    """Everything that notebook ``number`` ("02") imports and defines at the top level of its cells, by name.

    Solutions are left out, and so is everything that computes: neither the set-up nor a training runs.

    Raises:
        FileNotFoundError: there is not exactly one notebook of that number.
    """
    found = sorted(FOLDER.glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise FileNotFoundError(f"expected one notebook {number}_*.ipynb in {FOLDER.name}/, found {names}")
    return defined_in(nbformat.read(found[0], as_version=4))


def defined_in(notebook: NotebookNode) -> dict[str, object]:
    """Executes the imports, UPPER_CASE constants, functions and classes of all cells except solutions.

    A constant that depends on something left out, such as a result, is left out too.
    """
    names: dict[str, object] = {"__name__": "notebook"}
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or "solution" in cell.metadata.get("tags", []):
            continue
        python = TransformerManager().transform_cell(cell.source)  # magics become calls, which are left out
        for statement in ast.parse(python).body:
            if _defines(statement, names):
                module = ast.Module([statement], type_ignores=[])
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    exec(compile(module, f"<cell {place}>", "exec"), names)
    return names


def _defines(statement: ast.stmt, names: dict[str, object]) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all(_is_constant(target) for target in targets) and _is_known(statement.value, names)
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def _is_constant(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple):
        return all(_is_constant(part) for part in target.elts)
    return isinstance(target, ast.Name) and CONSTANT.fullmatch(target.id) is not None


def _is_known(value: ast.expr | None, names: dict[str, object]) -> bool:
    """Whether all names in an expression are defined; those of its own comprehensions are."""
    if value is None:  # an annotation without a value
        return False
    used = [node for node in ast.walk(value) if isinstance(node, ast.Name)]
    own = {node.id for node in used if isinstance(node.ctx, ast.Store)}
    return all(node.id in names or node.id in own or hasattr(builtins, node.id) for node in used)
