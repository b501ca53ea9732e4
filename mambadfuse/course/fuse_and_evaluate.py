"""The exercises of notebook 10: tiles counted, an exact test of signs, an order of merit turned round."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mambadfuse import metrics
from mambadfuse.course.answers import array, function, names, number, returned
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly
from mambadfuse.evaluation.published import published
from mambadfuse.evaluation.table import PUBLISHED, Method, rank

FIRST = "CDDFuse"
FEWEST = 3

TILES = (
    Question(
        "512 x 512",
        "2ed4d952c795",
        "does the picture fit into one tile?",
        exactly,
        {4: "it fits into one tile"},
    ),
    Question(
        "513 x 513",
        "87ca0825f062",
        "one tile is one pixel too short: how many are needed along each axis?",
        exactly,
        {
            1: "a tile ends after 512 pixels",
            2: "that is along one axis; and for both?",
            9: "two tiles suffice: the last is moved back",
        },
    ),
    Question(
        "1000 x 700",
        "84208093c8cd",
        "the tiles start at 0, 448, ..., and the last one is moved back: count both axes, then multiply",
        exactly,
        {
            4: "two tiles of 512 share 64 pixels, so together they cover 960",
            5: "the tiles of both axes are multiplied, not added",
            9: "along 700 pixels, where must the last tile start?",
            3: "that is along one axis; and for both?",
        },
    ),
)


@exercise
def tiles_counted(answer: object) -> None:
    """Exercise 1: how many tiles of 512 with an overlap of 64 a picture takes, by its size.

    >>> from mambadfuse.course.fuse_and_evaluate import tiles_counted
    >>> tiles_counted({(512, 512): 4, (513, 513): 9, (1000, 700): 4})
    'not yet: 0 of 3 are right; 512 x 512: it fits into one tile'
    """
    ask(TILES, answer)


@exercise
def exact_test_of_signs(p_value: Callable[..., Any]) -> None:
    """Exercise 2: in which share of all ways to sign the differences d, (n,), their sum is as far from 0 as that of d.

    >>> from mambadfuse.course.fuse_and_evaluate import exact_test_of_signs
    >>> exact_test_of_signs(lambda d: 0.05)
    'not yet: for the differences [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], the share is not 0.05: in how many of the \
256 ways is the sum so far from 0?'
    """
    function(p_value)
    rng = np.random.default_rng(0)
    cases = [np.full(8, 0.1), np.array([1.0, -1.0]), np.array([3.0, 1.0]), -np.array([0.3, 0.2, 0.1])]
    for d in [
        *cases,
        np.array([0.3, 0.1, -0.1]),
        np.array([5.0, 1.0, -1.5, -2.0]),
        rng.normal(0.5, 1, 7).round(2),
    ]:
        answer = p_value(d.copy())
        returned(answer)
        if np.size(array(answer)) != 1:
            raise NotYet(f"expected one share, found {np.size(array(answer))} numbers")
        _check_share(number(answer), d)


def _check_share(found: float, d: np.ndarray) -> None:
    sums = np.array(list(product((1, -1), repeat=len(d)))) @ d  # (2^n,)
    observed = d.sum()
    far = np.abs(sums) >= abs(observed) - 1e-12
    if np.isclose(found, far.mean()):
        return
    given = f"for the differences {d.tolist()},"
    wrong = {
        f"{given} you count the ways; divide by all {len(sums)} of them": far.sum(),
        f"{given} ties are lost: '>=' rather than '>', and allow for rounding, 1e-12": (
            np.abs(sums) > abs(observed) + 1e-12
        ).mean(),
        f"{given} a tie is lost to rounding: allow for 1e-12": (np.abs(sums) >= abs(observed)).mean(),
        f"{given} you add ranks; here the differences themselves are added": _of_ranks(d),
        f"{given} you count signs; here the differences themselves are added": _of_signs(d),
        f"{given} you look at one side alone: the sum may be far below 0, too": (
            sums >= observed - 1e-12
        ).mean(),
        f"{given} you compare the sums with the one observed without its sign": (
            sums >= abs(observed) - 1e-12
        ).mean(),
        f"{given} that is the share of the ways that are nearer to 0": 1 - far.mean(),
    }
    for hint, value in wrong.items():
        if np.isclose(found, value):
            raise NotYet(hint)
    raise NotYet(
        f"{given} the share is not {found:.4g}: in how many of the {len(sums)} ways is the sum so far from 0?"
    )


def _of_ranks(d: np.ndarray) -> float:
    """The share if ranks with signs are added in place of the differences, as Wilcoxon's test does."""
    return _share(np.sign(d) * rankdata(np.abs(d)))


def _of_signs(d: np.ndarray) -> float:
    """The share if each difference counts as 1 or -1, as in the sign test."""
    return _share(np.sign(d))


def _share(d: np.ndarray) -> float:
    sums = np.array(list(product((1, -1), repeat=len(d)))) @ d
    return float((np.abs(sums) >= abs(d.sum()) - 1e-12).mean())


@exercise
def another_winner(scores: object) -> str:
    """Exercise 3: at least three of the eight scores by which another network than CDDFuse is first on TNO, alone.

    >>> from mambadfuse.course.fuse_and_evaluate import another_winner
    >>> another_winner(("EN", "SD", "SF"))[:30]
    'not yet: first is CDDFuse, wit'
    """
    chosen = names(scores, metrics.EIGHT)
    if len(chosen) < FEWEST:
        raise NotYet(
            f"expected at least three different ones of {', '.join(metrics.EIGHT)}, found {len(chosen)}"
        )
    rows = published("TNO-25").rows
    methods = [Method(row.method, PUBLISHED, row.means, {}, {}) for row in rows]
    ranks = rank(methods, tuple(chosen), (), "literature").mean_ranks
    order = sorted((ranks[method.label], method.name) for method in methods)
    (best, first), (next_best, second) = order[:2]
    said = f"first is {first}, with {best:.2f} before {second}, {next_best:.2f}"
    if best == next_best:
        raise NotYet(f"{said}: nobody is first alone")
    if first == FIRST:
        raise NotYet(
            f"{said}: which network is before it in two scores, and close behind it in which third one?"
        )
    return f"{first} is first"
