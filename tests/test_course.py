"""What the checks of the exercises share: the verdict, answers in any type, and answers that nobody can read."""

from importlib import import_module
from inspect import isfunction, signature
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from notebook_code import definitions

from mambadfuse.course import answers, paper
from mambadfuse.course.exercise import NotYet, exercise

ROOT = Path(__file__).parents[1]


@exercise
def doubled(function):
    if function(2) != 4:
        raise NotYet("twice as much")
    return "well done"


def test_a_verdict_is_passed_with_a_remark_or_a_hint():
    assert doubled(lambda x: 2 * x) == "passed: well done"
    assert doubled(lambda x: x) == "not yet: twice as much"


def test_an_error_in_an_answer_is_a_hint_with_its_line():
    cell = "def mine(x):\n    y = x - 2\n    return x / y\n"
    names = {}
    exec(compile(cell, "<a cell>", "exec"), names)
    assert doubled(names["mine"]) == "not yet: ZeroDivisionError in line 3 of your cell: division by zero"


def test_an_error_outside_the_answer_has_no_line():
    assert doubled("text") == "not yet: TypeError: 'str' object is not callable"


def test_only_the_first_line_of_an_error_is_told():
    def mine(x):
        raise ValueError("first\nsecond")

    assert doubled(mine).endswith("first")


def test_an_interrupt_stays_an_interrupt():
    def mine(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doubled(mine)


three = [
    3,
    3.0,
    "3",
    " 3 ",
    "6/2",
    np.int64(3),
    np.float32(3),
    np.array([3]),
    torch.tensor(3),
    torch.tensor([3.0]),
]


@pytest.mark.parametrize("answer", three, ids=repr)
def test_a_number_in_any_type(answer):
    assert answers.number(answer) == 3


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("0,56", 0.56),
        ("-1,5", -1.5),
        ("1,000", 1000),
        ("227,745", 227745),
        ("1,234,567.5", 1234567.5),
        ("0,560", 0.56),
    ],
)
def test_a_comma_is_one_of_thousands_or_of_decimals(answer, meant):
    assert answers.number(answer) == meant


def test_a_number_copied_from_the_text_has_a_longer_minus():
    assert answers.number("\N{MINUS SIGN}60") == -60


@pytest.mark.parametrize("answer", [None, "three", True, "1/0", [3], np.zeros(2), 3j], ids=repr)
def test_what_is_no_number(answer):
    with pytest.raises(NotYet, match="expected"):
        answers.number(answer)


@pytest.mark.parametrize(
    "answer", [True, 1, 1.0, "True", "yes", "TRUE", np.True_, torch.tensor(True)], ids=repr
)
def test_true_in_any_type(answer):
    assert answers.truth(answer) is True


@pytest.mark.parametrize("answer", [False, 0, "false", "No", np.False_, torch.tensor(0)], ids=repr)
def test_false_in_any_type(answer):
    assert answers.truth(answer) is False


@pytest.mark.parametrize("answer", ["maybe", 2, [], None, np.zeros(2)], ids=repr)
def test_what_is_no_truth_value(answer):
    with pytest.raises(NotYet, match="expected True or False"):
        answers.truth(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"first one": 1, "second": 2},
        {"second": 2, "First-One": 1},
        [1, 2],
        (1, 2),
        np.array([1, 2]),
        torch.tensor([1, 2]),
    ],
    ids=repr,
)
def test_entries_in_any_order_and_type(answer):
    assert answers.entries(answer, ["first one", "second"]) == {"first one": 1, "second": 2}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"second": 2}, "still without an answer: first"),
        ({"first": 1, "second": None}, "still without an answer: second"),
        ({"first": 1, "second": ...}, "still without an answer: second"),
        ({"first": 1, "third": 2}, "nothing is called 'third'"),
        ([1], "expected 2 answers"),
        ({1, 2}, "expected 2 answers"),  # a set has no order
        ("12", "expected an answer for each"),
        (7, "expected an answer for each"),
    ],
)
def test_entries_that_do_not_fit(answer, hint):
    with pytest.raises(NotYet, match=hint):
        answers.entries(answer, ["first", "second"])


def test_names_that_contain_commas_stay_apart():
    with pytest.raises(NotYet, match="answer: seen in a, warm; seen in both"):
        answers.entries([None, None], ["seen in a, warm", "seen in both"])


def test_a_long_answer_is_cut_in_the_hint():
    with pytest.raises(NotYet, match="found ") as found:
        answers.function(["far too long"] * 1000)
    assert len(str(found.value)) < 400


@pytest.mark.parametrize("answer", ["grow", "Grows", "it GROWS!", "growing"])
def test_a_word_in_any_case_and_with_an_ending(answer):
    assert answers.choice("grow", "shrink")(answer) == "grow"


@pytest.mark.parametrize("answer", ["", "neither", "grow or shrink", None])
def test_a_word_that_is_not_one_of_them(answer):
    with pytest.raises(NotYet, match="expected one of grow, shrink"):
        answers.choice("grow", "shrink")(answer)


@pytest.mark.parametrize(
    "answer", ["B and C", "c,b", ["C", "B"], ("b", "c"), {"B", "C"}, np.array(["B", "C"])]
)
def test_names_in_any_order_and_type(answer):
    assert answers.names(answer, ("delta", "B", "C")) == ["B", "C"]


@pytest.mark.parametrize(
    "answer", [[1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])], ids=repr
)
def test_a_tensor_of_whatever_holds_numbers(answer):
    assert answers.tensor(answer, (2,)).tolist() == [1, 2]


def test_a_tensor_keeps_its_gradient():
    assert answers.tensor(torch.ones(2, requires_grad=True), (2,)).requires_grad


def question(form, right, **mistakes):
    return paper.Question("q", paper.digest("q", right), "the hint", form, mistakes)


def test_an_exact_number_has_no_tolerance():
    asked = question(paper.exactly, "2280")
    assert asked.hint_for(2280.0) is None
    assert asked.hint_for(2279) == "the hint"


@pytest.mark.parametrize("answer", [0.002, 1 / 500, "1/500", 0.002004])
def test_a_rough_number_may_be_rounded(answer):
    assert question(paper.roughly, "2.00e-03").hint_for(answer) is None


@pytest.mark.parametrize("answer", [0.0021, 0.0019, 0.02, -0.002])
def test_a_rough_number_may_not_be_another_one(answer):
    assert question(paper.roughly, "2.00e-03").hint_for(answer) == "the hint"


def test_a_known_mistake_has_its_own_hint():
    asked = paper.Question("q", paper.digest("q", "20"), "the hint", paper.exactly, {10: "and back?"})
    assert asked.hint_for(np.int64(10)) == "and back?"
    assert asked.hint_for("twenty") == "expected a number, found 'twenty'"


def test_the_first_wrong_answer_is_named_and_the_right_ones_are_counted():
    asked = [paper.Question(name, paper.digest(name, "True"), f"hint {name}") for name in "xyz"]
    paper.ask(asked, [True, 1, "yes"])
    with pytest.raises(NotYet, match="1 of 3 are right; x: hint x"):
        paper.ask(asked, {"y": True, "z": False, "x": False})


NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_has_its_file_of_exercises(path):
    assert (ROOT / "mambadfuse" / "course" / f"{path.stem[3:]}.py").exists()


@pytest.mark.parametrize("answer", [None, (), {}, "", ...], ids=repr)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_empty_answer_is_refused_at_once(path, answer):
    """Before a check touches what the notebook has computed, or trains anything."""
    module = import_module(f"mambadfuse.course.{path.stem[3:]}")
    checks = [
        f
        for name, f in vars(module).items()
        if isfunction(f) and hasattr(f, "__wrapped__") and name[0] != "_"
    ]
    assert len(checks) >= 3
    for check in checks:
        untouchable = [object()] * (len(signature(check).parameters) - 1)
        verdict = check(answer, *untouchable)
        assert verdict.startswith("not yet: "), check.__name__
        assert "Error" not in verdict, check.__name__


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_exercise_that_nobody_has_answered_is_not_yet_passed(path, capsys):
    """The first two of each notebook: the third asks for what the notebook has computed."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    solutions = [k for k, cell in enumerate(cells) if "solution" in cell.metadata.get("tags", [])]
    names = definitions(path.stem[:2])
    for k in solutions[:2]:
        exec(cells[k - 1].source, names)
        capsys.readouterr()
        exec(cells[k + 1].source, names)
        assert capsys.readouterr().out.startswith("not yet: "), cells[k - 1].source
