"""A table of scores, for display next to the images."""

from collections.abc import Mapping
from html import escape

from mambadfuse.ablation import Effect, Report
from mambadfuse.ablation.scoring import lower_is_better
from mambadfuse.analysis.comparison import best
from mambadfuse.metrics import EIGHT

_CELL = "padding: 1px 5px; white-space: nowrap"


def scores_table(table: Mapping[str, Mapping[str, float]], what: str) -> str:
    """The eight usual scores as an HTML table, one column per fusion; the best of a row is bold and underlined.

    Args:
        table: score by metric, by the name of the fusion.
        what: what the scores are of; the beginning of the caption.
    """
    head = "".join(f'<th scope="col" style="padding: 1px 5px">{escape(name)}</th>' for name in table)
    rows = []
    for metric in EIGHT:
        ahead = best(table, metric)
        cells = "".join(
            f'<td style="padding: 1px 5px; text-align: right">{_marked(row[metric], name == ahead)}</td>'
            for name, row in table.items()
        )
        rows.append(f'<tr><th scope="row">{metric}</th>{cells}</tr>')
    caption = f"<caption>{escape(what)}; higher is better, the best is underlined</caption>"
    return f'<table style="font-size: 12px; line-height: 1.5">{caption}<tr><th></th>{head}</tr>{"".join(rows)}</table>'


def results_table(report: Report) -> str:
    """The primary metric of every row, and its difference from ``default`` with the 95 % interval, as an HTML table."""
    metric = report.primary
    header = (metric, "seeds", "mean", "difference", "95 % over seeds", "verdict")
    head = "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in header)
    rows = []
    for line in report.lines:
        effect = line.effects.get(metric)
        found = _difference(effect) if effect else ["", "", ""]
        numbers = [str(len(line.seeds)), f"{line.means[metric]:.3f}", *found]
        cells = "".join(f'<td style="{_CELL}; text-align: right">{number}</td>' for number in numbers)
        rows.append(f'<tr><th scope="row" style="text-align: left">{escape(line.row)}</th>{cells}</tr>')
    lower = ", lower is better" if lower_is_better(metric) else ""
    caption = f"<caption>stored results{lower}; a verdict needs three seeds</caption>"
    return f'<table style="font-size: 12px; line-height: 1.5">{caption}<tr>{head}</tr>{"".join(rows)}</table>'


def _difference(effect: Effect) -> list[str]:
    seeds = effect.seeds
    if not seeds.n:
        return ["", "", effect.verdict]
    interval = f"[{seeds.low:+.3f}, {seeds.high:+.3f}]" if seeds.n > 1 else ""
    return [f"{seeds.mean:+.3f}", interval, effect.verdict]


def _marked(score: float, ahead: bool) -> str:
    return f"<b><u>{score:.3f}</u></b>" if ahead else f"{score:.3f}"
