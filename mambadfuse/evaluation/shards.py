"""The tables of shards, joined into the table of the whole."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mambadfuse.evaluation.methods import Key
from mambadfuse.evaluation.table import Scores, Table, rank, summarise_all


def join_tables(files: Sequence[str | Path]) -> Table:
    """The table of all images from the JSON files of ``mambadfuse evaluate --shard``, one of each shard.

    Its scores, means and ranks are those of one evaluation of all images.

    Raises:
        ValueError: a file is no such table; a shard is missing or given twice; or the tables differ in convention or
            metrics. The message names the file.
        OSError: a file cannot be read.
    """
    tables = {Path(file): _read(Path(file)) for file in files}
    _require_whole(tables)
    first = next(iter(tables.values()))
    scores: dict[Key, dict[str, Scores]] = defaultdict(dict)
    for method in (method for table in tables.values() for method in table["methods"]):
        for picture, own in method["scores"].items():
            numbers = {metric: float(score) for metric, score in own.items()}
            scores[method["kind"], method["name"]][picture] = numbers
    pictures = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    if not pictures:
        raise ValueError(f"{files[0]}: there is no image for which every method has a score in these tables")
    in_order = {key: dict(sorted(own.items())) for key, own in scores.items()}
    methods = summarise_all(in_order, pictures)
    problems = list(dict.fromkeys(problem for table in tables.values() for problem in table["problems"]))
    return rank(methods, first["metrics"], pictures, first["convention"], problems)


def _read(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: is not JSON ({error})") from error
    if not isinstance(table, dict) or not table.get("shard"):
        raise ValueError(
            f"{file}: is not the table of a shard, as mambadfuse evaluate --shard 1/2 --json writes it"
        )
    return table


def _require_whole(tables: Mapping[Path, Mapping[str, Any]]) -> None:
    """Refuses tables that are not those of all shards of one evaluation."""
    seen: dict[int, Path] = {}
    (first_file, first), *_ = tables.items()
    for file, table in tables.items():
        for what in ("convention", "metrics"):
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
