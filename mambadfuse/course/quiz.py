"""Quizzes: questions with choices, one of them right and every one explained, kept as one YAML file per notebook."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mambadfuse.training.yaml_text import read_yaml

SHIPPED = Path(__file__).with_name("quizzes")

PREFACE = """# Quizzes

Three to five questions for each notebook; the answers unfold with a click. They are written from the files in
[`mambadfuse/course/quizzes/`](../../mambadfuse/course/quizzes), which `mambadfuse.course.quiz` reads.
"""


@dataclass(frozen=True)
class Choice:
    """One choice of a question."""

    text: str
    explanation: str
    """Why it is right, or what is wrong with it."""
    right: bool = False


@dataclass(frozen=True)
class MultipleChoice:
    """A question with its choices, exactly one of them right."""

    text: str
    choices: tuple[Choice, ...]

    @property
    def answer(self) -> Choice:
        """The right choice."""
        return next(choice for choice in self.choices if choice.right)


@dataclass(frozen=True)
class Quiz:
    """The questions of a notebook.

    >>> from mambadfuse.course.quiz import shipped_quizzes
    >>> quiz = shipped_quizzes()["00_start_here"]
    >>> print(quiz.title, "|", len(quiz.questions), "questions")
    00 · Start here | 4 questions
    >>> print(quiz.questions[0].answer.text)
    40
    """

    notebook: str
    """The name of its file, without ``.ipynb``."""
    title: str
    questions: tuple[MultipleChoice, ...]


def read_quiz(path: str | Path) -> Quiz:
    """The quiz in a YAML file: a notebook, a title, and questions with choices, one of them ``right: true``.

    >>> from mambadfuse.course.quiz import SHIPPED, read_quiz
    >>> read_quiz(SHIPPED / "11_ablation_lab.yaml").notebook
    '11_ablation_lab'

    Raises:
        ValueError: the file is no quiz; the message names the question and what is wrong with it.
        OSError: it cannot be read.
    """
    path = Path(path)
    quiz = _entries(read_yaml(path), {"notebook": str, "title": str, "questions": list}, str(path))
    if quiz["notebook"] != path.stem:
        raise ValueError(f"{path}: expected the notebook {path.stem!r}, found {quiz['notebook']!r}")
    questions = (
        _question(entry, f"{path}: question {number}") for number, entry in enumerate(quiz["questions"], 1)
    )
    return Quiz(quiz["notebook"], quiz["title"], tuple(questions))


def shipped_quizzes() -> dict[str, Quiz]:
    """The quizzes of the course by the names of their notebooks, in order.

    >>> from mambadfuse.course.quiz import shipped_quizzes
    >>> list(shipped_quizzes())[:2]
    ['00_start_here', '01_the_fusion_problem']
    """
    return {path.stem: read_quiz(path) for path in sorted(SHIPPED.glob("*.yaml"))}


def as_page(quizzes: Iterable[Quiz]) -> str:
    """The quizzes as a page of Markdown, each answer folded below its question.

    >>> from mambadfuse.course.quiz import Choice, MultipleChoice, Quiz, as_page
    >>> choices = Choice("three", "That is 1 + 2."), Choice("four", "Twice two.", right=True)
    >>> quiz = Quiz("00_start_here", "Sums", (MultipleChoice("2 + 2?", choices),))
    >>> print(as_page([quiz]).split("**1.** ")[1], end="")
    2 + 2?
    <BLANKLINE>
    - **a** three
    - **b** four
    <BLANKLINE>
    <details><summary>Answer</summary>
    <BLANKLINE>
    **b** is right.
    <BLANKLINE>
    - **a** That is 1 + 2.
    - **b** Twice two.
    <BLANKLINE>
    </details>
    """
    return "\n".join([PREFACE, *map(_section, quizzes)])


def as_cells(quiz: Quiz) -> list[str]:
    """The quiz as Markdown cells of its notebook, one for each question; the first has the heading.

    >>> from mambadfuse.course.quiz import as_cells, shipped_quizzes
    >>> cells = as_cells(shipped_quizzes()["00_start_here"])
    >>> len(cells), cells[0][:15], cells[1][:6]
    (4, '## Quiz\\n\\n**1.**', '**2.**')
    """
    questions = [_item(number, question).rstrip() for number, question in enumerate(quiz.questions, 1)]
    return [f"## Quiz\n\n{questions[0]}", *questions[1:]]


def _section(quiz: Quiz) -> str:
    link = f"For [notebook {quiz.notebook[:2]}](../../notebooks/{quiz.notebook}.ipynb)."
    questions = (_item(number, question) for number, question in enumerate(quiz.questions, 1))
    return "\n".join([f"## {quiz.title}\n\n{link}\n", *questions])


def _item(number: int, question: MultipleChoice) -> str:
    choices = [*zip("abcdefgh", question.choices, strict=False)]
    right = next(letter for letter, choice in choices if choice.right)
    return "\n".join(
        [
            f"**{number}.** {question.text}\n",
            *(f"- **{letter}** {choice.text}" for letter, choice in choices),
            f"\n<details><summary>Answer</summary>\n\n**{right}** is right.\n",
            *(f"- **{letter}** {choice.explanation}" for letter, choice in choices),
            "\n</details>\n",
        ]
    )


def _question(entry: Any, where: str) -> MultipleChoice:
    parts = _entries(entry, {"question": str, "choices": list}, where)
    choices = tuple(
        _choice(each, f"{where}, choice {number}") for number, each in enumerate(parts["choices"], 1)
    )
    if not 2 <= len(choices) <= 8:
        raise ValueError(f"{where}: expected two to eight choices, found {len(choices)}")
    right = sum(choice.right for choice in choices)
    if right != 1:
        raise ValueError(f"{where}: expected exactly one choice with 'right: true', found {right}")
    return MultipleChoice(parts["question"], choices)


def _choice(entry: Any, where: str) -> Choice:
    given = {"right": False} | entry if isinstance(entry, dict) else entry
    parts = _entries(given, {"choice": str, "explanation": str, "right": bool}, where)
    return Choice(parts["choice"], parts["explanation"], parts["right"])


def _entries(entry: Any, kinds: dict[str, type], where: str) -> dict[str, Any]:
    """An entry that has exactly these names, with values of these types that are not empty."""
    if not isinstance(entry, dict) or set(entry) != set(kinds):
        raise ValueError(f"{where}: expected {', '.join(kinds)}, found {entry!r:.200}")
    for name, kind in kinds.items():
        if not isinstance(entry[name], kind) or entry[name] in ("", []):
            raise ValueError(f"{where}: expected {name} as {_KINDS[kind]}, found {entry[name]!r}")
    return entry


_KINDS = {str: "text (numbers in quotes)", list: "a list", bool: "true or false"}
