"""The exercises of notebook 11: chance on paper, an exact test over seeds, a row of one's own."""

from collections.abc import Callable, Mapping
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from mambadfuse.ablation import SHIPPED_TABLE, read_table, row_config
from mambadfuse.ablation.table import DEFAULT, Row
from mambadfuse.course.answers import array, function, number
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly, roughly
from mambadfuse.training.yaml_text import parse_yaml

BUDGET = "laptop"

CHANCE = (
    Question(
        "pictures, one row",
        "d170ca7b898b",
        "2 / 2^n must fall below 0.05",
        exactly,
        {5: "2 / 2^5 = 0.0625", 4: "2 / 2^4 = 0.125", 20: "the smallest p is 2 / 2^n, not 1 / n"},
    ),
    Question(
        "pictures, 26 rows",
        "fbb597d71c21",
        "Holm multiplies the smallest of 26 p values by 26: when does 26 * 2 / 2^n fall below 0.05?",
        exactly,
        {
            6: "that is one row: Holm multiplies the smallest of 26 p values by 26",
            10: "26 * 2 / 2^10 = 0.051",
            156: "the p value is multiplied, not the number of pictures",
        },
    ),
    Question(
        "of 26 empty rows",
        "9d8ba9bc9ceb",
        "each of them is below 0.05 with a probability of 0.05",
        roughly,
        {
            0: "without a correction chance strikes at times",
            26: "each only now and then",
            0.05: "that is one row",
        },
    ),
)


@exercise
def chance(answer: object) -> None:
    """Exercise 1: from how many pictures on a row can be significant, one and 26 of them, and false alarms of 26.

    >>> from mambadfuse.course.ablation_lab import chance
    >>> chance([5, 10, 26])
    'not yet: 0 of 3 are right; pictures, one row: 2 / 2^5 = 0.0625'
    """
    ask(CHANCE, answer)


@exercise
def exact_test_over_seeds(exact_p: Callable[..., Any]) -> None:
    """Exercise 2: in which share of all divisions of two groups of seeds their means are as far apart as observed.

    >>> from mambadfuse.course.ablation_lab import exact_test_over_seeds
    >>> exact_test_over_seeds(lambda x, y: 0.04)
    'not yet: for [1.0, 1.1, 1.2] against [0.0, 0.1, 0.2] the share is not 0.04: in how many of the 20 divisions are \
the means so far apart?'
    """
    function(exact_p)
    up, down = np.array([1.0, 1.1, 1.2]), np.array([0.0, 0.1, 0.2])
    mixed = np.array([0.4, 0.9, 0.1]), np.array([0.6, 0.8, 0.7, 1.0])
    few = np.array([3.0, 4.0]), np.array([1.0, 2.0, 2.5])
    uneven = np.array([0.9, 0.4, 0.8, 1.1]), np.array([0.2, 0.7])
    cases = [(up, down), (up, up), few, mixed, (down, up), uneven]
    for x, y in cases:
        answer = exact_p(x.copy(), y.copy())
        if answer is None:
            raise NotYet("your function still returns None")
        if np.size(array(answer)) != 1:
            raise NotYet(f"expected one share, found {np.size(array(answer))} numbers")
        _check_share(number(answer), x, y)


def _check_share(found: float, x: np.ndarray, y: np.ndarray) -> None:
    z = np.concatenate([x, y])
    groups, halves = _divisions(len(z), len(x)), _divisions(len(z), len(z) // 2)
    apart, apart_halves = (
        np.array([z[mine].mean() - z[~mine].mean() for mine in each]) for each in (groups, halves)
    )
    observed = x.mean() - y.mean()
    far = np.abs(apart) >= abs(observed) - 1e-12
    if np.isclose(found, far.mean()):
        return
    given = f"for {x.tolist()} against {y.tolist()}"
    sums = np.array([z[mine].sum() - z[~mine].sum() for mine in groups])
    wrong = {
        f"{given} you count the divisions; divide by all {len(groups)} of them": far.sum(),
        f"{given} ties are lost: '>=' rather than '>', and allow for rounding, 1e-12": (
            np.abs(apart) > abs(observed) + 1e-12
        ).mean(),
        f"{given} a tie is lost to rounding: allow for 1e-12": (np.abs(apart) >= abs(observed)).mean(),
        f"{given} you look at one side alone: x may as well be below y": (apart >= observed - 1e-12).mean(),
        f"{given} you compare sums; groups of different sizes need means": (
            np.abs(sums) >= abs(x.sum() - y.sum()) - 1e-12
        ).mean(),
        f"{given} that is the share of the divisions with means nearer to each other": 1 - far.mean(),
        f"{given} you divide into halves; groups are as large as x and y, {len(x)} and {len(y)}": (
            np.abs(apart_halves) >= abs(observed) - 1e-12
        ).mean(),
    }
    if len(x) == len(y):
        d = x - y
        signed = np.array([np.mean(d * signs) for signs in product((1, -1), repeat=len(d))])
        wrong[f"{given} you change signs of pairs; here every division into two groups counts"] = (
            np.abs(signed) >= abs(observed) - 1e-12
        ).mean()
    for hint, value in wrong.items():
        if np.isclose(found, value):
            raise NotYet(hint)
    raise NotYet(
        f"{given} the share is not {found:.4g}: in how many of the {len(groups)} divisions are the means so far apart?"
    )


def _divisions(size: int, first: int) -> list[np.ndarray]:
    """All divisions of so many numbers into a first group and the rest, each as a mask of the first group."""
    return [np.isin(range(size), chosen) for chosen in combinations(range(size), first)]


@exercise
def new_row(answer: object) -> None:
    """Exercise 3: a row that the table does not have, with a question and exactly one change, in YAML or as a mapping.

    >>> from mambadfuse.course.ablation_lab import new_row
    >>> new_row('wide: {question: "Wider?", changes: {}}')
    'not yet: your row changes nothing: which setting answers its question?'
    """
    row = _read(answer)
    if not row.question.strip().endswith("?"):
        raise NotYet(f"a question ends in a question mark, found {row.question!r}")
    if len(row.changes) > 1:
        raise NotYet(
            f"{len(row.changes)} changes at once ({', '.join(row.changes)}): which one made the difference?"
        )
    if not row.changes:
        raise NotYet("your row changes nothing: which setting answers its question?")
    table, shipped = read_table(), read_table(SHIPPED_TABLE)
    if row.name in table or row.name in shipped:
        raise NotYet(f"there is a row called {row.name} already: yours needs another name")
    config = row_config(row, budget=BUDGET)
    if config == row_config(table[DEFAULT], budget=BUDGET):
        raise NotYet(f"{', '.join(row.changes)} has this value already: your row changes nothing")
    known = [other for other in table.values() if row_config(other, budget=BUDGET) == config]
    known += [other for other in shipped.values() if other.changes == row.changes]
    if known:
        raise NotYet(f"there is a row with this training already: {known[0].name}")


def _read(answer: object) -> Row:
    """The one row of an answer, read as a file of rows is."""
    content = _yaml(answer) if isinstance(answer, str) else answer
    if not content:
        raise NotYet("your row is still empty")
    if not isinstance(content, Mapping):
        raise NotYet("expected a name, and below it a question and changes, as in the file of the table")
    rows = {name: entry for name, entry in content.items() if name != DEFAULT}
    if len(rows) != 1:
        raise NotYet(f"expected one row, found {len(rows)}: {', '.join(map(str, rows))}")
    default = {DEFAULT: {"question": "?", "changes": {}}}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yaml"
        path.write_text(yaml.safe_dump(_plain(default | rows), sort_keys=False), encoding="utf-8")
        try:
            return list(read_table(path).values())[1]
        except ValueError as error:
            raise NotYet(str(error).replace(f"{path}: ", "").split(" Known are ")[0]) from error


def _yaml(text: str) -> Any:
    try:
        return parse_yaml(text, "your row")
    except ValueError as error:
        if not isinstance(cause := error.__cause__, yaml.YAMLError):
            raise NotYet(str(error)) from None
        mark = cause.problem_mark if isinstance(cause, yaml.MarkedYAMLError) else None
        line = mark.line + 1 if mark else 1
        raise NotYet(
            f"this cannot be read as YAML, see line {line}: a question stands in quotes, changes in braces"
        ) from None


def _plain(value: Any) -> Any:
    """Numbers of NumPy and tensors as Python's own, which YAML can write."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return value.item() if hasattr(value, "item") else value
