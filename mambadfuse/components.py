"""Your own components by name, ``module:Class``: found, imported, and imported anew when their code has changed.

The fields of the configurations that take such a name beside the names of the kit's own components:

==========================  ============================================
``model.mixer``             what mixes the tokens of a Mamba unit
``model.fusion_block``      what deep fusion is made of
``model.scan_order``        the order in which the scans read a map
``loss``                    what training minimises, field ``criterion``
==========================  ============================================

What a component is given and has to return is in ``docs/components.md``.

A name that somebody writes, in a configuration, on a command line or in Python, imports its module. A name in a file of
weights imports nothing: the file is refused unless the same name has been written before, see :func:`require_named`.
"""

import importlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mambadfuse.source_code import KIT, code_digest, own_files

FIELDS = ("mixer", "fusion_block", "scan_order", "criterion")

_named: dict[str, Any] = {}


class _Seen(NamedTuple):
    """The file of a module when it was imported."""

    file: Path
    written: int
    size: int
    digest: str

    def has_changed(self) -> bool:
        if not self.file.exists():
            return True
        now = self.file.stat()
        return (now.st_mtime_ns, now.st_size) != (self.written, self.size)


_imported: dict[str, dict[str, _Seen]] = {}  # by module: itself and the modules of your own that it imports


def is_component(name: Any) -> bool:
    """Whether a value has the form of such a name.

    >>> is_component("attention:RowAttention"), is_component("convolution")
    (True, False)
    """
    return isinstance(name, str) and re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", name) is not None


def component(name: str, kind: type | None = None) -> Any:
    """The class or function of that name.

    Its module is looked for on ``sys.path``, then in the current folder. If its code, or that of a module of your own
    that it imports, has changed since it was imported here, all of them are imported anew.

    >>> component("collections:Counter")
    <class 'collections.Counter'>

    Args:
        name: ``module:Class``.
        kind: the class from which it must be derived.

    Raises:
        ValueError: there is no such module, it cannot be imported, it has no such class, or that is of another kind;
            the message gives the name.
    """
    if not is_component(name):
        raise ValueError(f"expected the name of a component, module:Class, found {name!r}")
    module_name, _, attribute = name.partition(":")
    module = _module(module_name, name)
    if not hasattr(module, attribute):
        raise ValueError(f"{name}: {module.__file__ or module_name} has no {attribute}")
    found = getattr(module, attribute)
    _require_kind(name, found, kind)
    _named[name] = found
    return found


def named_component(name: str, kind: type | None = None) -> Any:
    """As :func:`component`, but what has been named before is returned as it was then, for a run that has begun.

    Raises:
        ValueError: as :func:`component`.
    """
    if name not in _named:
        return component(name, kind)
    _require_kind(name, _named[name], kind)
    return _named[name]


def imported_digests() -> dict[str, str]:
    """The digest of each module behind a component, as it was when it was imported."""
    return {name: seen.digest for modules in _imported.values() for name, seen in modules.items()}


def name_components(settings: Mapping[str, Any]) -> None:
    """Import the components that nested settings name, so that files of weights with them can be loaded.

    Raises:
        ValueError: as :func:`component`.
    """
    for field, value in settings.items():
        if isinstance(value, Mapping):
            name_components(value)
        elif field in FIELDS and is_component(value):
            component(value)


def require_named(name: str) -> None:
    """Refuse a component that has not been named in this process.

    Raises:
        ValueError: it has not; the message says how to name it.
    """
    if name not in _named:
        raise ValueError(
            f"needs the component {name}, and a file of weights imports no code. If you trust it, have its module on "
            f"sys.path or in the current folder and name it: --component {name} on the command line, "
            f"or in Python mambadfuse.component({name!r})"
        )


def _require_kind(name: str, found: Any, kind: type | None) -> None:
    if not (isinstance(found, type) and issubclass(found, kind) if kind else callable(found)):
        expected = (
            f"a class derived from {kind.__module__}.{kind.__qualname__}" if kind else "a class or function"
        )
        raise ValueError(f"{name}: expected {expected}, found {found!r}")


def _module(module_name: str, name: str) -> ModuleType:
    """The module, in its present state."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    for seen in _imported.values():
        if any(one.has_changed() for one in seen.values()):
            for changed in seen:
                sys.modules.pop(changed, None)
    # bytecode on disk would hide a change within the same second
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
            raise ValueError(
                f"{name}: there is no module {module_name} on sys.path or in {os.getcwd()}"
            ) from error
        raise ValueError(
            f"{name}: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.dont_write_bytecode = writes
    if module_name.partition(".")[0] != KIT:
        _imported[module_name] = {one: _seen(file) for one, file in own_files([module_name]).items()}
    return module


def _seen(file: Path) -> _Seen:
    now = file.stat()
    return _Seen(file, now.st_mtime_ns, now.st_size, code_digest(file))
