"""The tables of shards, joined into the table of the whole."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mambadfuse.evaluation.fault_table import FaultTable, tabulate
from mambadfuse.evaluation.methods import Key
from mambadfuse.evaluation.table import Scores, Table, rank, summarise_all
from mambadfuse.files import require_no_special

_Content = Mapping[str, Any]  # of a file of JSON


def join_tables(files: Sequence[str | Path]) -> Table:
    """The table of all images from the JSON files of ``mambadfuse evaluate --shard``, one of each shard.

    Its scores, means and ranks are those of one evaluation of all images.

    Raises:
        ValueError: a file is no such table; a shard is missing or given twice; or the tables differ in convention or
            metrics. The message names the file.
        OSError: a file cannot be read.
    """
    tables = _read_all(files, "evaluate", ("convention", "metrics"))
    scores, pictures = _numbers(tables, "scores")
    first = tables[0]
    return rank(
        summarise_all(scores, pictures), first["metrics"], pictures, first["convention"], _problems(tables)
    )


def join_fault_tables(files: Sequence[str | Path]) -> FaultTable:
    """The same for the JSON files of ``mambadfuse faults --shard``.

    Raises:
        ValueError: a file is no such table; a shard is missing or given twice; or the tables are of other faults. The
            message names the file.
        OSError: a file cannot be read.
    """
    tables = _read_all(files, "faults", ("faults",))
    faults, pictures = _numbers(tables, "faults")
    return tabulate(faults, pictures, _problems(tables))


def _numbers(tables: Sequence[_Content], what: str) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
    """The numbers of each method, by picture and name, and the pictures for which every method has some."""
    numbers: dict[Key, dict[str, Scores]] = defaultdict(dict)
    for method in (method for table in tables for method in table["methods"]):
        for picture, own in method[what].items():
            parsed = {name: float(x) if isinstance(x, str) else x for name, x in own.items()}
            numbers[method["kind"], method["name"]][picture] = parsed
    pictures = sorted(set.intersection(*map(set, numbers.values()))) if numbers else []
    if not pictures:
        raise ValueError("there is no image for which every method has numbers in these tables")
    return {key: dict(sorted(own.items())) for key, own in numbers.items()}, pictures


def _problems(tables: Sequence[_Content]) -> list[str]:
    return list(dict.fromkeys(problem for table in tables for problem in table["problems"]))


def _read_all(files: Sequence[str | Path], command: str, same: Sequence[str]) -> list[_Content]:
    """The tables of all shards of one run of a command, which agree in some entries."""
    tables = {Path(file): _read(Path(file), command, same) for file in files}
    seen: dict[int, Path] = {}
    (first_file, first), *_ = tables.items()
    for file, table in tables.items():
        for what in same:
            if table[what] != first[what]:
                raise ValueError(
                    f"{file}: its {what} is {table[what]}, that of {first_file} is {first[what]}"
                )
        part, count = table["shard"]
        if count != first["shard"][1]:
            raise ValueError(f"{file}: is shard {part}/{count}, {first_file} is one of {first['shard'][1]}")
        if part in seen:
            raise ValueError(f"{file}: is shard {part}/{count}, and so is {seen[part]}")
        seen[part] = file
    count = first["shard"][1]
    if missing := [f"{part}/{count}" for part in range(1, count + 1) if part not in seen]:
        raise ValueError(f"{first_file}: these shards are missing: {', '.join(missing)}")
    return list(tables.values())


def _read(file: Path, command: str, same: Sequence[str]) -> _Content:
    require_no_special(file)
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: is not JSON ({error})") from error
    if not (
        isinstance(table, dict) and table.get("shard") and table.keys() >= {*same, "methods", "problems"}
    ):
        raise ValueError(
            f"{file}: is not the table of a shard, as mambadfuse {command} --shard 1/2 --json writes it"
        )
    return table
