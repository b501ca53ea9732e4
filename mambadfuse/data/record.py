"""The hidden files in which ``fuse`` and ``align`` record, beside their results, how each of them was made."""

import json
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

RECORDS = ".fused_with*.json"
SOURCES = "sources"

Recorded = dict[str, dict[str, Any] | None]


def read_record(folder: Path) -> Recorded:
    """How each result in a folder was made, by its name without ".png"; None if that is unknown.

    It is empty if there is no readable record. Of two files that record one result, the newer one counts.
    """
    recorded: Recorded = {}
    found = []
    for file in filter(Path.is_file, folder.glob(RECORDS)):
        with suppress(OSError, ValueError, RecursionError):  # also where another process has just removed it
            found.append((file.stat().st_mtime_ns, file, json.loads(file.read_text(encoding="utf-8"))))
    for _, _, content in sorted(found, key=itemgetter(0, 1)):
        entries = content.items() if isinstance(content, dict) else ()
        recorded |= {name: made if isinstance(made, dict) else None for name, made in entries}
    return recorded


def results_among_sources(folder: Path) -> set[Path]:
    """The files in a folder that, by its record, were made from other files of the same folder."""
    here = folder.resolve()
    files = [
        here / file
        for name, made in read_record(folder).items()
        if any(Path(source).parent == here for source in _sources(made))
        for file in (name, f"{name}.png")
    ]
    return {folder / file.name for file in files if file.parent == here}


def _sources(made: dict[str, Any] | None) -> list[str]:
    sources = (made or {}).get(SOURCES)
    return [source for source in sources if isinstance(source, str)] if isinstance(sources, list) else []
