"""The report of an ablation: every row compared with ``default``, with intervals, verdicts and interactions.

What the numbers mean is said where they are computed: :mod:`mambadfuse.ablation.statistics`,
:mod:`mambadfuse.ablation.verdicts`, :mod:`mambadfuse.ablation.interactions` and
:mod:`mambadfuse.ablation.convergence`.
"""

import csv
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from statistics import fmean, median, stdev
from typing import Self

import numpy as np

from mambadfuse.ablation import report_formats
from mambadfuse.ablation.conclusions import conclusions
from mambadfuse.ablation.convergence import Convergence, convergence, has_learnt
from mambadfuse.ablation.interactions import Interaction, configurations, designs, interactions
from mambadfuse.ablation.margins import Margins
from mambadfuse.ablation.report_formats import Block
from mambadfuse.ablation.scoring import lower_is_better
from mambadfuse.ablation.statistics import LEVEL, Estimate
from mambadfuse.ablation.store import Result, Split, rows_by_code
from mambadfuse.ablation.table import DEFAULT
from mambadfuse.ablation.verdicts import FEWEST_SEEDS, Effect, Verdict, effects, not_compared
from mambadfuse.evaluation.table import cell, json_text, name_cell

PRIMARY = "Qabf"  # the metric of the verdicts, where none is named

_CSV_HEADER = (
    *("row", "seeds", "parameters", "seconds", "memory", "convergence", "metric", "mean", "spread"),
    *("paired_seeds", "difference", "low", "high", "effect_size", "p", "p_equal", "margin"),
    *("pictures_low", "pictures_high", "verdict"),
)


@dataclass(frozen=True)
class Line:
    """One row of the table with all its seeds.

    Attributes:
        row: its name.
        seeds: those it was trained with.
        parameters: of its network.
        seconds: training time, the median over seeds, since other programs may have slowed one of them.
        memory: peak memory over all seeds, in bytes; None where the system did not report it.
        means: of each metric over images and seeds; NaN if its scores are finite in no image.
        spreads: standard deviation over seeds of the means over images, sqrt(sum (x - mean)^2 / (n - 1)); NaN
            for a single seed, and with the mean.
        effects: by metric; empty for ``default``.
        convergence: "converged", "still falling", "not learnt" or "unknown".
        not_learnt: the seeds of the runs that have not learnt.
    """

    row: str
    seeds: tuple[int, ...]
    parameters: int
    seconds: float
    memory: int | None
    means: Mapping[str, float]
    spreads: Mapping[str, float]
    effects: Mapping[str, Effect]
    convergence: Convergence
    not_learnt: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Report:
    """The rows of one ablation; ``str(report)`` is a table for a terminal of 100 columns, a notebook shows HTML.

    Attributes:
        task, budget, settings, pairs, split: what its results have in common.
        commits: of the kit that trained them, as far as recorded.
        metrics: their names.
        primary: the metric of the verdicts, to be chosen before the results are seen.
        pictures: the names of the scored images.
        lines: ``default`` first, the others in the order of their first results.
        interactions: by metric, those of rows with the changes of two other rows.
        corrected: the number of rows that p values are corrected for, those with enough seeds.
    """

    task: str
    budget: str
    settings: tuple[str, ...]
    pairs: str
    split: Split
    commits: tuple[str, ...]
    metrics: tuple[str, ...]
    primary: str
    pictures: tuple[str, ...]
    lines: tuple[Line, ...]
    interactions: Mapping[str, Sequence[Interaction]]
    corrected: int

    def only(self, rows: Collection[str]) -> Self:
        """The same report with ``default`` and these rows alone; p values stay corrected for all of its rows."""
        kept = {
            metric: [one for one in found if one.both in rows] for metric, found in self.interactions.items()
        }
        lines = tuple(line for line in self.lines if line.row in {DEFAULT, *rows})
        return replace(self, lines=lines, interactions=kept)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Those by the primary metric, of every row but ``default``."""
        return {line.row: line.effects[self.primary].verdict for line in self.lines[1:]}

    @property
    def head(self) -> str:
        """What its results have in common, in one line."""
        settings = f" with {' '.join(self.settings)}" if self.settings else ""
        images = f"{len(self.pictures)} images, the {self.split} set"
        commits = f"; trained by the kit of commit {', '.join(self.commits)}" if self.commits else ""
        about = f"task {self.task}, budget {self.budget}{settings}; {images}"
        return f"{about}; fingerprint of all pairs {self.pairs}{commits}"

    @property
    def blocks(self) -> list[Block]:
        """Its tables: means, differences, verdicts and interactions, as far as there are any."""
        found = [self._means()]
        if len(self.lines) > 1:
            found += [self._differences(), self._verdicts()]
        if self.interactions[self.primary]:
            found.append(self._interactions())
        return found

    def __str__(self) -> str:
        return report_formats.text(self.head, self.blocks)

    def __repr__(self) -> str:
        return f"<Report of {_count(len(self.lines), 'row')}: {self.head}>"

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self) -> str:
        """Its tables as HTML, none of which wraps."""
        return report_formats.html(self.head, self.blocks)

    def to_markdown(self) -> str:
        """Its tables in Markdown."""
        return report_formats.markdown(self.head, self.blocks)

    def to_latex(self) -> str:
        r"""Its tables in LaTeX, for ``\usepackage{booktabs}``."""
        return report_formats.latex(self.head, self.blocks)

    def to_json(self) -> str:
        """All of it as JSON; infinities and NaN are the strings "inf", "-inf" and "nan"."""
        return json_text(asdict(self))

    def to_csv(self) -> str:
        """Every row with every metric, one per line, with all digits; effects are empty for ``default``."""
        content = StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(_CSV_HEADER)
        for line in self.lines:
            about = [
                name_cell(line.row),
                len(line.seeds),
                line.parameters,
                round(line.seconds, 2),
                line.memory,
            ]
            for metric in self.metrics:
                own = [metric, cell(line.means[metric]), cell(line.spreads[metric])]
                writer.writerow([*about, line.convergence, *own, *_effect_csv(line.effects.get(metric))])
        return content.getvalue()

    def _places(self, metric: str) -> int:
        return 2 if abs(self.lines[0].means[metric]) >= 10 else 3

    def _means(self) -> Block:
        lines = [
            [
                line.row,
                str(len(line.seeds)),
                f"{line.parameters:,}",
                f"{line.seconds:.0f}",
                _training(line),
                *(
                    _mean_cell(line.means[metric], line.spreads[metric], self._places(metric))
                    for metric in self.metrics
                ),
            ]
            for line in self.lines
        ]
        return Block(
            [["row", "seeds", "parameters", "seconds", "training", *self.metrics], *lines],
            "mean ± standard deviation over seeds; of the seconds, the median",
            "Scores of the rows",
        )

    def _differences(self) -> Block:
        lines = [
            [line.row, *(_effect_cell(line.effects[m], self._places(m)) for m in self.metrics)]
            for line in self.lines[1:]
        ]
        return Block(
            [["difference from default", *self.metrics], *lines],
            f"* better or worse: p < {LEVEL}, t-test over paired seeds\n"
            f"= equal: smaller than the margin, p < {LEVEL}, two one-sided t-tests over seeds\n"
            f"Holm-corrected for {_count(self.corrected, 'row')}, both tests together, each metric by itself; "
            f"no mark below {FEWEST_SEEDS} seeds{_directions(self.metrics)}",
            "Differences from default",
        )

    def _verdicts(self) -> Block:
        places = self._places(self.primary)
        lines = [_verdict_line(line, line.effects[self.primary], places) for line in self.lines[1:]]
        margin = self.lines[1].effects[self.primary].margin
        said = "no margin set" if math.isnan(margin) else f"margin {margin:.3g}"
        header = ["verdict", "diff.", "95 % over seeds", "p", "d", "95 % over images"]
        return Block(
            [[self.primary, *header], *lines],
            f"verdicts by {self.primary}, {said}; p is corrected, intervals are not\n"
            f"intervals over seeds and p take the scatter from all rows: {self._freedom} degrees of freedom\n"
            "d, the effect size: mean over the standard deviation of one difference, from the same scatter\n"
            "95 % over images: the same interval over images, for these very weights\n"
            + "\n".join([*conclusions(self.verdicts, DEFAULT), *self._marked_elsewhere()]),
            f"Verdicts by {self.primary}",
        )

    @property
    def _freedom(self) -> int:
        """Of the scatter over seeds; 0 if each row has one seed only, or none is compared."""
        return max(line.effects[self.primary].seeds.freedom for line in self.lines[1:])

    def _marked_elsewhere(self) -> list[str]:
        """The rows that metrics other than the primary one mark, in one line; none where there are none."""
        others = [metric for metric in self.metrics if metric != self.primary]
        marks = {
            line.row: [f"{metric}{mark}" for metric in others if (mark := line.effects[metric].mark)]
            for line in self.lines[1:]
        }
        said = [f"{row} {' '.join(marked)}" for row, marked in marks.items() if marked]
        return [f"marked by other metrics, which decide nothing: {', '.join(said)}"] if said else []

    def _interactions(self) -> Block:
        lines = [
            [
                one.both,
                " + ".join(one.parts),
                f"{_signed(one.seeds.mean, self._places(self.primary))}{one.mark}",
                _interval(one.seeds, self._places(self.primary)),
                _p(one.p),
            ]
            for one in self.interactions[self.primary]
        ]
        return Block(
            [["interaction", "of", self.primary, "95 % over seeds", "p"], *lines],
            "difference of both changes together minus the sum of their differences\n"
            f"* p < {LEVEL}, t-test over seeds, Holm-corrected over the interactions",
            "Interactions",
        )


def compare(results: Sequence[Result], margins: Margins | None = None, primary: str | None = None) -> Report:
    """The report of these results; of several with the same row and seed, the last one counts.

    An image whose score is not finite in some run, such as a fault that cannot occur in it, is left out of that metric,
    in which nothing is compared if no image is left.
    A row with a run that has not learnt is not compared, and nothing is with such runs of ``default``.

    Args:
        results: of one ablation.
        margins: the smallest differences that matter, see :func:`mambadfuse.ablation.read_margins`.
        primary: the metric of the verdicts; by default Qabf, or the first if Qabf was not scored.

    Raises:
        ValueError: there is no result of ``default``; results cannot be compared, since their tasks, budgets,
            settings, pairs, images or metrics differ; or the primary metric was not scored.
    """
    by_row = _by_row(rows_by_code(results))
    first = next(iter(by_row[DEFAULT].values()))
    metrics, pictures = tuple(first.means), tuple(first.scores)
    primary = primary or (PRIMARY if PRIMARY in metrics else metrics[0])
    if primary not in metrics:
        raise ValueError(f"primary metric {primary!r}: expected one of {', '.join(metrics)}")
    scores = {metric: finite_scores(by_row, metric, pictures) for metric in metrics}
    means = {metric: _means_of(scores[metric]) for metric in metrics}
    learnt = {
        row: runs for row, runs in by_row.items() if row == DEFAULT or all(map(has_learnt, runs.values()))
    }
    seeds = [seed for seed, run in by_row[DEFAULT].items() if has_learnt(run)]
    compared = [row for row in learnt if row != DEFAULT]
    found: dict[str, dict[str, Effect]] = {row: {} for row in by_row}
    for metric, of_rows in scores.items():
        margin = (margins or Margins({}))(metric, fmean(means[metric][DEFAULT].values()))
        baseline = {seed: of_rows[DEFAULT][seed] for seed in seeds}
        of_compared = effects([of_rows[row] for row in compared], baseline, metric, margin)
        for row, effect in zip(compared, of_compared, strict=True):
            found[row][metric] = effect
        for row in by_row.keys() - learnt.keys():
            found[row][metric] = not_compared(margin, "not learnt")
    return Report(
        first.task,
        first.budget,
        tuple(first.settings),
        first.pairs,
        first.split,
        _commits(by_row),
        metrics,
        primary,
        pictures,
        tuple(
            _line(row, list(runs.values()), {metric: means[metric][row] for metric in metrics}, found[row])
            for row, runs in by_row.items()
        ),
        _interactions_of(learnt, means, seeds),
        sum(not math.isnan(found[row][primary].p) for row in compared),
    )


def picture_csv(results: Iterable[Result]) -> str:
    """The scores of every image in every run, one per line, named in the columns row, seed and picture."""
    results = list(results)
    metrics = list(dict.fromkeys(metric for result in results for metric in result.means))
    content = StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["row", "seed", "picture", *metrics])
    for result in results:
        for picture, scores in result.scores.items():
            cells = (cell(scores.get(metric, math.nan)) for metric in metrics)
            writer.writerow([name_cell(result.row), result.seed, name_cell(picture), *cells])
    return content.getvalue()


def _by_row(results: Sequence[Result]) -> dict[str, dict[int, Result]]:
    """The last result of every row and seed, ``default`` first."""
    if len(splits := {result.split for result in results}) > 1:
        raise ValueError(
            f"results on {' and '.join(sorted(splits))} images cannot be compared: choose one set"
        )
    settings = {result.setting for result in results}
    if len(settings) > 1:
        listed = "; ".join(" ".join(map(str, setting)) for setting in sorted(settings, key=str))
        raise ValueError(f"results of {len(settings)} different ablations cannot be compared: {listed}")
    by_row: dict[str, dict[int, Result]] = {DEFAULT: {}}
    for result in results:
        by_row.setdefault(result.row, {})[result.seed] = result
    if not by_row[DEFAULT]:
        raise ValueError(f"there is no result of the row {DEFAULT!r}, with which the others are compared")
    first = next(iter(by_row[DEFAULT].values()))
    for result in (result for runs in by_row.values() for result in runs.values()):
        for what, mine, other in (
            ("images", result.scores.keys(), first.scores.keys()),
            ("metrics", result.means.keys(), first.means.keys()),
        ):
            if mine != other:
                raise ValueError(
                    f"{result.row}, seed {result.seed}: was scored on different {what} than {DEFAULT!r}"
                )
    return by_row


def _commits(by_row: Mapping[str, Mapping[int, Result]]) -> tuple[str, ...]:
    """In the order of the runs, each once."""
    runs = [str(result.code.get("commit", "")) for of_row in by_row.values() for result in of_row.values()]
    return tuple(dict.fromkeys(filter(None, runs)))


def finite_scores(
    by_row: Mapping[str, Mapping[int, Result]], metric: str, pictures: Sequence[str]
) -> dict[str, dict[int, np.ndarray]]:
    """The scores of all rows by seed, (images,) each, without images that are not finite in some run."""
    scores = {
        row: {seed: np.array([result.scores[p][metric] for p in pictures]) for seed, result in runs.items()}
        for row, runs in by_row.items()
    }
    everything = np.array([of_seed for of_row in scores.values() for of_seed in of_row.values()])
    finite = np.isfinite(everything).all(axis=0)
    return {row: {seed: x[finite] for seed, x in of_row.items()} for row, of_row in scores.items()}


def _means_of(scores: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, dict[int, float]]:
    return {
        row: {seed: float(x.mean()) if x.size else math.nan for seed, x in of_row.items()}
        for row, of_row in scores.items()
    }


def _interactions_of(
    by_row: Mapping[str, Mapping[int, Result]],
    means: Mapping[str, Mapping[str, Mapping[int, float]]],
    seeds: Iterable[int],
) -> dict[str, list[Interaction]]:
    """By metric, from those seeds of ``default``."""
    last = [result for runs in by_row.values() for result in runs.values()]
    found = designs(configurations(last), DEFAULT)
    return {
        metric: interactions(
            {**of_rows, DEFAULT: {seed: of_rows[DEFAULT][seed] for seed in seeds}}, DEFAULT, found
        )
        for metric, of_rows in means.items()
    }


def _line(
    row: str,
    results: Sequence[Result],
    means: Mapping[str, Mapping[int, float]],
    of_metrics: Mapping[str, Effect],
) -> Line:
    return Line(
        row=row,
        seeds=tuple(sorted(result.seed for result in results)),
        parameters=results[-1].parameters,
        seconds=median(result.seconds for result in results),
        memory=max((result.memory for result in results if result.memory is not None), default=None),
        means={metric: fmean(of_seeds.values()) for metric, of_seeds in means.items()},
        spreads={metric: _spread(list(of_seeds.values())) for metric, of_seeds in means.items()},
        effects=of_metrics,
        convergence=convergence(results),
        not_learnt=tuple(sorted(result.seed for result in results if not has_learnt(result))),
    )


def _spread(values: Sequence[float]) -> float:
    return math.nan if len(values) < 2 or any(map(math.isnan, values)) else stdev(values)


def _verdict_line(line: Line, effect: Effect, places: int) -> list[str]:
    size = effect.seeds.effect_size
    return [
        line.row,
        effect.verdict,
        _signed(effect.difference, places),
        _interval(effect.seeds, places),
        _p(effect.p),
        f"{size:+.1f}" if math.isfinite(size) else "",
        _interval(effect.pictures, places),
    ]


def _training(line: Line) -> str:
    if line.not_learnt:
        return f"{len(line.not_learnt)}/{len(line.seeds)} not learnt"
    return line.convergence


def _effect_csv(effect: Effect | None) -> list[str]:
    if effect is None:
        return [""] * 11
    seeds, pictures = effect.seeds, effect.pictures
    numbers = [seeds.mean, seeds.low, seeds.high, seeds.effect_size, effect.p, effect.p_equal, effect.margin]
    return [str(seeds.n), *map(cell, [*numbers, pictures.low, pictures.high]), effect.verdict]


def _mean_cell(mean: float, spread: float, places: int) -> str:
    return "±".join(f"{x:.{places}f}" for x in (mean, spread) if not math.isnan(x))


def _effect_cell(effect: Effect, places: int) -> str:
    return f"{_signed(effect.difference, places)}{effect.mark:<1}"


def _interval(estimate: Estimate, places: int) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"[{_signed(estimate.low, places)}, {_signed(estimate.high, places)}]"


def _signed(x: float, places: int) -> str:
    return "" if math.isnan(x) else f"{x:+.{places}f}"


def _p(p: float) -> str:
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _directions(metrics: Iterable[str]) -> str:
    """A line that names the metrics of which less is better; empty if there are none."""
    lower = [metric for metric in metrics if lower_is_better(metric)]
    return f"\nlower is better: {', '.join(lower)}" if lower else ""


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
