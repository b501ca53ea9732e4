"""Runs the notebooks and stores their outputs (make notebooks), or writes copies without solutions (make student).

With --quiz it runs nothing, and writes the questions of mambadfuse/course/quizzes/ into the notebooks; with --address
the address of the repository, which stands in CITATION.cff.
"""

import argparse
import os
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from mambadfuse.course.quiz import Quiz, as_cells, shipped_quizzes
from mambadfuse.files import atomic_write
from mambadfuse.training.yaml_text import read_yaml

HERE = Path(__file__).parent
STUDENT = HERE / "student"
README = HERE / "README.md"
CITATION = HERE.parent / "CITATION.cff"
APP = HERE / "app" / "panels.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"  # refers to a widget that exists in one session only
SECONDS_PER_CELL = 300


def execute(path: Path) -> NotebookNode:
    """The notebook with the outputs of a fresh run from top to bottom; raises the error of a failing cell."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": HERE}},
    )
    return client.execute()


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its outputs, but without what differs from run to run or from machine to machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "reason") if key in cell.metadata}
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                del output.data[WIDGET]
    return notebook


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with consecutive pieces of one stream joined: where a stream is split depends on timing."""
    whole: list[NotebookNode] = []
    for output in outputs:
        last = whole[-1] if whole else None
        if output.output_type == "stream" and last and last.get("name") == output.name:
            last.text += output.text
        else:
            whole.append(output)
    return whole


def address() -> str:
    """Where the repository can be had from, as CITATION.cff says; "" where it does not."""
    return read_yaml(CITATION).get("repository-code") or ""


def with_address(notebook: NotebookNode) -> NotebookNode:
    """A copy in which the cell that installs the kit on Colab knows the address of the repository."""
    copy, found = nbformat.from_dict(notebook), address()
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r'^ADDRESS = ".*?"', f'ADDRESS = "{found}"', cell.source, flags=re.M)
    return copy


def with_quiz(notebook: NotebookNode, quiz: Quiz) -> NotebookNode:
    """A copy with the questions of a quiz before the last cell, the summary, in place of those that it had."""
    copy = nbformat.from_dict(notebook)
    cells = [cell for cell in copy.cells if not cell.id.startswith("quiz-")]
    questions = [
        new_markdown_cell(text, id=f"quiz-{number}") for number, text in enumerate(as_cells(quiz), 1)
    ]
    copy.cells = [*cells[:-1], *questions, cells[-1]]
    return copy


def student(notebook: NotebookNode, name: str) -> NotebookNode:
    """A copy for exercises: without the cells tagged "solution" and without outputs, links adapted to its folder.

    Below the heading of the exercises, it links to the solutions: to the notebook itself, which is called ``name``.
    """
    solutions = f"Stuck? The [solutions](../{name}#Exercises) are in the whole notebook, one click away."
    copy = with_address(notebook)
    copy.cells = [cell for cell in copy.cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = re.sub(r"\]\((?!\w+:|#|\d\d_\w+\.ipynb)", "](../", cell.source)
            cell.source = re.sub(r"^## Exercises$", rf"\g<0>\n\n{solutions}", cell.source, flags=re.M)
    return copy


def write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    with atomic_write(path) as file:
        file.write((nbformat.writes(notebook, indent=1) + "\n").encode())


def notebooks() -> list[Path]:
    return sorted(HERE.glob("[0-9][0-9]_*.ipynb"))


def lesson(number: str) -> Path:
    """The notebook with this number, an argument of a command.

    Raises:
        ArgumentTypeError: there is none.
    """
    numbers = {path.name[:2]: path for path in notebooks()}
    if number not in numbers:
        raise argparse.ArgumentTypeError(
            f"expected numbers of notebooks, {', '.join(numbers)}; found {number!r}"
        )
    return numbers[number]


def at_a_glance(path: Path) -> str:
    """The notebook's row in README.md: title, promise, prerequisites and time from its first cell, and its length."""
    cells = nbformat.read(path, as_version=4).cells
    first = cells[0].source
    title, promise = re.search(r"^# (.+)\n\n\*\*(.+)\*\*$", first, flags=re.M).groups()
    time, needs, *_ = first.splitlines()[-1].strip("| ").split(" | ")
    return f"| [{title}]({path.name}) | {promise} | {needs} | {time} | {length(cells)} |"


def length(cells: list[NotebookNode]) -> str:
    """The words of the text, to the nearest hundred, and the lines of code of a notebook without its solutions."""
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    code = [
        cell for cell in cells if cell.cell_type == "code" and "solution" not in cell.metadata.get("tags", [])
    ]
    lines = sum(1 for cell in code for line in cell.source.splitlines() if line.strip())
    return f"{round(words, -2):,} words, {round(lines, -1)} lines"


def write_readme() -> None:
    """Rewrites the table in README.md from the notebooks."""
    rows = "".join(f"{at_a_glance(path)}\n" for path in notebooks())
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"(\| notebook .*\n\|-.*\n)(?:\|.*\n)*", lambda table: table[1] + rows, text)
    with atomic_write(README) as file:
        file.write(text.encode())


def renew_quiz(path: Path) -> str:
    write(with_quiz(nbformat.read(path, as_version=4), shipped_quizzes()[path.stem]), path)
    return f"{path.name}: its quiz is that of the data"


def renew_address(path: Path) -> str:
    write(with_address(nbformat.read(path, as_version=4)), path)
    return f"{path.name}: its address is {address() or 'left empty'}"


def rebuild(path: Path) -> str:
    write(with_address(clean(execute(path))), path)
    return f"{path.name}: run from top to bottom"


def hand_out(paths: list[Path], folder: Path) -> str:
    """Writes the copies that are missing from a folder; one that is there may hold a student's answers."""
    folder.mkdir(exist_ok=True)
    missing = [path for path in paths if not (folder / path.name).exists()]
    for path in missing:
        write(student(nbformat.read(path, as_version=4), path.name), folder / path.name)
    kept = len(paths) - len(missing)
    return f"copies without solutions: {len(missing)} written, {kept} kept (delete a copy to get it anew)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "lessons", nargs="*", type=lesson, metavar="NN", help="numbers of notebooks, such as 03; default: all"
    )
    parser.add_argument("--student", action="store_true", help="write notebooks/student/ and run nothing")
    parser.add_argument(
        "--quiz", action="store_true", help="write the quizzes into the notebooks; run nothing"
    )
    parser.add_argument(
        "--address",
        action="store_true",
        help="write the address of CITATION.cff into the notebooks; run nothing",
    )
    options = parser.parse_args()
    chosen = options.lessons or notebooks()
    if options.student:
        print(hand_out(chosen, STUDENT))
        return
    if options.address:
        for path in chosen:
            print(renew_address(path))
        return
    if options.quiz:
        for path in chosen:
            print(renew_quiz(path))
        write_readme()
        return
    os.environ["MAMBADFUSE_PROFILE"] = "ci"  # the profile of the outputs that the tests compare with
    for path in chosen:
        print(rebuild(path))
    write_readme()
    if not options.lessons:
        print(rebuild(APP))


if __name__ == "__main__":
    main()
