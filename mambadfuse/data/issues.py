"""Issues: what a user should know about a file, a folder or a pair."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mambadfuse.files import printable


@dataclass(frozen=True)
class Issue:
    """One thing to know about one file, folder or pair; ``str(issue)`` is ``subject: reason``, in printable text.

    Attributes:
        subject: the path of a file or folder, or the name of a pair.
        reason: what is wrong with it, or worth knowing.
        severity: "problem", or "note" if nothing is wrong.
    """

    subject: Path | str
    reason: str
    severity: Literal["problem", "note"] = "problem"

    def __str__(self) -> str:
        return printable(f"{self.subject}: {self.reason}")


def problems(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """The issues that say something is wrong."""
    return tuple(issue for issue in issues if issue.severity == "problem")


def notes(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """The issues that are only worth knowing."""
    return tuple(issue for issue in issues if issue.severity == "note")
