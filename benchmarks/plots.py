"""The results as images."""

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
    """Seconds over megapixels with the arithmetic limit, memory, and the share of each stage."""
    figure = Figure(figsize=(13.5, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    pixels = [row["height"] * row["width"] / 1e6 for row in rows]
    left.plot(pixels, [row["seconds"] for row in rows], "D-", label="measured")
    left.plot(pixels, [row["arithmetic_limit"] for row in rows], "k--", label="arithmetic limit")
    left.set(title="the published network, one pair", xlabel="megapixels", ylabel="seconds")
    left.legend()
    middle.plot(pixels, [row["peak_megabytes"] / 1024 for row in rows], "D-")
    middle.set(title="memory above the import", xlabel="megapixels", ylabel="gibibytes")
    bottoms = [0.0] * len(rows)
    names = [f"{row['width']} x {row['height']}" for row in rows]
    for stage in rows[0]["share"]:
        shares = [100 * row["share"][stage] for row in rows]
        right.bar(names, shares, bottom=bottoms, label=stage.replace("_", " "))
        bottoms = [bottom + share for bottom, share in zip(bottoms, shares, strict=True)]
    right.set(title="where the time goes", ylabel="percent")
    right.legend(fontsize=7, loc="lower right")
    for axes in (left, middle):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
