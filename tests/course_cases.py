"""How the tests of the exercises list right answers, wrong ones with their hints, and one that crashes."""

import pytest


def right(answers):
    return pytest.mark.parametrize("answer", answers, ids=range(len(answers)))


def wrong(**answers):
    """Each wrong answer by what was thought, and a part of its hint."""
    return pytest.mark.parametrize(("answer", "hint"), answers.values(), ids=answers)


def crash(*args):
    return 1 / 0


CRASH = "ZeroDivisionError in line"
