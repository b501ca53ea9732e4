"""Points for the answer to an exercise, as a grader of notebooks reads them from the output of a cell."""

import sys
from collections.abc import Callable
from contextlib import redirect_stderr

from mambadfuse.course.exercise import Verdict


def points(worth: float, check: Callable[..., Verdict], *answer: object) -> float:
    """Prints what a check says about an answer, and returns its points: those of the parts that are right.

    Warnings that the answer gives rise to are printed like other text: nbgrader takes them for a failure.

    >>> from mambadfuse.course.start_here import swapped_sources
    >>> points(2, swapped_sources, {"mean": True, "maximum": True, "network": None})
    not yet: still without an answer: network
    0.0
    """
    with redirect_stderr(sys.stdout):
        verdict = check(*answer)
    print(verdict)
    return round(worth * verdict.share, 2)
