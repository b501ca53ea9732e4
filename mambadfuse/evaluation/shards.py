"""The tables of shards, joined into the table of the whole."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mambadfuse.evaluation.fault_table import WHITE_PIXELS, FaultTable, tabulate
from mambadfuse.evaluation.methods import Key
from mambadfuse.evaluation.table import BASELINE, Scores, Table, rank, summarise_all
from mambadfuse.files import require_no_special

_NAMED = 20  # missing shards in a message


def join_tables(files: Sequence[str | Path]) -> Table:
    """The table of all images from the JSON files of ``mambadfuse evaluate --shard``, one of each shard.

    Its scores, means and ranks are those of one evaluation of all images.

    Raises:
        ValueError: a file is no such table; a shard is missing or given twice; or the tables differ in convention or
            metrics. The message names the file.
        OSError: a file cannot be read.
    """
    shards = _read_all(files, "evaluate", "scores", ("metrics", "convention"))
    scores, pictures = _numbers(shards)
    metrics, convention = shards[0].settings.values()
    return rank(summarise_all(scores, pictures), metrics, pictures, convention, _problems(shards))


def join_fault_tables(files: Sequence[str | Path]) -> FaultTable:
    """The same for the JSON files of ``mambadfuse faults --shard``.

    Raises:
        ValueError: a file is no such table; a shard is missing or given twice; or the tables are of other faults. The
            message names the file.
        OSError: a file cannot be read.
    """
    shards = _read_all(files, "faults", "faults", ("faults",))
    faults, pictures = _numbers(shards)
    if (BASELINE, "maximum") not in faults:
        raise ValueError("these tables lack the pixel-wise maximum, with which white pixels are compared")
    return tabulate(faults, pictures, _problems(shards))


@dataclass(frozen=True)
class _Shard:
    """What the file of a shard holds.

    Attributes:
        part: its number, from 1.
        count: of all shards.
        settings: entries in which all shards agree.
        numbers: of each method, by picture and name.
        problems: what could not be judged.
    """

    part: int
    count: int
    settings: Mapping[str, Any]
    numbers: Mapping[Key, Mapping[str, Scores]]
    problems: Sequence[str]

    @classmethod
    def of(cls, table: Any, what: str, same: Sequence[str]) -> "_Shard":
        """From the content of a file; almost any error is raised where that is something else."""
        part, count = table["shard"]
        if not (type(part) is type(count) is int and 1 <= part <= count):
            raise ValueError(f"{part}/{count} is no shard")
        settings = {name: table[name] for name in same}
        needed = {_text(name) for name in settings.get("metrics", [WHITE_PIXELS])}
        numbers: dict[Key, dict[str, Scores]] = {}
        for method in table["methods"]:
            of_method = numbers.setdefault((_text(method["kind"]), _text(method["name"])), {})
            for picture, own in method[what].items():
                of_method[picture] = {name: _number(x) for name, x in own.items()}
                if not own.keys() >= needed:
                    raise KeyError(f"{picture} lacks one of {needed}")
        return cls(part, count, settings, numbers, [_text(problem) for problem in table["problems"]])


def _text(x: Any) -> str:
    if not isinstance(x, str):
        raise TypeError(f"expected text, found {x!r}")
    return x


def _number(x: Any) -> float:
    """Infinities and NaN are strings in JSON; whole numbers stay whole."""
    number = float(x)
    return x if isinstance(x, int) else number


def _numbers(shards: Sequence[_Shard]) -> tuple[dict[Key, dict[str, Scores]], list[str]]:
    """The numbers of each method, by picture and name, and the pictures for which every method has some."""
    numbers: dict[Key, dict[str, Scores]] = defaultdict(dict)
    for shard in shards:
        for key, own in shard.numbers.items():
            numbers[key] |= own
    pictures = sorted(set.intersection(*map(set, numbers.values()))) if numbers else []
    if not pictures:
        raise ValueError("there is no image for which every method has numbers in these tables")
    return {key: dict(sorted(own.items())) for key, own in numbers.items()}, pictures


def _problems(shards: Sequence[_Shard]) -> list[str]:
    return list(dict.fromkeys(problem for shard in shards for problem in shard.problems))


def _read_all(files: Sequence[str | Path], command: str, what: str, same: Sequence[str]) -> list[_Shard]:
    """All shards of one run of a command, which agree in some entries."""
    if not files:
        raise ValueError("expected the files of all shards, found none")
    shards = {Path(file): _read(Path(file), command, what, same) for file in files}
    seen: dict[int, Path] = {}
    (first_file, first), *_ = shards.items()
    for file, shard in shards.items():
        for name, value in shard.settings.items():
            if value != first.settings[name]:
                raise ValueError(
                    f"{file}: its {name} is {value}, that of {first_file} is {first.settings[name]}"
                )
        number = f"{shard.part}/{shard.count}"
        if shard.count != first.count:
            raise ValueError(f"{file}: is shard {number}, {first_file} is one of {first.count}")
        if shard.part in seen:
            raise ValueError(f"{file}: is shard {number}, and so is {seen[shard.part]}")
        seen[shard.part] = file
    _require_complete(first_file, first.count, seen)
    return list(shards.values())


def _require_complete(first: Path, count: int, seen: Collection[int]) -> None:
    missing = islice((part for part in range(1, count + 1) if part not in seen), _NAMED)
    if names := [f"{part}/{count}" for part in missing]:
        more = ", ..." if count - len(seen) > _NAMED else ""
        raise ValueError(f"{first}: these shards are missing: {', '.join(names)}{more}")


def _read(file: Path, command: str, what: str, same: Sequence[str]) -> _Shard:
    require_no_special(file)
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: is not JSON ({error})") from error
    try:
        return _Shard.of(table, what, same)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{file}: is not the table of a shard, as mambadfuse {command} --shard 1/2 --json writes it"
        ) from error
