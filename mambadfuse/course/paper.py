"""Questions to answer on paper: their answers are kept as digests, so that nobody reads them in passing."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mambadfuse.course import answers
from mambadfuse.course.exercise import NotYet


def exactly(answer: object) -> set[str]:
    """The normal form of a number that has to be met exactly, such as a count.

    >>> exactly("7.0"), exactly(6.93)
    ({'7'}, {'6.93'})
    """
    return {f"{answers.number(answer):.9g}"}


def roughly(answer: object) -> set[str]:
    """The normal forms of a number that has to be met to half a percent: three digits, and those of its neighbours.

    >>> sorted(roughly(1 / 500))
    ['1.99e-03', '2.00e-03', '2.01e-03']
    """
    value = answers.number(answer)
    return {f"{value * factor:.2e}" for factor in (0.995, 1, 1.005)}


def yes_or_no(answer: object) -> set[str]:
    """The normal form of a truth value.

    >>> yes_or_no("no")
    {'False'}
    """
    return {str(answers.truth(answer))}


def one_of(*options: str) -> Callable[[object], set[str]]:
    """The normal form of one of these words.

    >>> one_of("grow", "shrink")("It grows")
    {'grow'}
    """
    return lambda answer: {answers.choice(*options)(answer)}


def letters_of(letters: str) -> Callable[[object], set[str]]:
    """The normal form of a choice of letters, written together or apart, in any order and case.

    >>> letters_of("fab")("b and F"), letters_of("fab")(["b", "f"])
    ({'fb'}, {'fb'})
    """

    def form(answer: object) -> set[str]:
        if isinstance(answer, str):
            answer = list(answers.folded(re.sub(r"\band\b", "", answer)))
        return {"".join(answers.names(answer, letters))}

    return form


def digest(name: str, form: str) -> str:
    """What is kept of the normal form of an answer.

    >>> digest("half of 8", "4")
    '924e61cfcc8b'
    """
    return hashlib.sha256(f"{name}: {form}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Question:
    """One question, and what to say to a wrong answer.

    >>> question = Question("half of 8", digest("half of 8", "4"), "divide", exactly, {16: "that is twice"})
    >>> question.hint_for("4.0"), question.hint_for(16), question.hint_for(5)
    (None, 'that is twice', 'divide')
    """

    name: str
    answer: str
    """The :func:`digest` of the right answer's normal form."""
    hint: str
    form: Callable[[object], set[str]] = yes_or_no
    """The normal forms of an answer: one, or several for a number that is only to be met roughly."""
    mistakes: Mapping[Any, str] = field(default_factory=dict)
    """Hints for wrong answers that say how they came about."""

    def hint_for(self, answer: object) -> str | None:
        """None for the right answer, else the hint."""
        try:
            forms = self.form(answer)
        except NotYet as unreadable:
            return str(unreadable)
        if any(digest(self.name, form) == self.answer for form in forms):
            return None
        made = (hint for wrong, hint in self.mistakes.items() if self.form(wrong) & forms)
        return next(made, self.hint)


def ask(questions: Sequence[Question], answer: object) -> None:
    """Compares an answer to several questions, by name or in their order, with what is right.

    >>> ask([Question("half of 8", digest("half of 8", "4"), "divide", exactly)], {"Half of 8": 4})

    Raises:
        NotYet: one of them is wrong or has no answer; the hint says how many are right, and is that of the first wrong
            one.
    """
    given = answers.by_name(answer, [question.name for question in questions])
    answered = [question for question in questions if given[question.name] is not None]
    hints = [(question.name, question.hint_for(given[question.name])) for question in answered]
    wrong = [(name, hint) for name, hint in hints if hint]
    share = (len(answered) - len(wrong)) / len(questions)
    answers.require_all(given, share)
    if wrong:
        name, hint = wrong[0]
        raise NotYet(f"{len(hints) - len(wrong)} of {len(hints)} are right; {name}: {hint}", share)
