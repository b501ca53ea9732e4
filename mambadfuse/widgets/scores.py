"""A table of scores, for display next to the images."""

import math
from collections.abc import Mapping
from html import escape

from mambadfuse.ablation import Effect, Report
from mambadfuse.ablation.scoring import lower_is_better
from mambadfuse.analysis.comparison import best
from mambadfuse.evaluation.faults import FAULTS, Fault
from mambadfuse.evaluation.preference import Preferences
from mambadfuse.metrics import EIGHT
from mambadfuse.widgets.panel import SMALL

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
    return f'<table style="{SMALL}">{caption}<tr><td></td>{head}</tr>{"".join(rows)}</table>'


def faults_table(table: Mapping[str, Mapping[str, float]]) -> str:
    """The faults of fused images as an HTML table, one column per fusion; in bold those that are worth a look.

    Args:
        table: value by fault, by the name of the fusion.
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in ("unit", *table))
    rows = []
    for name, fault in FAULTS.items():
        cells = "".join(
            f'<td style="{_CELL}; text-align: right">{_fault_cell(fault, row[name])}</td>'
            for row in table.values()
        )
        unit = f'<td style="{_CELL}">{fault.unit}</td>'
        rows.append(f'<tr><th scope="row" style="text-align: left">{name}</th>{unit}{cells}</tr>')
    caption = "<caption>fault meter; bold: outside what is no fault, -: cannot occur in this pair</caption>"
    return f'<table style="{SMALL}">{caption}<tr><td></td>{head}</tr>{"".join(rows)}</table>'


def preference_table(found: Preferences, ranks: Mapping[str, Mapping[str, int]]) -> str:
    """Strengths with intervals, and beside them the rank of each method in each metric, as an HTML table.

    Args:
        found: the strengths.
        ranks: rank by metric, by the name of the method; methods that are missing were not scored.
    """
    header = ("rank", "strength", "95 %", "won, tied, lost", *EIGHT)
    head = "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in header)
    rows = []
    for one in found.standings:
        scored = (str(ranks.get(one.method, {}).get(metric, "-")) for metric in EIGHT)
        record = f"{one.wins}, {one.ties}, {one.losses}"
        numbers = (
            str(one.rank),
            f"{one.strength:+.2f}",
            f"[{one.low:+.2f}, {one.high:+.2f}]",
            record,
            *scored,
        )
        cells = "".join(f'<td style="{_CELL}; text-align: right">{number}</td>' for number in numbers)
        rows.append(f'<tr><th scope="row" style="text-align: left">{escape(one.method)}</th>{cells}</tr>')
    caption = "<caption>strengths by preference, beside the ranks in eight metrics</caption>"
    notes = "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    return f'<table style="{SMALL}">{caption}<tr><td></td>{head}</tr>{"".join(rows)}</table>{notes}'


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
    return f'<table style="{SMALL}">{caption}<tr>{head}</tr>{"".join(rows)}</table>'


def _fault_cell(fault: Fault, value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"<b>{value:.2f}</b>" if fault.severity(value) > 0 else f"{value:.2f}"


def _difference(effect: Effect) -> list[str]:
    seeds = effect.seeds
    if not seeds.n:
        return ["", "", effect.verdict]
    interval = f"[{seeds.low:+.3f}, {seeds.high:+.3f}]" if seeds.n > 1 else ""
    return [f"{seeds.mean:+.3f}", interval, effect.verdict]


def _marked(score: float, ahead: bool) -> str:
    return f"<b><u>{score:.3f}</u></b>" if ahead else f"{score:.3f}"
