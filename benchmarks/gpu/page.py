"""The report as a page of Markdown."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from benchmarks.gpu.check import FAILED, WRONG, Check, Row

Rows = dict[str, list[Row]]


def wrong(checks: dict[str, Check], rows: Rows) -> list[str]:
    """The titles of the checks that judge results, and found one wrong or could not find out."""
    return [
        checks[name].title
        for name, found in rows.items()
        if checks[name].judges and any(row["state"] in (WRONG, FAILED) for row in found)
    ]


def page(facts: dict[str, Any], checks: dict[str, Check], rows: Rows) -> str:
    """What was measured, check by check: a table each, and below it the reasons of what is missing there."""
    bad = wrong(checks, rows)
    counts = Counter(row["state"] for found in rows.values() for row in found)
    verdict = f"**Wrong, or failed: {'; '.join(bad)}.**" if bad else "No result was found to be wrong."
    verdict += " Cases: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "."
    lines = ["# Measured by `make gpu`", "", verdict, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in facts.items()]
    for name, found in rows.items():
        lines += ["", f"## {checks[name].title}", "", *_table(found)]
        for row in found:
            if "reason" in row:
                lines += ["", f"{_name(row)}: {row['state']}", "", "```text", row["reason"].strip(), "```"]
    return "\n".join(lines) + "\n"


def _name(row: Row) -> str:
    """The values of a row up to its state: its case."""
    values = list(row.values())
    return ", ".join(values[: list(row).index("state")])


def _table(rows: list[Row]) -> Iterable[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row if column != "reason"))
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(_cell(row.get(column)) for column in columns)} |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")
