"""Run the checks, print them, and write a report: ``python -m benchmarks.gpu [--minutes 30] [--pairs A B]``.

Each case runs in its own process. One that fails is written into the report with its error, and the next one runs.
The exit status is 1 if a result was found to be wrong, or could not be found.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.check import Row
from benchmarks.gpu.facts import facts
from benchmarks.gpu.isolation import Failure, Job
from benchmarks.gpu.page import Rows, page, wrong
from benchmarks.gpu.settings import Settings, small
from benchmarks.gpu.suite import CHECKS
from mambadfuse.files import atomic_write, make_folder


def write(folder: Path, machine: dict[str, Any], rows: Rows) -> None:
    """report.json and report.md, anew after each case, so that a run that is stopped leaves what it has found."""
    texts = {
        "report.json": json.dumps({"machine": machine, "checks": rows}, indent=1) + "\n",
        "report.md": page(machine, CHECKS, rows),
    }
    for name, text in texts.items():
        with atomic_write(folder / name) as file:
            file.write(text.encode())


def line(row: Row) -> str:
    cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()]
    return ", ".join(cells).splitlines()[0]


def run(settings: Settings, names: Sequence[str]) -> Rows:
    """The rows of the checks of these names, written to the report as they are found."""
    try:
        machine = Job(facts).result(settings.limit)
    except Failure as failure:
        machine = {"error": f"{failure.kind}: {failure}"}
    rows: Rows = {}
    for name in names:
        print(f"{CHECKS[name].title}:", flush=True)
        rows[name] = []
        for row in CHECKS[name].rows(settings):
            rows[name].append(row)
            write(settings.out, machine, rows)
            print(f"  {line(row)}", flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long to train by the published recipe")
    parser.add_argument(
        "--pairs", nargs=2, metavar=("A", "B"), help="folders to train on, not the kit's own pairs"
    )
    parser.add_argument("--only", nargs="+", choices=CHECKS, default=list(CHECKS), help="some of the checks")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command, also on a CPU")
    parser.add_argument("--out", type=Path, help="folder for the report [outputs/gpu/TIME]")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU. To try the command on a CPU: --device cpu --small --minutes 0.1")
    out = options.out or Path("outputs/gpu") / datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    make_folder(out)
    settings = Settings(options.device, out, options.minutes, options.pairs and tuple(options.pairs))
    rows = run(small(settings) if options.small else settings, options.only)
    print(f"written to {out / 'report.md'} and {out / 'report.json'}")
    bad = wrong(CHECKS, rows)
    if bad:
        print(f"wrong, or failed: {'; '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
