"""The table of an ablation: each row asks one question by one change to a training configuration."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mambadfuse.components import is_component
from mambadfuse.training import TrainingConfig, configure
from mambadfuse.training.config import flatten
from mambadfuse.training.yaml_text import read_yaml

SHIPPED = Path(__file__).with_name("table.yaml")
DEFAULT = "default"


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    question: str
    changes: Mapping[str, Any]
    """Settings by dotted name, ``{"model.gate": "shared"}``; "x2" and "x0.5" multiply the budget's value."""


def read_table(path: str | Path | None = None) -> dict[str, Row]:
    """The rows of a YAML file by name, in its order; the first is called ``default`` and changes nothing.

    Components of one's own that it names are not imported before their row is configured, so that a table can be read
    without them.

    Args:
        path: the file; None for the table that comes with the kit.

    Raises:
        ValueError: the file is not such a table; the message names the row and what is wrong with it.
        OSError: it cannot be read.
    """
    path = Path(path) if path else SHIPPED
    content = read_yaml(path)
    if not isinstance(content, dict) or next(iter(content), None) != DEFAULT:
        raise ValueError(f"{path}: expected rows by name, the first of them {DEFAULT!r}")
    rows = {str(name): _row(str(name), entry, path) for name, entry in content.items()}
    if rows[DEFAULT].changes:
        raise ValueError(f"{path}: row {DEFAULT!r} must change nothing, found {dict(rows[DEFAULT].changes)}")
    return rows


def select_rows(table: Mapping[str, Row], names: Iterable[str] = ()) -> list[Row]:
    """The named rows, preceded by ``default``, with which they are compared; all rows if none is named.

    Raises:
        ValueError: the table has no such row.
    """
    wanted = set(names)
    if unknown := sorted(wanted - table.keys()):
        raise ValueError(f"unknown row {unknown[0]!r}: choose among {', '.join(table)}")
    return [row for row in table.values() if not wanted or row.name in wanted | {DEFAULT}]


def row_config(
    row: Row, *, budget: str = "minutes", task: str = "ivf", seed: int = 0, settings: Iterable[str] = ()
) -> TrainingConfig:
    """The training configuration of a row: the preset of a budget and a task, changed by ``settings``, then by the row.

    Args:
        row: of the table.
        budget: one of :data:`mambadfuse.training.BUDGETS`.
        task: one of :data:`mambadfuse.training.TASKS`.
        seed: of the initial weights and of the crops.
        settings: overrides such as ``steps=300``, for every row.

    Raises:
        ValueError: an unknown name or an invalid value; the message names the row.
    """
    settings = list(settings)
    base = flatten(asdict(configure(task, budget, overrides=settings)))
    try:
        changes = [f"{name}={_value(name, value, base)}" for name, value in row.changes.items()]
        return configure(task, budget, overrides=[*settings, *changes, f"seed={seed}"])
    except ValueError as error:
        raise ValueError(f"row {row.name!r}: {error}") from error


def _row(name: str, entry: Any, path: Path) -> Row:
    if not isinstance(entry, dict) or set(entry) != {"question", "changes"}:
        raise ValueError(f"{path}: row {name!r} must have a question and changes, found {entry!r}")
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"{path}: row {name!r}: a name may contain letters, digits, '.', '_' and '-'")
    if not isinstance(entry["changes"], dict):
        raise ValueError(
            f"{path}: row {name!r}: changes must be names and values, found {entry['changes']!r}"
        )
    row = Row(name, str(entry["question"]), entry["changes"])
    if "seed" in row.changes:
        raise ValueError(f"{path}: row {name!r}: the seed varies in every row, a row may not set it")
    of_the_kit = {setting: value for setting, value in row.changes.items() if not is_component(value)}
    row_config(replace(row, changes=of_the_kit))  # rejects unknown names before anything is trained
    return row


def _value(name: str, value: Any, base: Mapping[str, Any]) -> Any:
    """The value itself, or for "x2" that multiple of the base value, rounded up to a valid one."""
    factor = re.fullmatch(r"x(\d+(?:\.\d+)?)", value) if isinstance(value, str) else None
    if not factor or not isinstance(base.get(name), int | float):
        return value
    scaled = float(factor[1]) * base[name]
    if isinstance(base[name], float):
        return scaled
    grid = 4 if name == "model.dim" else 1
    return grid * math.ceil(scaled / grid)
