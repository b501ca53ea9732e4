"""The teaching material: quizzes that load and explain every choice, pages that are complete and current."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest
import yaml

from mambadfuse.course.quiz import as_cells, as_page, read_quiz, shipped_quizzes

ROOT = Path(__file__).parents[1]
TEACHING = ROOT / "docs" / "teaching"
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
QUIZZES = shipped_quizzes()


def test_every_notebook_has_a_quiz_and_no_other():
    assert list(QUIZZES) == list(NOTEBOOKS)


@pytest.mark.parametrize("quiz", QUIZZES.values(), ids=QUIZZES)
def test_a_quiz_has_three_to_five_questions_each_choice_explained(quiz):
    assert 3 <= len(quiz.questions) <= 5
    for question in quiz.questions:
        assert sum(choice.right for choice in question.choices) == 1
        assert len({choice.text for choice in question.choices}) == len(question.choices) >= 3
        assert all(choice.explanation.endswith((".", ")")) for choice in question.choices)


@pytest.mark.parametrize("quiz", QUIZZES.values(), ids=QUIZZES)
def test_a_quiz_has_the_title_of_its_notebook(quiz):
    first = nbformat.read(NOTEBOOKS[quiz.notebook], as_version=4).cells[0].source
    assert first.splitlines()[0] == f"# {quiz.title}"


def test_the_right_choice_is_not_always_in_the_same_place():
    for quiz in QUIZZES.values():
        assert len({question.choices.index(question.answer) for question in quiz.questions}) > 1, (
            quiz.notebook
        )


def test_the_page_of_the_quizzes_is_current():
    command = 'python -c "from mambadfuse.course.quiz import *; print(as_page(shipped_quizzes().values()), end=str())"'
    page = (TEACHING / "quizzes.md").read_text(encoding="utf-8")
    assert page == as_page(QUIZZES.values()), f"write it anew: {command} > docs/teaching/quizzes.md"


@pytest.mark.parametrize("quiz", QUIZZES.values(), ids=QUIZZES)
def test_the_quiz_stands_in_its_notebook_before_the_summary(quiz):
    cells = nbformat.read(NOTEBOOKS[quiz.notebook], as_version=4).cells
    found = [cell.source for cell in cells[-1 - len(quiz.questions) : -1]]
    assert found == as_cells(quiz), f"python notebooks/build.py --quiz {quiz.notebook[:2]}"
    assert cells[-1].source.startswith("## Summary")
    assert all(len(text.split()) <= 120 for text in found)


def test_a_quiz_that_is_written_again_replaces_the_one_before():
    build = runpy.run_path(str(ROOT / "notebooks" / "build.py"))
    notebook = nbformat.read(NOTEBOOKS["00_start_here"], as_version=4)
    assert build["with_quiz"](notebook, QUIZZES["00_start_here"]) == notebook
    other = build["with_quiz"](notebook, QUIZZES["01_the_fusion_problem"])
    assert len(other.cells) == len(notebook.cells) + 1
    assert build["with_quiz"](other, QUIZZES["00_start_here"]) == notebook


NO = {"choice": "no", "explanation": "It is not."}
YES = {"choice": "yes", "explanation": "It is.", "right": True}
GOOD = {"notebook": "99_none", "title": "None", "questions": [{"question": "Is it?", "choices": [NO, YES]}]}


def written(folder: Path, content: object) -> Path:
    path = folder / "99_none.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_quiz_comes_back_as_it_was_written(tmp_path):
    quiz = read_quiz(written(tmp_path, GOOD))
    assert (quiz.notebook, quiz.title, quiz.questions[0].text) == ("99_none", "None", "Is it?")
    assert quiz.questions[0].answer.text == "yes"
    assert [choice.right for choice in quiz.questions[0].choices] == [False, True]


def with_choices(*choices: object) -> dict:
    return GOOD | {"questions": [{"question": "Is it?", "choices": list(choices)}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "99_none.yaml: expected notebook, title, questions, found []"),
        (GOOD | {"level": 1}, "99_none.yaml: expected notebook, title, questions, found"),
        (GOOD | {"notebook": "98_other"}, "99_none.yaml: expected the notebook '99_none', found '98_other'"),
        (GOOD | {"questions": []}, "99_none.yaml: expected questions as a list, found []"),
        (GOOD | {"questions": ["Is it?"]}, "question 1: expected question, choices, found 'Is it?'"),
        (with_choices(YES), "question 1: expected two to eight choices, found 1"),
        (
            with_choices(NO, {**NO, "choice": "never"}),
            "question 1: expected exactly one choice with 'right: true', found 0",
        ),
        (
            with_choices(YES, {**YES, "choice": "always"}),
            "question 1: expected exactly one choice with 'right: true', found 2",
        ),
        (
            with_choices({"choice": "no"}, YES),
            "question 1, choice 1: expected choice, explanation, right",
        ),
        (
            with_choices(YES, {"choice": 5, "explanation": "No."}),
            "question 1, choice 2: expected choice as text (numbers in quotes), found 5",
        ),
        (
            with_choices(YES, {"choice": "no", "explanation": ""}),
            "question 1, choice 2: expected explanation as text (numbers in quotes), found ''",
        ),
        (
            with_choices(NO, {"choice": "yes", "explanation": "It is.", "right": "yes"}),
            "question 1, choice 2: expected right as true or false, found 'yes'",
        ),
    ],
)
def test_a_malformed_quiz_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_quiz(written(tmp_path, content))


PAGES = sorted(TEACHING.glob("*.md"))
SECTIONS = [
    "Timing",
    "On the board",
    "Questions for the room",
    "Misconceptions",
    "Demo with a panel",
    "What to cut",
    "Rubric",
]


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_every_notebook_has_an_instructors_page_with_all_its_parts(stem):
    page = (TEACHING / f"{stem[:2]}.md").read_text(encoding="utf-8")
    assert f"../../notebooks/{stem}.ipynb" in page
    assert "**Goal.**" in page
    assert re.findall(r"^## (.*)$", page, flags=re.M) == SECTIONS
    questions = page.partition("## Questions for the room")[2].partition("## ")[0]
    assert len(re.findall(r"^\d\. \*", questions, flags=re.M)) == 3
    rubric = page.partition("## Rubric")[2]
    assert [int(points) for points in re.findall(r"^\| \d · .*? \| (\d) \|", rubric, flags=re.M)] == [2, 4, 4]


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_the_minutes_of_the_plans_are_those_of_the_notebook(stem):
    table = nbformat.read(NOTEBOOKS[stem], as_version=4).cells[0].source
    stated = re.search(r"^\| (\d+) minutes", table, flags=re.M)[1]
    row = re.search(
        rf"^\| \[.*?\]\({stem[:2]}\.md\) \| (\d+)",
        (TEACHING / "syllabi.md").read_text(encoding="utf-8"),
        flags=re.M,
    )
    assert row[1] == stated
    assert f"{stated} minutes alone" in (TEACHING / f"{stem[:2]}.md").read_text(encoding="utf-8")


def test_the_minutes_of_the_plans_add_up():
    text = (TEACHING / "syllabi.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*?\]\((\d\d)\.md\) \| (\d+)(?: \+ (\d+))? \|", text, flags=re.M)
    minutes = {number: int(stated) for number, stated, _ in rows}
    together, more = re.search(r"(\d+) minutes, .*? and (\d+) more", text, flags=re.S).groups()
    assert int(together) == sum(minutes.values())
    assert int(more) == sum(int(extra or 0) for *_, extra in rows)
    days = re.findall(r"^\| \w+day \| ([\d, ]+) \| (\d+) \|", text, flags=re.M)
    assert len(days) == 5
    for numbers, stated in days:
        assert int(stated) == sum(minutes[number] for number in numbers.split(", "))


def test_the_hours_with_a_room_are_half_as_much_again():
    text = (TEACHING / "syllabi.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*?\]\(\d\d\.md\) \| (\d+).*? \| ([\d.]+) \|", text, flags=re.M)
    assert len(rows) == len(NOTEBOOKS)
    assert all(
        abs(1.5 * int(minutes) / 60 - float(hours)) <= 0.13 for minutes, hours in rows
    )  # quarters of an hour
    together = {
        24: "twenty-four",
        25: "twenty-five",
        26: "twenty-six",
        27: "twenty-seven",
        28: "twenty-eight",
    }
    assert f"some {together[round(sum(1.5 * int(minutes) / 60 for minutes, _ in rows))]} hours" in text


def test_the_semester_has_a_place_for_every_notebook():
    text = (TEACHING / "syllabi.md").read_text(encoding="utf-8")
    plan = text.partition("## A semester")[2].partition("\n## ")[0]
    weeks = re.findall(r"^\| (\d+) \| ([\d, ]+) \|", plan, flags=re.M)
    assert [int(week) for week, _ in weeks] == list(range(1, 16))
    in_weeks = [number for _, numbers in weeks for number in numbers.split(", ")]
    assert in_weeks == sorted(in_weeks)
    left = {stem[:2] for stem in NOTEBOOKS} - {*in_weeks}
    assert left == set(re.findall(r"Notebook (\d\d) has no week", plan))


def test_every_notebook_has_an_outcome_and_each_outcome_is_shown_by_something():
    table = (TEACHING / "syllabi.md").read_text(encoding="utf-8").partition("## Learning outcomes")[2]
    rows = re.findall(r"^\| (?!a student|---)(.+?) \| ([\d, ]+) \| (.+?) \|$", table, flags=re.M)
    stems = {stem[:2]: stem for stem in NOTEBOOKS}
    assert {number for _, numbers, _ in rows for number in numbers.split(", ")} == set(stems)
    for outcome, numbers, shown in rows:
        exercises = re.findall(r"(\d\d) exercises? ([1-3])", shown)
        found = [holding(name, sections(stems[n])) for n in numbers.split(", ") for name in named_in(shown)]
        assert exercises or any(found), outcome
        assert {number for number, _ in exercises} <= {*numbers.split(", ")}, outcome


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_of_the_teaching_pages_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    files = [target for target in targets if "://" not in target]
    missing = [target for target in files if not (path.parent / target).exists()]
    assert not missing


def plain(text: str) -> str:
    """Words alone, in small letters."""
    return re.sub(r"\W+", " ", text).strip().lower()


def sections(stem: str) -> dict[str, str]:
    """The headings of a notebook, and the bold words that begin a part of a text, each with the section it is in."""
    cells = nbformat.read(NOTEBOOKS[stem], as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found, section = {}, ""
    for level, heading, lead in re.findall(r"^(#+) (.*)$|\*\*(\w[^*\n]*)\.\*\*", text, flags=re.M):
        section = plain(heading) if level == "##" else section
        found[plain(heading or lead)] = section
    return found


def named_in(text: str) -> list[str]:
    """What stands in italics."""
    return [plain(name) for name in re.findall(r"(?<!\*)\*([^*|]+)\*(?!\*)", text)]


def part_of(stem: str, heading: str) -> str:
    """A section of an instructor's page."""
    page = (TEACHING / f"{stem[:2]}.md").read_text(encoding="utf-8")
    return page.partition(f"## {heading}")[2].partition("\n## ")[0]


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_what_can_be_cut_is_in_the_plan_or_said_to_be_left_out(stem):
    known = sections(stem)
    in_plan = {section for name in named_in(part_of(stem, "Timing")) for section in holding(name, known)}
    cut = part_of(stem, "What to cut")
    left_out = named_in(re.sub(r"\([^)]*\)", "", cut).partition("The plan has left out")[2].partition(".")[0])
    for name in named_in(cut):
        where = holding(name, known)
        assert where, f"{name!r} is no section of notebook {stem}"
        assert name in left_out or where & in_plan, (
            f"{name!r} is not in the plan, and not said to be left out"
        )


def holding(name: str, known: dict[str, str]) -> set[str]:
    """The sections that a name, or the beginning of one, stands for or lies in."""
    return {section for heading, section in known.items() if heading.startswith(name)}


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_the_sections_in_the_table_of_timing_are_headings_of_the_notebook(stem):
    cells = nbformat.read(NOTEBOOKS[stem], as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = [re.sub(r"\W+", " ", line).lower() for line in re.findall(r"^#+ (.*)$", text, flags=re.M)]
    table = (
        (TEACHING / f"{stem[:2]}.md")
        .read_text(encoding="utf-8")
        .partition("## Timing")[2]
        .partition("\n## ")[0]
    )
    for named in re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", table):
        wanted = re.sub(r"\W+", " ", named).strip().lower()
        assert any(wanted in heading for heading in headings), f"{named!r} is no heading of notebook {stem}"
