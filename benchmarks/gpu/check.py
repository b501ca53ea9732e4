"""A check: cases that are measured one by one, each in a process of its own, and what became of each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.gpu.isolation import Failure, Job
from benchmarks.gpu.settings import Settings
from mambadfuse import ops

Case = dict[str, str]
Row = dict[str, Any]

RIGHT, WRONG, MEASURED, FAILED, SKIPPED = "right", "WRONG", "measured", "FAILED", "not possible here"
BACKENDS = {"cuda": ("torch", "triton", "cuda"), "cpu": ("torch", "numba")}


class NotPossible(Exception):
    """A case that this machine cannot run; the message says why."""


@dataclass(frozen=True)
class Check:
    """One question and its cases.

    ``measure(settings, **case)`` returns numbers by name; where the question is whether results are right,
    ``judges`` is true and "right" among them.
    """

    title: str
    judges: bool
    cases: Callable[[Settings], Iterable[Case]]
    measure: Callable[..., Row]
    trains: bool = False  # for the minutes of the settings, beyond the time that any case may take

    def rows(self, settings: Settings) -> Iterable[Row]:
        """Each case with its outcome, "state", as soon as it is known."""
        for case in self.cases(settings):
            yield {**case, **self._outcome(settings, case)}

    def _outcome(self, settings: Settings, case: Case) -> Row:
        limit = settings.limit + (120 * settings.minutes if self.trains else 0)
        try:
            row = Job(partial(self.measure, settings, **case)).result(limit)
        except Failure as failure:
            if failure.kind == NotPossible.__name__:
                reason = str(failure).strip().rpartition(f"{NotPossible.__name__}: ")[2]
                return {"state": SKIPPED, "reason": reason}
            return {"state": FAILED, "reason": f"{failure.kind}: {failure}"}
        state = (RIGHT if row.pop("right") else WRONG) if self.judges else MEASURED
        return {"state": state, **row}


def require(backend: str) -> None:
    """Raises :class:`NotPossible` with reason and remedy where this backend cannot be used."""
    found = ops.backends()[backend]
    if not found.usable:
        raise NotPossible(f"{found.reason}. Remedy: {found.remedy}")


def each_backend(settings: Settings) -> Iterable[Case]:
    """A case for each backend of the device."""
    return ({"backend": backend} for backend in BACKENDS[settings.device])


def each_backend_and_precision(settings: Settings) -> Iterable[Case]:
    """A case for each backend of the device, in float32 and in bfloat16."""
    return (case | {"precision": name} for case in each_backend(settings) for name in ("float32", "bfloat16"))
