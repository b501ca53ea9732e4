"""The notebooks as files: run, compared nearly everywhere, readable, and showing nothing but what the kit ships.

That their outputs are still true is checked by running them: ``make test``.
"""

import os
import re
import runpy
import shutil
import subprocess
from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
EXEMPT = {"nbval-ignore-output", "nbval-skip", "nbval-raises-exception", "raises-exception"}
README = (ROOT / "README.md").read_text(encoding="utf-8")

LARGEST = 2_000_000  # bytes of a notebook
CODE_LINES, CLASS_LINES, TEXT_WORDS, OUTPUT_LINES = 25, 40, 120, 40

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def printed(cell: NotebookNode) -> str:
    """All text that a cell has put out, of whatever kind."""
    texts = []
    for output in cell.outputs:
        texts.append(output.get("text", ""))
        texts += [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(texts)


def headings(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@each
def test_the_file_is_valid_and_small(path):
    nbformat.validate(read(path))
    assert path.stat().st_size <= LARGEST


@each
def test_every_code_cell_was_run_in_order(path):
    """A cell without its count would never be compared."""
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@each
def test_no_cell_failed(path):
    failed = [
        cell.source for cell in code_cells(read(path)) for out in cell.outputs if out.output_type == "error"
    ]
    assert not failed


@each
def test_nearly_every_output_is_compared(path):
    cells = code_cells(read(path))
    exempt = [cell for cell in cells if tags(cell) & EXEMPT]
    assert len(exempt) < 0.15 * len(cells)
    assert all(cell.metadata.get("reason") for cell in exempt)
    assert not any("NBVAL" in cell.source for cell in cells), "exempt a cell by a tag: tags are counted"


@each
def test_nothing_of_the_session_is_stored(path):
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    assert all(set(cell.metadata) <= {"tags", "reason"} for cell in notebook.cells)


@each
def test_cells_are_short(path):
    notebook = read(path)
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if cell.cell_type == "code":
            limit = CLASS_LINES if re.search(r"^class ", cell.source, flags=re.M) else CODE_LINES
            assert len(cell.source.splitlines()) <= limit, cell.source
            assert len(printed(cell).splitlines()) <= OUTPUT_LINES, cell.source
        elif following is not None and following.cell_type == "code":
            text = re.sub(r"^(\|.*|!\[.*)$", "", cell.source, flags=re.M)  # tables and images aside
            assert len(text.split()) <= TEXT_WORDS, cell.source


@each
def test_links_and_pictures_lead_somewhere(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in link:
            name, _, heading = link.partition("#")
            target = FOLDER / name
            assert target.exists(), f"{path.name} links to {link}, which is not there"
            assert not heading or heading in headings(target), f"{link}: there is no such heading"
    assert "<img" not in text, "write images as ![what is seen](file), so that their text is checked"
    assert all(len(alt) > 20 for alt in re.findall(r"!\[([^\]]*)\]", text)), "say what the image shows"


@each
def test_every_stored_picture_says_what_it_shows(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata.get("image/png", {}).get("alt"), cell.source


@each
def test_outputs_name_no_place_outside_the_repository(path):
    outside = re.compile(r"(?<![\w.:/])(/[\w.-]+/[\w./-]+|[A-Za-z]:\\\w+|~/\w+|\.\./\.\./\w+)")
    for cell in code_cells(read(path)):
        found = outside.search(printed(cell))
        assert not found, f"{found[0]} in the output of:\n{cell.source}"


@each
def test_three_exercises_have_their_solution_and_its_check(path):
    cells = code_cells(read(path))
    places = [k for k, cell in enumerate(cells) if "solution" in tags(cell)]
    assert len(places) >= 3
    checks = [cells[place + 1] for place in places if "exercises." in cells[place + 1].source]
    assert len(checks) == 3
    assert all(
        f"from mambadfuse.course import {path.stem[3:]} as exercises" in cell.source for cell in checks
    )
    assert all("passed" in printed(cell) for cell in checks)


@each
def test_the_readme_of_the_course_says_what_the_notebook_says(path):
    row = runpy.run_path(str(FOLDER / "build.py"))["at_a_glance"](path)
    table = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    assert row in table, "make notebooks writes the table anew"


def test_the_length_of_a_notebook_is_what_a_student_reads():
    solution = new_code_cell("c = 3\n" * 50, metadata={"tags": ["solution"]})
    cells = [new_markdown_cell("word " * 1630), new_code_cell("a = 1\n\n" * 22), solution]
    assert runpy.run_path(str(FOLDER / "build.py"))["length"](cells) == "1,600 words, 20 lines"


@each
def test_the_copy_for_students_keeps_all_but_the_solutions(path):
    student = runpy.run_path(str(FOLDER / "build.py"))["student"]
    whole, copy = read(path), student(read(path), path.name)
    nbformat.validate(copy)
    assert not any("solution" in tags(cell) for cell in copy.cells)
    assert [cell.id for cell in copy.cells] == [c.id for c in whole.cells if "solution" not in tags(c)]
    assert not any(cell.outputs or cell.execution_count for cell in code_cells(copy))
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert "://" in link or (FOLDER / "student" / link).resolve().exists(), link


@each
def test_the_solutions_are_one_click_away_from_the_exercises(path):
    copy = runpy.run_path(str(FOLDER / "build.py"))["student"](read(path), path.name)
    (exercises,) = [
        cell.source for cell in copy.cells if re.search("^## Exercises$", cell.source, flags=re.M)
    ]
    assert f"[solutions](../{path.name}#Exercises)" in exercises


@each
def test_the_address_of_the_repository_is_that_of_its_citation(path):
    build = runpy.run_path(str(FOLDER / "build.py"))
    (written,) = re.findall(r'^ADDRESS = "(.*?)"', code_cells(read(path))[0].source, flags=re.M)
    assert written == build["address"](), "python notebooks/build.py --address"


def test_the_address_is_written_into_notebooks_and_copies(tmp_path):
    build = runpy.run_path(str(FOLDER / "build.py"))
    citation = tmp_path / "CITATION.cff"
    build["address"].__globals__["CITATION"] = citation
    citation.write_text("cff-version: 1.2.0\n", encoding="utf-8")
    whole = read(PATHS[0])
    assert 'ADDRESS = ""  #' in code_cells(build["with_address"](whole))[0].source
    citation.write_text("repository-code:\n", encoding="utf-8")
    assert build["address"]() == ""
    citation.write_text('repository-code: "https://github.com/someone/kit"\n', encoding="utf-8")
    for notebook in (build["with_address"](whole), build["student"](whole, PATHS[0].name)):
        assert 'ADDRESS = "https://github.com/someone/kit"  #' in code_cells(notebook)[0].source
    again = build["with_address"](build["with_address"](whole))
    assert again == build["with_address"](whole)


def test_copies_that_hold_answers_are_kept(tmp_path):
    hand_out = runpy.run_path(str(FOLDER / "build.py"))["hand_out"]
    assert "2 written, 0 kept" in hand_out(PATHS[:2], tmp_path)
    (tmp_path / PATHS[0].name).write_text("answers", encoding="utf-8")
    assert "1 written, 2 kept" in hand_out(PATHS[:3], tmp_path)
    assert (tmp_path / PATHS[0].name).read_text(encoding="utf-8") == "answers"
    assert not any(
        "solution" in tags(cell) for path in PATHS[1:3] for cell in read(tmp_path / path.name).cells
    )


def would_run(*arguments: str) -> str:
    """The last command that make would run."""
    if os.name == "nt" or not shutil.which("make"):
        pytest.skip("Windows works without make")
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "opened"),
    [([], "00_start_here"), (["LESSON=06"], "06_channel_exchange"), (["LESSON=07 06"], "07_m3_deep_fusion")],
)
def test_the_course_opens_with_the_copies(arguments, opened):
    assert re.search(r"^lab: student ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    assert would_run("lab", *arguments).endswith(f"default_url=/lab/tree/notebooks/student/{opened}.ipynb")


@pytest.mark.parametrize(
    ("target", "script"),
    [
        ("notebooks", "notebooks/build.py"),
        ("student", "notebooks/build.py --student"),
        ("assignments", "notebooks/assignments.py"),
        ("slides", "docs/teaching/slides/build.py"),
    ],
)
def test_a_make_command_can_name_its_lessons(target, script):
    assert would_run(target).strip().endswith(f"python {script}")
    assert would_run(target, "LESSON=06 07").endswith(f"python {script} 06 07")


def test_lessons_are_named_by_their_numbers():
    lesson = runpy.run_path(str(FOLDER / "build.py"))["lesson"]
    assert [lesson(path.name[:2]) for path in PATHS] == PATHS
    for number in ("6", "99", "06_channel_exchange"):
        with pytest.raises(
            ArgumentTypeError, match=rf"expected numbers of notebooks, 00, .*; found '{number}'"
        ):
            lesson(number)


@each
def test_the_letters_are_a_click_away(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert "(README.md#letters)" in text
    assert "(../docs/glossary.md)" in text


@each
def test_questions_to_think_on_have_an_answer_to_unfold(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and "Think on:" in cell.source:
            _, question, answer = re.split(r"(Think on: .*)\n\n", cell.source)
            assert answer.startswith("<details><summary>One answer</summary>\n\n"), question
            assert "\n\n</details>" in answer, question


def test_every_cell_of_the_app_was_run_and_is_compared():
    cells = code_cells(read(FOLDER / "app" / "panels.ipynb"))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)
    assert not any(EXEMPT & set(tags(cell)) for cell in cells)


def test_a_stream_is_stored_as_one_piece():
    stdout, stderr = (partial(new_output, "stream", name=name) for name in ("stdout", "stderr"))
    first, second = [stdout(text="a"), stdout(text="b\n")], [stdout(text="d")]
    pieces = [*first, stderr(text="c"), new_output("display_data"), *second]
    notebook = new_notebook(cells=[new_code_cell(outputs=pieces)])
    (cell,) = runpy.run_path(str(FOLDER / "build.py"))["clean"](notebook).cells
    assert [output.get("text") for output in cell.outputs] == ["ab\n", "c", None, "d"]


@each
def test_no_cell_finds_its_files_by_the_folder_above(path):
    """The copies for students lie one folder deeper."""
    assert not [cell.source for cell in code_cells(read(path)) if "../" in cell.source]


def test_the_notebooks_are_numbered_without_a_gap():
    assert [path.name[:3] for path in PATHS] == [f"{k:02}_" for k in range(len(PATHS))]


def test_the_readme_says_which_notebooks_are_ready():
    rows = re.findall(r"^\| (\d\d) \| (.+?) \|.*\| (\w+) \|$", README, flags=re.M)
    ready = [number for number, _, status in rows if status == "ready"]
    assert ready == [path.name[:2] for path in PATHS]
