"""The exercises of notebook 05: which pixels a feature depends on, columns instead of rows, how far down one sees."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mambadfuse.course.answers import function, tensor
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly

HEIGHT, WIDTH = 3, 4

DEPENDS = (
    Question(
        "five pixels to the right, same row",
        "f69ed18508db",
        "p comes before that pixel; but which features come before p and have it in their 5x5 window?",
    ),
    Question(
        "five pixels to the right, two rows below",
        "f1ccc545577d",
        "features right of p in the row above come before p; how many rows below p do their windows reach?",
    ),
    Question(
        "two rows below, same column", "b51667f3e134", "how far down does the 5x5 window of p itself reach?"
    ),
    Question(
        "three rows below, same column",
        "529f4d23df8c",
        "which feature before p, or p itself, would have it in its window?",
    ),
)


@exercise
def pixels_seen(answer: object) -> None:
    """Exercise 1: does a feature, after both levels, depend on these pixels? True or False.

    >>> from mambadfuse.course.dual_level_extraction import pixels_seen
    >>> pixels_seen([True, True, True])[:28]
    'not yet: expected 4 answers,'
    """
    ask(DEPENDS, answer)


@exercise
def column_order(down_columns: Callable[..., Any]) -> None:
    """Exercise 2: from any f on maps (B, C, H, W) to the same f that reads down the columns.

    >>> from mambadfuse.course.dual_level_extraction import column_order
    >>> column_order(lambda f: lambda x: f(x))
    'not yet: f still reads along the rows: which map has the columns of x as its rows?'
    """
    function(down_columns)
    x = torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    turned = down_columns(lambda x: x)
    if turned is None or not callable(turned):
        raise NotYet(f"expected a function of maps, which calls f, found {turned!r}")
    same = tensor(turned(x.clone()), x.shape).to(x.dtype)
    if not torch.equal(same, x):
        raise NotYet("with an f that changes nothing, nothing may change: is the map turned back afterwards?")
    calls: list[Tensor] = []

    def running_sum(x: Tensor) -> Tensor:
        """A scan row by row: each pixel becomes the sum of all before it and itself."""
        calls.append(x)
        return x.flatten(2).cumsum(2).view(x.shape)

    found = tensor(down_columns(running_sum)(x.clone()), x.shape).to(x.dtype)
    right = running_sum(x.mT).mT
    if torch.allclose(found, right, atol=1e-5):
        return
    if len(calls) == 1:
        raise NotYet("f is never called")
    wrong = {
        "f still reads along the rows: which map has the columns of x as its rows?": running_sum(x),
        "f reads the rows from their end: swap the axes instead": running_sum(x.flip(3)).flip(3),
        "f reads the whole raster backwards: swap the axes instead": running_sum(x.flip(2, 3)).flip(2, 3),
        "f reads up the columns: a turned map has its rows in the other order": running_sum(
            x.rot90(1, (2, 3))
        ).rot90(-1, (2, 3)),
        "f reads the columns from right to left": running_sum(x.rot90(-1, (2, 3))).rot90(1, (2, 3)),
    }
    for hint, result in wrong.items():
        if torch.allclose(found, result, atol=1e-5):
            raise NotYet(hint)
    raise NotYet("p must see all columns left of it, and its own down to itself")


STEP_BY_STEP = "a 3x3 convolution sees one row down, and those in a row add up; read its `forward` once more"
LEVELS = {
    2: "that is the low level alone; the later stages have convolutions too",
    5: "low level and reconstruction; what of the two stages between them?",
}

ROWS = (
    Question(
        "lite",
        "9e54d6f44107",
        STEP_BY_STEP,
        exactly,
        LEVELS
        | {
            7: "how many M3 blocks has the preset, and what ends each of them?",
            8: "is the second shallow convolution fed by the first one?",
        },
    ),
    Question(
        "published",
        "06b1cd70eeda",
        STEP_BY_STEP,
        exactly,
        LEVELS
        | {
            7: "how many M3 blocks has the preset, and what ends each of them?",
            8: "each of the M3 blocks ends in a convolution, and they follow each other",
            11: "is the second shallow convolution fed by the first one?",
        },
    ),
    Question(
        "figure",
        "7c430d6e6849",
        STEP_BY_STEP,
        exactly,
        LEVELS
        | {
            7: "which inputs does the second shallow convolution get in this preset?",
            11: "does this preset have a convolution at the end of its M3 blocks?",
            12: "does this preset have a convolution at the end of its M3 blocks?",
        },
    ),
)


@exercise
def rows_below(answer: object) -> None:
    """Exercise 3: how many rows below itself a pixel of the fused picture sees, for three presets.

    >>> from mambadfuse.course.dual_level_extraction import rows_below
    >>> rows_below({"lite": 5, "published": 5, "figure": 5})
    'not yet: 0 of 3 are right; lite: low level and reconstruction; what of the two stages between them?'
    """
    ask(ROWS, answer)
