"""Run the suite, print it, and write ``benchmarks/results/``: ``python -m benchmarks [--quick] [--only PART]``."""

import argparse
import json
import os
from pathlib import Path

from benchmarks import agreement, fusing, machine, metrics, network, operations, plots, training_step

RESULTS = Path(__file__).parent / "results"
BAR_LENGTH = 2**14  # of the headline ratios: (1, 16384, 120), N = 16


def run_operations(quick: bool) -> dict[str, object]:
    lengths = [2**10, BAR_LENGTH] if quick else [2**k for k in range(10, 21, 2)]
    patience = 1.0 if quick else 5.0
    rows = operations.scan_seconds(lengths, ["reference", "torch", "numba", "mambapy", "attention"], patience)
    rows += operations.conv_seconds(lengths, patience)
    seconds = {(r["name"], r["direction"]): r["seconds"] for r in rows
               if r["operation"] == "scan" and r["length"] == BAR_LENGTH}  # fmt: skip
    ratios = {
        f"numba against {name}, {direction}": seconds[name, direction] / seconds["numba", direction]
        for name, direction in [("reference", "forward"), ("mambapy", "forward"), ("mambapy", "both")]
    }
    for name, ratio in ratios.items():
        print(f"  {name}, {BAR_LENGTH} tokens: {ratio:.0f} x", flush=True)
    if not quick:
        plots.plot_lengths(rows, RESULTS / "operations.png")
    return {"rows": rows, f"times faster at length {BAR_LENGTH}": ratios}


def run_network(quick: bool) -> dict[str, object]:
    sizes = [(256, 256), (480, 640)] if quick else [(256, 256), (480, 640), (1024, 1024), (1536, 1536)]
    rows = []
    for height, width in sizes:
        row = network.in_fresh_process(height, width, patience=5.0 if quick else 50.0)
        rows.append(row)
        print(
            f"  {width} x {height}: {row['seconds']:.2f} s (median of {row['median_of']}), "
            f"{row['times_limit']:.2f} x the arithmetic limit, {row['seconds_per_megapixel']:.1f} s and "
            f"{row['megabytes_per_megapixel']:.0f} MB a megapixel, {row['peak_megabytes']:.0f} MB; "
            + ", ".join(f"{stage} {share:.0%}" for stage, share in row["share"].items()),
            flush=True,
        )
    result: dict[str, object] = {"rows": rows}
    if not quick:
        plots.plot_network(rows, RESULTS / "network.png")
        result["backends"] = _compare_backends(rows)
    return result


def _compare_backends(rows: list[dict[str, object]]) -> dict[str, float]:
    """How many times slower the whole network is on the other backends; on ``torch`` a single pass takes minutes."""
    small = {name: network.in_fresh_process(64, 64, name)["seconds"] for name in ("reference", "numba")}
    (vga,) = (row["seconds"] for row in rows if row["height"] == 480)
    ratios = {
        "reference / numba at 64 x 64": small["reference"] / small["numba"],
        "torch / numba at 640 x 480": network.in_fresh_process(480, 640, "torch")["seconds"] / vga,
    }
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio:.1f}", flush=True)
    return ratios


def run_training(quick: bool) -> dict[str, object]:
    patience = 3.0 if quick else 12.0
    return {"rows": [training_step.step_seconds(preset, patience) for preset in ("published", "lite")]}


def run_agreement(quick: bool) -> dict[str, object]:
    return {"rows": agreement.largest_differences(quick), "bound": agreement.BOUND}


def run_metrics(quick: bool) -> dict[str, object]:
    rows = [metrics.triple_seconds(convention) for convention in ("literature", "strict")]
    ratio = metrics.USUAL_EVALUATOR / rows[0]["one_thread"]
    print(f"  {ratio:.0f} times faster than {metrics.USUAL_EVALUATOR} s, the time of the evaluator commonly used in "
          "the field on another machine", flush=True)  # fmt: skip
    folders = metrics.folder_rate(4 if quick else 32)
    return {"rows": rows, "usual evaluator, another machine / one thread": ratio, "folders": folders}


def run_fusing(quick: bool) -> dict[str, object]:
    rows = fusing.measure(patience=2.0 if quick else 20.0)
    for row in rows:
        print(f"  {row['name']}: {1000 * row['seconds']:.1f} ms", flush=True)
    return {"width": 640, "height": 480, "rows": rows}


PARTS = {
    "operations": run_operations,
    "network": run_network,
    "training": run_training,
    "agreement": run_agreement,
    "metrics": run_metrics,
    "fusing": run_fusing,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="about a minute: two sizes, no plots")
    parser.add_argument("--only", choices=PARTS, help="one part of the suite")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    facts = {**machine.facts(), "gigaflops_per_second": machine.matrix_rate() / 1e9}
    print(json.dumps(facts, indent=1))
    for name, run in PARTS.items():
        if options.only in (None, name):
            print(f"{name}:", flush=True)
            path = RESULTS / f"{name}{'_quick' if options.quick else ''}.json"
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps({"machine": facts, **run(options.quick)}, indent=1) + "\n")
            os.replace(partial, path)
            print(f"  written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
