"""Stand-ins for the checks of ``make gpu``: one is right, others fail in all the ways in which a case can."""

import os
import time

from benchmarks.gpu import golden
from benchmarks.gpu.check import Check, NotPossible, Row
from benchmarks.gpu.settings import Settings

REPORT_BY = {
    "right": {"right": True, "error": 1e-7},
    "wrong": {"right": False, "error": 0.5},
}


def measure(settings: Settings, way: str) -> Row:
    if way == "raises":
        raise ZeroDivisionError("an error of the library")
    if way == "dies":
        os._exit(3)
    if way == "hangs":
        time.sleep(3600)
    if way == "not possible":
        raise NotPossible("this needs two GPUs, found 0")
    return dict(REPORT_BY[way])


def check(*ways: str, judges: bool = True) -> Check:
    return Check("Stand-ins", judges, lambda settings: [{"way": way} for way in ways], measure)


def wrong_golden(settings: Settings, backend: str) -> Row:
    """The check of the golden values after one of each kind has been changed: in a process of its own."""
    golden.GOLDEN["output"][3][4] *= 1.001
    gradients = golden.GOLDEN["gradient_check"]
    gradients["loss_value"] *= 1.001
    next(iter(gradients["grads"].values()))["l2"] *= 1.001
    return golden.measure(settings, backend)
