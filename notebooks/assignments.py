"""Writes the exercises of the notebooks as assignments that nbgrader releases and grades (make assignments)."""

import argparse
import ast
import re
from pathlib import Path
from typing import Any

import nbformat
from build import HERE, lesson, notebooks, with_address, write
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.apps import NbGraderAPI
from needed_cells import names_in, needed
from traitlets.config import PyFileConfigLoader

from mambadfuse.files import atomic_write
from mambadfuse.training.yaml_text import read_yaml

COURSE = HERE.parent / "outputs" / "assignments"
CONFIG = HERE / "nbgrader_config.py"
PAGES = HERE.parent / "docs" / "teaching"
IN_WORDS = 2  # points of an answer in words, out of those of its exercise


def points_of(number: str) -> list[int]:
    """The points of the exercises of a notebook ("03"), from the rubric of its instructor's page."""
    rubric = (PAGES / f"{number}.md").read_text(encoding="utf-8").partition("## Rubric")[2]
    return [int(points) for points in re.findall(r"^\| \d · .*? \| (\d+) \|", rubric, flags=re.M)]


def reason_of(number: str) -> dict[str, Any]:
    """What the assignment of a notebook ("03") asks for in words: exercise, question, a full answer and half of one."""
    path = PAGES / "reasons.yaml"
    reason = read_yaml(path).get(number)
    last = len(points_of(number))
    if reason is None or reason["exercise"] not in range(1, last + 1):
        found = f"that of exercise {reason['exercise']}" if reason else "none"
        raise ValueError(
            f"{path}: expected a question for one of the {last} exercises of {number}, found {found}"
        )
    return reason


def source(notebook: NotebookNode, points: list[int], reason: dict[str, Any]) -> NotebookNode:
    """The exercises with their solutions, below the cells of the lesson that they need, as nbgrader's source."""
    lesson, exercises = parts(with_address(notebook))
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    cells = [
        new_markdown_cell(introduction(title, points, reason["exercise"]), id="introduction"),
        *map(locked, given(lesson, exercises)),
        *tasks(exercises, points, reason),
    ]
    return new_notebook(cells=cells, metadata=notebook.metadata)


def introduction(title: str, points: list[int], worded: int) -> str:
    first = ", ".join(map(str, points[:-1]))
    return (
        f"# Assignment {title}\n\n"
        f"The exercises of the notebook of this name, for {first} and {points[-1]} points. First come those cells "
        "of the lesson that they need: run them, and change neither them nor the checks. Your answers go into the "
        "cells above the checks. A check says `passed`, or what is not right yet, and how many points it gives. "
        f"{IN_WORDS} of the points of exercise {worded} are for an answer in words, which a person reads."
    )


def parts(notebook: NotebookNode) -> tuple[list[NotebookNode], list[NotebookNode]]:
    """The code of the lesson, and all cells from the heading of the exercises to the next heading."""
    cells = notebook.cells
    heads = [
        n for n, cell in enumerate(cells) if cell.cell_type == "markdown" and cell.source.startswith("## ")
    ]
    start = next(n for n in heads if cells[n].source.startswith("## Exercises"))
    end = next((n for n in heads if n > start), len(cells))
    return [cell for cell in cells[:start] if cell.cell_type == "code"], cells[start:end]


def given(lesson: list[NotebookNode], exercises: list[NotebookNode]) -> list[NotebookNode]:
    """The two cells that set up every notebook, and those of the lesson that the exercises or solutions need."""
    names = names_in("\n".join(cell.source for cell in exercises if cell.cell_type == "code")).read
    places = needed([cell.source for cell in lesson], names)
    return [cell for n, cell in enumerate(lesson) if n in places or n < 2]


def tasks(exercises: list[NotebookNode], points: list[int], reason: dict[str, Any]) -> list[NotebookNode]:
    """Each task, a cell for its answer, and its check; below one of them, the question to be answered in words."""
    cells: list[NotebookNode] = []
    solution: list[str] = []
    numbered = enumerate(points, start=1)
    for cell in exercises:
        if cell.cell_type == "markdown":
            cells += [new_markdown_cell(text, id=cell.id) for text in task_in(cell.source)]
        elif "solution" in cell.metadata.get("tags", []):
            solution.append(re.sub(r"  # noqa.*", "", cell.source))
        elif "print(exercises." in cell.source:
            number, worth = next(numbered)
            cells[-1] = answer(cells[-1], solution, number)
            asked = in_words(reason) if number == reason["exercise"] else []
            cells += [check(cell, worth - IN_WORDS if asked else worth, number), *asked]
            solution = []
        else:
            cells.append(locked(cell))
    return cells


def task_in(text: str) -> list[str]:
    """The task in a text, if there is one: without what is said before it about the last one, and without links.

    >>> task_in("It was four.\\n\\n**2 · Code.** Read [the scan](../scan.py).")
    ['**2 · Code.** Read the scan.']
    """
    found = re.search(r"^\*\*\d · .*", text, flags=re.M | re.S)
    return [re.sub(r"\[([^]]*)\]\((?!\w+:)[^)]*\)", r"\1", found[0])] if found else []


def answer(stub: NotebookNode, solution: list[str], number: int) -> NotebookNode:
    """A cell to write into: the notebook's stub, and the solution, which nbgrader cuts out of the release."""
    lines = [stub.source, "### BEGIN SOLUTION", "\n\n".join(solution), "### END SOLUTION"]
    return marked(new_code_cell("\n".join(lines), id=stub.id), f"answer-{number}", solution=True)


def check(cell: NotebookNode, points: int, number: int) -> NotebookNode:
    """A check that gives points: ``points(2, exercises.f, x)`` for ``print(exercises.f(x))``."""
    imports, printed = cell.source.split("\n\n")
    call = ast.parse(printed).body[0].value.args[0]
    texts = [ast.get_source_segment(printed, part) for part in (call.func, *call.args)]
    text = f"from mambadfuse.course.grading import points\n\npoints({points}, {', '.join(texts)})"
    whole = new_code_cell(f"{imports}\n{text}", id=cell.id)
    return marked(whole, f"exercise-{number}", grade=True, locked=True, points=points)


def in_words(reason: dict[str, Any]) -> list[NotebookNode]:
    """A question and a cell for its answer, which nbgrader leaves to a person; the solution says what gets points."""
    question = f"**{reason['exercise']} · In words.** {reason['question']} ({IN_WORDS} points)"
    lines = [
        "*Your answer, in two to five sentences:*\n",
        "### BEGIN SOLUTION",
        f"**{IN_WORDS} points:** {reason['full']}\n\n**{IN_WORDS // 2} point:** {reason['half']}",
        "### END SOLUTION",
    ]
    written = new_markdown_cell("\n".join(lines), id="answer-in-words")
    return [
        new_markdown_cell(question, id="question-in-words"),
        marked(written, "in-words", grade=True, solution=True, points=IN_WORDS),
    ]


def locked(cell: NotebookNode) -> NotebookNode:
    """A cell that nbgrader puts back as it was before it grades."""
    return marked(new_code_cell(cell.source, id=cell.id), f"given-{cell.id}", locked=True)


def marked(cell: NotebookNode, name: str, **marks: object) -> NotebookNode:
    """A cell with the name and the marks by which nbgrader knows it."""
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    cell.metadata["nbgrader"] = {**plain, "grade_id": name, **marks}
    return cell


def write_sources(paths: list[Path], course: Path) -> None:
    """Writes the sources that a course lacks; what is there may hold a lecturer's changes."""
    course.mkdir(parents=True, exist_ok=True)
    if not (course / CONFIG.name).exists():
        with atomic_write(course / CONFIG.name) as file:
            file.write(CONFIG.read_bytes())
    missing = [path for path in paths if not (course / "source" / path.name[:2]).exists()]
    for path in missing:
        number = path.name[:2]
        whole = source(nbformat.read(path, as_version=4), points_of(number), reason_of(number))
        (course / "source" / number).mkdir(parents=True)
        write(whole, course / "source" / number / path.name)


def grader(course: Path) -> NbGraderAPI:
    """nbgrader, with the settings of a course."""
    config = PyFileConfigLoader(CONFIG.name, path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    return NbGraderAPI(config=config)


def release(names: list[str], course: Path) -> None:
    """Writes the versions without solutions, and the points of every exercise into the gradebook.

    Raises:
        RuntimeError: nbgrader refuses one.
    """
    api = grader(course)
    for name in names:
        result = api.generate_assignment(name)
        if not result["success"]:
            raise RuntimeError(f"nbgrader cannot release assignment {name}: {result['log']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "lessons", nargs="*", type=lesson, metavar="NN", help="numbers of notebooks, such as 03; default: all"
    )
    chosen = parser.parse_args().lessons or notebooks()
    write_sources(chosen, COURSE)
    missing = [path.name[:2] for path in chosen if not (COURSE / "release" / path.name[:2]).exists()]
    release(missing, COURSE)
    kept = len(chosen) - len(missing)
    print(
        f"assignments: {len(missing)} written, {kept} kept (delete one in source/ and release/ to get it anew)"
    )
    print(f"for students: {COURSE / 'release'}; how to grade: docs/teaching/assignments.md")


if __name__ == "__main__":
    main()
