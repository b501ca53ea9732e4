"""Assignments: what students get, and the points that nbgrader gives them."""

import ast
import builtins
import re
import sys
import warnings
from pathlib import Path

import nbformat
import pytest

from mambadfuse.course import selective_scan_and_mamba as scan
from mambadfuse.course import start_here as start
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.grading import points

FOLDER = Path(__file__).parents[1] / "notebooks"
sys.path.insert(0, str(FOLDER))
import assignments  # noqa: E402 - after the path
from needed_cells import names_in, needed  # noqa: E402 - after the path

PATHS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
by_number = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name[:2])


def source_of(path: Path) -> nbformat.NotebookNode:
    number = path.name[:2]
    notebook = nbformat.read(path, as_version=4)
    return assignments.source(notebook, assignments.points_of(number), assignments.reason_of(number))


# ------------------------------------------------------------------------------------------------------ points


def test_an_answer_that_passes_gives_all_points(capsys):
    right = {"mean": False, "maximum": False, "network": True}
    assert points(2, start.swapped_sources, right) == 2
    assert capsys.readouterr().out == "passed\n"


def test_parts_that_are_right_give_their_share(capsys):
    assert points(3, start.swapped_sources, [False, True, True]) == 2
    assert points(4, scan.costs, {"rounds": 20, "scan": 1, "attention": 2, "memory": 3}) == 1
    assert "1 of 4 are right" in capsys.readouterr().out


def test_a_part_without_an_answer_gives_nothing_and_takes_nothing(capsys):
    assert points(3, start.swapped_sources, {"mean": False, "maximum": None, "network": True}) == 2
    assert points(3, start.swapped_sources, {"mean": None, "maximum": None, "network": None}) == 0
    assert capsys.readouterr().out.count("still without an answer: ") == 2


@pytest.mark.parametrize("answer", [None, 3, "no", [True], {"median": True}, lambda: 1 / 0])
def test_what_is_no_answer_gives_no_points(answer):
    assert points(2, start.swapped_sources, answer) == 0
    assert points(4, start.colour_put_back, answer) == 0


def test_a_third_is_rounded_to_two_digits():
    @exercise
    def check(_answer):
        raise NotYet("two thirds are missing", share=1 / 3)

    assert points(2, check, None) == 0.67


def test_a_warning_is_printed_where_no_grader_takes_it_for_a_failure(capsys):
    @exercise
    def check(_answer):
        warnings.warn("divided by zero", stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
        assert points(2, check, None) == 2
    assert capsys.readouterr() == ("divided by zero\npassed\n", "")


# ------------------------------------------------------------------------------------------------ needed cells


@pytest.mark.parametrize(
    ("cells", "places"),
    [
        (["x = 1", "y = 2"], [0]),
        (["a = 1", "b = 2", "x = a"], [0, 2]),
        (["x = 1", "x = 2"], [1]),  # the later one alone
        (["x = 1", "x += 1"], [0, 1]),
        (["x = 1", "x = x + 1"], [0, 1]),
        (["a = 1", "a = 2; x = a"], [1]),  # it reads what it has assigned itself
        (["x = {}", "x['k'] = 1"], [0, 1]),
        (["x = C()", "x.part.size = 1"], [0, 1]),
        (["a = 1", "def x():\n    return a"], [0, 1]),  # read when it is called
        (["a = 1", "def x(a):\n    return a"], [1]),
        (["a = 1", "x = [a for a in range(3)]"], [1]),
        (["a = 1", "x = [b for b in range(a)]"], [0, 1]),
        (["import numpy as x", "print(1)"], [0]),
        (["import x.y", "print(1)"], [0]),
        (["class x:\n    pass", "%pip install nothing"], [0]),
        (["rows = [1]", "for row in rows:\n    x = row"], [0, 1]),
        (["a = 1", "with open(a) as x:\n    pass"], [0, 1]),
        (["x = 1", "if 2 > 3:\n    x = 2"], [0, 1]),
        (["x = 1", "try:\n    x = 2\nexcept OSError:\n    pass"], [0, 1]),
        (["x = 1", "if 2 > 3:\n    x = 2", "x = 3"], [2]),
        (["a: int = 1", "x: int = a"], [0, 1]),
        (["a, (x, *c) = 1, (2, 3)"], [0]),
    ],
)
def test_the_cells_that_a_name_needs(cells, places):
    assert needed(cells, {"x"}) == places


def test_names_of_a_cell_are_those_outside_its_functions():
    names = names_in("def f(a):\n    b = a + c\n    return b\nd = f(1)")
    assert (names.read, names.bound) == ({"c"}, {"f", "d"})


# ----------------------------------------------------------------------------------------------- what is written


@by_number
def test_an_assignment_has_an_answer_and_a_check_with_points_for_each_exercise(path):
    marks = [cell.metadata.nbgrader for cell in source_of(path).cells if "nbgrader" in cell.metadata]
    kinds = {m.grade_id: (m.get("points"), m.locked) for m in marks if m.grade or m.solution}
    expected = {
        "answer-1": (None, False), "exercise-1": (2, True), "answer-2": (None, False), "exercise-2": (4, True),
        "answer-3": (None, False), "exercise-3": (4, True), "in-words": (2, False),
    }  # fmt: skip
    expected[f"exercise-{assignments.reason_of(path.name[:2])['exercise']}"] = (2, True)
    assert kinds == expected
    assert len({m.grade_id for m in marks}) == len(marks)
    assert all(m.locked != m.solution for m in marks)


@by_number
def test_the_question_in_words_follows_its_exercise_and_a_person_grades_it(path):
    reason = assignments.reason_of(path.name[:2])
    cells = source_of(path).cells
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    place = names.index("in-words")
    assert names[place - 2] == f"exercise-{reason['exercise']}"
    assert reason["question"] in cells[place - 1].source
    assert cells[place].metadata.nbgrader.grade
    assert cells[place].metadata.nbgrader.solution
    shown, _, rubric = cells[place].source.partition("### BEGIN SOLUTION")
    assert reason["full"] in rubric
    assert reason["half"] in rubric
    assert shown.startswith("*Your answer")
    assert f"points of exercise {reason['exercise']} are for an answer in words" in cells[0].source


@by_number
def test_every_name_in_an_assignment_has_a_cell(path):
    known = {"get_ipython", *dir(builtins)}
    for cell in source_of(path).cells:
        if cell.cell_type == "code":
            names = names_in(cell.source)
            known |= names.bound  # a function may read what its cell binds further down
            assert not names.read - known


@by_number
def test_what_students_read_gives_no_answer_away(path):
    notebook = nbformat.read(path, as_version=4)
    released = source_of(path)
    for cell in released.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = cell.source.partition("### BEGIN SOLUTION")[0]
    text = "\n".join(cell.source for cell in released.cells)
    lines = {True: set(), False: set()}  # of solutions, and of all other cells
    for cell in notebook.cells:
        lines["solution" in cell.metadata.get("tags", [])] |= set(cell.source.splitlines())
    answers = {line for line in lines[True] - lines[False] if not line.startswith("def ")}
    answers = {
        line for line in answers if not line.endswith("{") and line.strip("}])")
    }  # what only opens or closes
    assert answers
    assert not [line for line in answers if line in text]
    assert "<details>" not in text
    assert "Think on" not in text
    assert not re.search(r"\]\((?!\w+:)", text)  # no link out of the folder
    assert ".ipynb" not in text
    assert not re.search(r"\bsolutions?\b", text, flags=re.I)
    reason = assignments.reason_of(path.name[:2])
    assert reason["full"] not in text
    assert reason["half"] not in text


def test_a_check_asks_the_question_of_the_notebook():
    path = next(path for path in PATHS if path.name.startswith("04"))
    last = named(source_of(path), "exercise-3").source
    assert last.endswith("points(2, exercises.selective_parameters, needed, lambda sees: attempt(*sees))")
    ast.parse(last)


def test_a_lecturers_changes_are_kept(tmp_path):
    assignments.write_sources(PATHS[:1], tmp_path)
    (written,) = tmp_path.glob("source/00/*.ipynb")
    written.write_text("changed")
    (tmp_path / "nbgrader_config.py").write_text("# mine")
    assignments.write_sources(PATHS[:2], tmp_path)
    assert written.read_text() == "changed"
    assert (tmp_path / "nbgrader_config.py").read_text() == "# mine"
    assert sorted(path.name for path in tmp_path.glob("source/*")) == ["00", "01"]


# ----------------------------------------------------------------------------------------------------- grading


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    assignments.write_sources(PATHS, folder)
    return folder


def released(course: Path, number: str) -> nbformat.NotebookNode:
    if not (course / "release" / number).exists():
        assignments.release([number], course)
    (path,) = (course / "release" / number).glob("*.ipynb")
    return nbformat.read(path, as_version=4)


def solved(course: Path, number: str) -> nbformat.NotebookNode:
    released(course, number)
    (path,) = (course / "source" / number).glob("*.ipynb")
    return nbformat.read(path, as_version=4)


def named(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def graded(course: Path, number: str, student: str, notebook: nbformat.NotebookNode) -> list[float]:
    """The points that the checks give to a student's notebook, exercise by exercise."""
    (path,) = (course / "release" / number).glob("*.ipynb")
    folder = course / "submitted" / student / number
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / path.name)
    result = assignments.grader(course).autograde(number, student)
    assert result["success"], result["log"]
    scores = grades(course, number, student)
    return [scores[f"exercise-{k}"][0] for k in (1, 2, 3)]


def grades(course: Path, number: str, student: str) -> dict[str, tuple[float, bool]]:
    """The points of each graded cell, and whether it waits for a person."""
    with assignments.grader(course).gradebook as book:
        (submission,) = book.find_submission(number, student).notebooks
        return {grade.name: (grade.score, bool(grade.needs_manual_grade)) for grade in submission.grades}


SUBMISSIONS = {
    "half": (
        {
            "answer-1": 'prediction = {"half": 7, "row": 5, "skipped": 3, "euler": None}',
            "answer-2": "",
            "answer-3": "A_ringing = (",
        },
        [1, 0, 0],
    ),
    "crash": ({"answer-1": "1 / 0", "answer-2": "def trapezoid(delta, A, B):\n    return 1 / 0"}, [0, 0, 4]),
    "warns": ({"answer-3": "import warnings\nwarnings.warn('!')\nA_ringing = complex(-1, 0)"}, [2, 2, 0]),
}


@pytest.mark.slow
@pytest.mark.parametrize("student", SUBMISSIONS)
def test_points_of_a_submission(course, student):
    """Those of its code; what it says in words waits for a person."""
    notebook, stub = solved(course, "03"), named(released(course, "03"), "in-words").source
    cells, expected = SUBMISSIONS[student]
    for name, text in (cells | {"in-words": f"{stub}\nIt swings and stays bounded."}).items():
        named(notebook, name).source = text
    assert graded(course, "03", student, notebook) == expected
    assert grades(course, "03", student)["in-words"] == (0, True)


@pytest.mark.slow
def test_a_check_that_was_changed_or_deleted_comes_back(course):
    notebook = solved(course, "03")
    named(notebook, "answer-1").source = "prediction = {}"
    named(notebook, "exercise-1").source = "points = lambda *_: 2\npoints()"
    notebook.cells.remove(named(notebook, "exercise-2"))
    named(notebook, "exercise-3").source = "2 + 2"
    assert graded(course, "03", "forged", notebook) == [0, 2, 4]


@pytest.mark.slow
@by_number
def test_solutions_get_all_points_and_what_is_handed_out_gets_none(course, path):
    number = path.name[:2]
    worded = assignments.reason_of(number)["exercise"]
    expected = [2 if k == worded else worth for k, worth in zip((1, 2, 3), (2, 4, 4), strict=True)]
    assert graded(course, number, "solutions", solved(course, number)) == expected
    assert grades(course, number, "solutions")["in-words"] == (0, True)
    assert graded(course, number, "unanswered", released(course, number)) == [0, 0, 0]
    assert grades(course, number, "unanswered")["in-words"] == (0, False)  # nothing to be read


@pytest.mark.slow
def test_what_is_handed_out_has_the_question_and_no_way_to_a_solution(course):
    notebook = released(course, "03")
    text = "\n".join(cell.source for cell in notebook.cells)
    reason = assignments.reason_of("03")
    assert reason["question"] in text
    assert reason["full"] not in text
    assert "SOLUTION" not in text
    assert not re.search(r"\]\((?!\w+:)|\.ipynb", text)
    assert [path.suffix for path in (course / "release" / "03").iterdir()] == [".ipynb"]


@pytest.mark.parametrize(
    ("content", "found"),
    [("'04': {exercise: 1}", "found none"), ("'03': {exercise: 9}", "found that of exercise 9")],
)
def test_a_lesson_needs_a_question_in_words(tmp_path, monkeypatch, content, found):
    (tmp_path / "03.md").write_text(
        (assignments.PAGES / "03.md").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "reasons.yaml").write_text(content, encoding="utf-8")
    monkeypatch.setattr(assignments, "PAGES", tmp_path)
    with pytest.raises(ValueError, match=rf"reasons.yaml: expected a question .* exercises of 03, {found}"):
        assignments.reason_of("03")
