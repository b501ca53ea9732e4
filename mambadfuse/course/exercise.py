"""What all checks have in common: the verdict, and what becomes of an answer that fails on the way."""

from collections.abc import Callable
from functools import wraps
from traceback import walk_tb
from typing import ParamSpec, Self

P = ParamSpec("P")


class NotYet(Exception):
    """What keeps an answer from passing, as a hint that does not give the answer away.

    ``share`` is how much of the exercise is right nevertheless, from 0 to 1.
    """

    def __init__(self, hint: str, share: float = 0.0):
        super().__init__(hint)
        self.share = share


class Verdict(str):
    """What a check says about an answer; ``share`` is how much of it is right, 1 if it passes.

    >>> Verdict("passed", share=1.0)
    'passed'
    """

    share: float

    def __new__(cls, text: str, share: float = 0.0) -> Self:  # noqa: D102 - a constructor
        verdict = super().__new__(cls, text)
        verdict.share = share
        return verdict


def exercise(check: Callable[P, str | None]) -> Callable[P, Verdict]:
    """A check that returns a verdict, made of one that raises :class:`NotYet`.

    The verdict is "passed", followed by what the check returns, or "not yet: " and a hint. An error that the answer
    raises becomes such a hint, with the line of the cell in which it happened.

    >>> @exercise
    ... def positive(answer):
    ...     if answer <= 0:
    ...         raise NotYet("which numbers are above zero?")
    >>> positive(3), positive(-3)
    ('passed', 'not yet: which numbers are above zero?')
    >>> positive("three")
    "not yet: TypeError: '<=' not supported between instances of 'str' and 'int'"
    """

    @wraps(check)
    def verdict(*args: P.args, **kwargs: P.kwargs) -> Verdict:
        try:
            remark = check(*args, **kwargs)
        except NotYet as hint:
            return Verdict(f"not yet: {hint}", hint.share)
        except Exception as error:
            return Verdict(f"not yet: {_told(error, [*args, *kwargs.values()])}")
        return Verdict(f"passed: {remark}" if remark else "passed", 1.0)

    return verdict


def _told(error: Exception, answer: list[object]) -> str:
    """An error in one line: what it is, and where in the cells of the answer's functions it happened."""
    cells = {part.__code__.co_filename for part in answer if hasattr(part, "__code__")}
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename in cells]
    place = f" in line {lines[-1]} of your cell" if lines else ""
    reason = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}{place}: {reason}"
