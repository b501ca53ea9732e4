"""Strengths from answers: closed forms, known judges, what cannot be ranked; and the file of answers."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from mambadfuse.evaluation.answers import append_answer, read_answers
from mambadfuse.evaluation.preference import (
    Answer,
    bradley_terry,
    next_comparison,
    preferences,
    preferred,
    standard_errors,
    wins_matrix,
)


def answers_of(pairs: list[tuple[str, str]], choices: str) -> list[Answer]:
    """One answer for each pair of methods and letter: l, r or t."""
    words = {"l": "left", "r": "right", "t": "tie"}
    return [Answer("x", *two, words[letter]) for two, letter in zip(pairs, choices, strict=True)]


def simulated(theta: dict[str, float], rounds: int, seed: int) -> list[Answer]:
    """Judges who choose by these strengths, every two methods ``rounds`` times."""
    generator = np.random.default_rng(seed)
    return [
        Answer("x", i, j, "left" if generator.random() < preferred(theta[i] - theta[j]) else "right")
        for i, j in combinations(theta, 2)
        for _ in range(rounds)
    ]


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (5, 5), (40, 7)])
def test_two_methods_have_a_closed_form(wins, losses):
    found = preferences(answers_of([("p", "q")] * (wins + losses), "l" * wins + "r" * losses))
    p, q = sorted(found.standings, key=lambda s: s.method)
    assert p.strength - q.strength == pytest.approx(math.log(wins / losses))
    error = math.sqrt(1 / wins + 1 / losses) / 2
    assert p.high - p.low == pytest.approx(2 * 1.959964 * error)
    assert (p.wins, p.ties, p.losses) == (wins, 0, losses) == (q.losses, q.ties, q.wins)
    assert not found.regularised
    assert not found.notes


def test_the_likelihood_is_greatest_at_the_strengths_found():
    wins = np.random.default_rng(0).integers(1, 20, (5, 5)) * (1 - np.eye(5))

    def loss(theta):
        return (wins * np.log1p(np.exp(theta - theta[:, None]))).sum()

    best = minimize(loss, np.zeros(5), tol=1e-12).x
    np.testing.assert_allclose(bradley_terry(wins), best - best.mean(), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_strengths_of_simulated_judges_are_recovered(seed):
    theta = {"ours": 1.0, "theirs": 0.3, "mean": -0.2, "maximum": -1.1}
    found = preferences(simulated(theta, 400, seed))
    assert [s.method for s in found.standings] == list(theta)
    for standing in found.standings:
        assert abs(standing.strength - theta[standing.method]) < 2 * (standing.high - standing.strength)
        assert standing.high - standing.low < 0.5


def test_the_intervals_hold_the_truth_as_often_as_they_promise():
    theta = {"p": 0.8, "q": 0.0, "r": -0.8}
    inside = [
        standing.low <= theta[standing.method] <= standing.high
        for seed in range(100)
        for standing in preferences(simulated(theta, 40, seed)).standings
    ]
    assert 0.91 <= np.mean(inside) <= 0.99


def test_left_and_right_do_not_matter():
    one = answers_of([("p", "q"), ("q", "r"), ("r", "p"), ("p", "r")], "llrt")
    mirror = {"left": "right", "right": "left", "tie": "tie"}
    other = [Answer(x.picture, x.right, x.left, mirror[x.choice]) for x in one]
    assert preferences(one) == preferences(other)


def test_ties_are_half_a_win_for_each():
    ties = preferences(answers_of([("p", "q")] * 4, "tttt"))
    assert [s.strength for s in ties.standings] == [0, 0]
    assert [s.rank for s in ties.standings] == [1, 1]
    wins = wins_matrix(answers_of([("p", "q")] * 3, "ltr"), ["p", "q"])
    assert wins.tolist() == [[0, 1.5], [1.5, 0]]


def test_a_method_that_never_wins_gets_a_finite_strength_and_a_note():
    found = preferences(answers_of([("p", "q")] * 6, "llllll"))
    assert found.regularised
    p, q = found.standings
    assert p.strength - q.strength == pytest.approx(math.log(6.5 / 0.5))
    assert q.rank == 2
    assert "never won or never lost" in found.notes[0]
    with pytest.raises(ValueError, match="no maximum"):
        bradley_terry([[0, 6], [0, 0]])


def test_groups_that_were_never_compared_are_named():
    found = preferences(answers_of([("p", "q")] * 2 + [("r", "s")] * 2, "lrlr"))
    assert found.groups == (("p", "q"), ("r", "s"))
    assert found.notes[0] == "Never compared, so not ranked against each other: p, q; r, s."
    assert "or were never compared with them. One tie is added" in found.notes[1]
    assert all(math.isfinite(s.high) for s in found.standings)


def test_no_answers_are_an_error():
    with pytest.raises(ValueError, match="no answers"):
        preferences([])


def test_errors_shrink_with_the_square_root_of_the_answers():
    wins = np.array([[0.0, 4, 6], [2, 0, 3], [1, 5, 0]])
    theta = bradley_terry(wins)
    np.testing.assert_allclose(bradley_terry(9 * wins), theta, atol=1e-8)
    np.testing.assert_allclose(standard_errors(9 * wins, theta), standard_errors(wins, theta) / 3)


@pytest.mark.parametrize("methods", [2, 3, 16, 30, 32])
@pytest.mark.parametrize("times", [1, 3, 7])
def test_errors_of_equal_methods_have_a_closed_form(methods, times):
    wins = times / 2 * (1 - np.eye(methods))
    error = math.sqrt(4 / (times * methods) * (1 - 1 / methods))
    np.testing.assert_allclose(standard_errors(wins, np.zeros(methods)), error)


def test_every_comparison_is_asked_equally_often_and_sides_are_drawn():
    methods = {"street": ["p", "q", "r"], "yard": ["p", "q"]}
    generator, answers = np.random.default_rng(0), []
    for _ in range(40):
        answers.append(Answer(*next_comparison(methods, answers, generator), "tie"))
    asked = [(x.picture, *sorted((x.left, x.right))) for x in answers]
    assert {asked.count(one) for one in asked} == {10}
    assert len(set(asked)) == 4
    assert 8 < sum(x.left < x.right for x in answers) < 32
    with pytest.raises(ValueError, match="two methods"):
        next_comparison({"street": ["p"]}, [], generator)


@pytest.mark.parametrize(
    ("fields", "message"),
    [(("x", "p", "q", "both"), "choice must be one of"), (("x", "p", "p", "tie"), "with itself")],
)
def test_an_impossible_answer_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Answer(*fields)


def test_a_field_that_is_not_text_is_refused():
    with pytest.raises(TypeError, match=r"left must be text, found \['p'\]"):
        Answer("x", ["p"], "q", "left")


class TestFile:
    def test_answers_come_back_in_order(self, tmp_path):
        path, given = tmp_path / "new" / "answers.jsonl", answers_of([("p", "q"), ("é", "r")], "lt")
        assert read_answers(path) == []
        for answer in given:
            append_answer(path, answer)
        assert read_answers(path) == given
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2

    @pytest.mark.parametrize("change", [{"left": None}, {"left": ["p"]}, {"choice": "both"}, {"more": "x"}])
    def test_a_line_that_is_no_answer_is_named(self, tmp_path, change):
        path = tmp_path / "answers.jsonl"
        path.write_text(
            json.dumps({"picture": "x", "left": "p", "right": "q", "choice": "tie"} | change) + "\n"
        )
        with pytest.raises(ValueError, match=r"answers\.jsonl: line 1 is not an answer"):
            read_answers(path)
