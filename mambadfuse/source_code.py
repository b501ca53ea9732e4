"""Digests of the code behind a result. They change with what is computed, not with comments or docstrings."""

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

KIT = __name__.partition(".")[0]
_INSTALLED = {"site-packages", "dist-packages"}


def code_digest(file: Path) -> str:
    """The first 16 hex digits of the SHA-256 of a file's code, of all its bytes if it is no Python."""
    content = file.read_bytes()
    with suppress(SyntaxError, ValueError):
        content = ast.unparse(_without_docstrings(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def kit_digest(modules: Iterable[str]) -> str:
    """One digest of modules of the kit and of all modules of the kit that they import."""
    found = _with_imports(modules, lambda name: name.startswith(f"{KIT}."))
    digests = [f"{name} {code_digest(file)}\n" for name, file in sorted(found.items())]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def own_files(modules: Iterable[str]) -> dict[str, Path]:
    """The files, by name, of these modules and of all modules that they import.

    Neither the kit, nor the standard library, nor what lies in ``site-packages`` is among them, unless it is in the
    package of one of the modules.

    >>> own_files(["json"]).keys() >= {"json", "json.decoder"}
    True
    """
    modules = list(modules)
    packages = {name.partition(".")[0] for name in modules} - {KIT}
    # parents are imported, too
    parents = {name[: dot.start()] for name in modules for dot in re.finditer(r"\.", name)}
    return _with_imports(
        parents.union(modules), lambda name: name.partition(".")[0] in packages or is_own(name)
    )


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _with_imports(modules: Iterable[str], belongs: Callable[[str], bool]) -> dict[str, Path]:
    """The files, by name, of these modules and of all that they import, at their top or inside a function."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or not belongs(name) or not (file := _file(name)):
            continue
        found[name] = file
        waiting += _imports(name, file)
    return found


def _imports(name: str, file: Path) -> Iterator[str]:
    """What a module may import, by full name; some of the names are not modules but what is in them."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # compiled, or broken and so never imported
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (above, node.module)))
            yield from (source, *(f"{source}.{alias.name}" for alias in node.names))


def _file(name: str) -> Path | None:
    """The file of a module, None if it has none."""
    place = _place(name)
    return place if place and place.is_file() else None


def _place(name: str) -> Path | None:
    """The file of a module, or the folder of a package without ``__init__.py``."""
    if name in sys.modules:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    else:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):  # a name in a module
            return None
        places = (
            [spec.origin if spec.has_location else None, *(spec.submodule_search_locations or ())]
            if spec
            else []
        )
    return next((Path(place) for place in places if place), None)


def is_own(name: str) -> bool:
    """Whether a module belongs neither to the kit nor to the standard library nor to an installed package.

    >>> is_own("json"), is_own("torch.nn"), is_own("mambadfuse.ops"), is_own("__main__")
    (False, False, False, True)
    """
    package = name.partition(".")[0]
    if package == KIT or package in sys.stdlib_module_names:
        return False
    place = _place(package)
    return package == "__main__" or (place is not None and not _INSTALLED & set(place.parts))
