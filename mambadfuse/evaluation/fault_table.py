"""Tables of faults: several methods on the same images, with the image in which each fault is worst."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO

from mambadfuse.evaluation.faults import FAULTS, FAULTS_OF_FUSING, Fault
from mambadfuse.evaluation.methods import Key
from mambadfuse.evaluation.table import BASELINE, Scores, cell, columns, json_text, label, markdown, name_cell
from mambadfuse.files import printable

COLUMNS = {**FAULTS, **FAULTS_OF_FUSING}
WHITE_PIXELS, WHITE_RATIO = "white pixels", "white ratio"

_HEADER = {**COLUMNS, WHITE_RATIO: Fault("ratio", 0.0, 1.0)}


@dataclass(frozen=True)
class FaultMethod:
    """One row of the table.

    Attributes:
        name: of the folder, the weights or the baseline.
        kind: "result", "weights" or "baseline".
        means: of each fault over the images compared in which it can occur; NaN if there are none, or
            if the fault was not measured.
        worst: by fault, the name of the image in which it is worst; without the faults that occur in none.
        white_ratio: the number of pixels that are 255 in the fused images, over that in the pixel-wise maxima of their
            sources, of all images together; NaN if both are 0.
        faults: of every image, by the name of the pair, with the number of its pixels that are 255.
    """

    name: str
    kind: str
    means: Scores
    worst: dict[str, str]
    white_ratio: float
    faults: dict[str, Scores]

    @property
    def label(self) -> str:
        """The name, with its kind unless it is a result."""
        return label(self.name, self.kind)


@dataclass(frozen=True)
class FaultTable:
    """The faults of several methods; ``str(table)`` is the table as text.

    Attributes:
        pictures: names of the pairs compared: those that every method has fused.
        methods: the rows.
        problems: what could not be measured, and why; each starts with a path.
        shard: which part of how many parts of the pairs this is; None for all of them.
    """

    pictures: tuple[str, ...]
    methods: tuple[FaultMethod, ...]
    problems: tuple[str, ...]
    shard: tuple[int, int] | None = None

    def __str__(self) -> str:
        number = f"{len(self.pictures)} image{'' if len(self.pictures) == 1 else 's'}"
        lines = [
            ["mean", *_HEADER],
            ["  unit", *(fault.unit for fault in _HEADER.values())],
            ["  without fault", *map(_without_fault, _HEADER.values())],
        ]
        lines += map(_row, self.methods)
        worst = [line for method in self.methods for line in _worst_pairs(method)]
        blocks = [
            f"{number}; an empty cell: not measured, or it cannot occur in these images",
            columns(lines),
            "\n".join(["worst pairs", *worst]),
        ]
        return "\n\n".join(blocks)

    def to_json(self) -> str:
        """The whole table as JSON; infinities and NaN become the strings "inf", "-inf" and "nan"."""
        content = {
            "faults": {name: asdict(fault) for name, fault in COLUMNS.items()},
            "pictures": self.pictures,
            "methods": [asdict(method) for method in self.methods],
            "problems": self.problems,
        }
        return json_text(content if self.shard is None else {"shard": self.shard, **content})

    def to_markdown(self) -> str:
        """The means as a Markdown table, with units in its second line."""
        units = [fault.unit for fault in _HEADER.values()]
        return markdown([["", *_HEADER], ["unit", *units], *map(_row, self.methods)])

    def to_csv(self) -> str:
        """The whole table as CSV: for every method, one line per image and one each for means and worst pairs.

        The column ``what`` is "fault", "mean" or "worst pair"; for a fault, the column ``picture`` names the pair. A
        cell without a number is empty.
        """
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [*COLUMNS, WHITE_PIXELS, WHITE_RATIO]
        writer.writerow(["method", "kind", "what", "picture", *names])
        for method in self.methods:
            lines: list[tuple[str, str, Mapping[str, float]]] = [
                *(("fault", picture, faults) for picture, faults in method.faults.items()),
                ("mean", "", {**method.means, WHITE_RATIO: method.white_ratio}),
            ]
            for what, picture, numbers in lines:
                cells = [cell(numbers.get(name, math.nan)) for name in names]
                writer.writerow([name_cell(method.name), method.kind, what, name_cell(picture), *cells])
            worst = [name_cell(method.worst.get(name, "")) for name in names]
            writer.writerow([name_cell(method.name), method.kind, "worst pair", "", *worst])
        return printable(text.getvalue())


def tabulate(
    faults: Mapping[Key, dict[str, Scores]], pictures: Sequence[str], problems: Sequence[str] = ()
) -> FaultTable:
    """The table of these faults.

    Args:
        faults: of each method, by pair and name; with the white pixels, and with the pixel-wise maximum among the
            methods.
        pictures: names of the pairs to compare.
        problems: becomes that attribute of the table.
    """

    def white(key: Key) -> float:
        return sum(faults[key][picture][WHITE_PIXELS] for picture in pictures)

    methods = [
        FaultMethod(
            *(name, kind),
            *summarise({picture: own[picture] for picture in pictures}),
            _ratio(white((kind, name)), white((BASELINE, "maximum"))),
            own,
        )
        for (kind, name), own in faults.items()
    ]
    return FaultTable(tuple(pictures), tuple(methods), tuple(problems))


def summarise(faults: Mapping[str, Scores]) -> tuple[Scores, dict[str, str]]:
    """The mean of each fault over the images in which it can occur, and the image in which it is worst.

    >>> means, worst = summarise({"street": {"target": 0.5, "halo": 0.0}, "yard": {"target": 1.0, "halo": math.nan}})
    >>> means["target"], means["halo"], worst
    (0.75, 0.0, {'target': 'street'})
    """
    means, worst = {}, {}
    for name, fault in COLUMNS.items():
        values = {picture: own.get(name, math.nan) for picture, own in faults.items()}
        values = {picture: value for picture, value in values.items() if not math.isnan(value)}
        means[name] = sum(values.values()) / len(values) if values else math.nan
        severities = {picture: fault.severity(value) for picture, value in values.items()}
        if any(severities.values()):
            worst[name] = max(severities, key=severities.__getitem__)
    return means, worst


def _ratio(x: float, y: float) -> float:
    if y:
        return x / y
    return math.inf if x else math.nan


def _row(method: FaultMethod) -> list[str]:
    """The label and the means of a method as they are printed."""
    shown = {**method.means, WHITE_RATIO: method.white_ratio}
    return [method.label, *(_decimals(shown[name]) for name in _HEADER)]


def _without_fault(fault: Fault) -> str:
    return f"{fault.high:g}" if fault.low == fault.high else f"at most {fault.high:g}"


def _decimals(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.3f}"


def _worst_pairs(method: FaultMethod) -> list[str]:
    """The images in which faults of one method are worst, each on a line of its own."""
    of_picture: dict[str, list[str]] = {}
    for name, picture in method.worst.items():
        of_picture.setdefault(picture, []).append(f"{name} {method.faults[picture][name]:.3f}")
    return [method.label, *(f"  {picture}: {', '.join(found)}" for picture, found in of_picture.items())]
