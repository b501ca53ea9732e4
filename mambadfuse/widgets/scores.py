"""A table of scores, for display next to the images."""

from collections.abc import Mapping
from html import escape

from mambadfuse.analysis.comparison import best
from mambadfuse.metrics import EIGHT


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


def _marked(score: float, ahead: bool) -> str:
    return f"<b><u>{score:.3f}</u></b>" if ahead else f"{score:.3f}"
