"""The results as pictures."""

from pathlib import Path

from matplotlib.figure import Figure

MARKERS = {"reference": "o", "torch": "s", "numba": "D", "mambapy": "^", "attention": "x", "conv1d": "v"}


def plot_lengths(rows: list[dict], path: Path) -> None:
    """Seconds over length, one panel for each operation and direction."""
    panels = list(dict.fromkeys((row["operation"], row["direction"]) for row in rows))
    figure = Figure(figsize=(4.6 * len(panels), 3.8), layout="constrained")
    for axes, (operation, direction) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        chosen = [row for row in rows if (row["operation"], row["direction"]) == (operation, direction)]
        for name in dict.fromkeys(row["name"] for row in chosen):
            points = [(row["length"], row["seconds"]) for row in chosen if row["name"] == name]
            axes.loglog(*zip(*points, strict=True), marker=MARKERS[name], markersize=4, label=name)
        what = "forward" if direction == "forward" else "forward and backward"
        axes.set(title=f"{operation}, {what}", xlabel="length (tokens)", ylabel="seconds")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def plot_network(rows: list[dict], path: Path) -> None:
    """Seconds and memory over megapixels, with the arithmetic limit."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    pixels = [row["height"] * row["width"] / 1e6 for row in rows]
    left.plot(pixels, [row["seconds"] for row in rows], "D-", label="measured")
    left.plot(pixels, [row["arithmetic_limit"] for row in rows], "k--", label="arithmetic limit")
    left.set(title="the published network, one pair", xlabel="megapixels", ylabel="seconds")
    left.legend()
    right.plot(pixels, [row["peak_megabytes"] / 1024 for row in rows], "D-")
    right.set(title="memory above the import", xlabel="megapixels", ylabel="gibibytes")
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
