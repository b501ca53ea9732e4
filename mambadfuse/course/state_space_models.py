"""The exercises of notebook 03: memory on paper, the trapezoid rule, a state that rings."""

import math
from collections.abc import Callable
from typing import Any

import torch

from mambadfuse.course.answers import array, function, number, pair, tensor
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly, one_of, roughly

STEP, PERIOD, HALF_LIFE = 0.1, 25, 50  # the step, and in tokens what the ringing kernel has to have

MEMORY = (
    Question(
        "half",
        "d29df0147140",
        "after k tokens the share e^(-0.1 k) is left; k is a whole number",
        exactly,
        {
            6: "after 6 tokens e^(-0.6) = 0.55 is left",
            6.93: "tokens are whole: which is the first one after that?",
            10: "after 10 tokens 1 / e is left, less than was asked for",
            5: "the decay is not a straight line: e^(-0.5) is not 0.5",
        },
    ),
    Question(
        "row",
        "d70071468436",
        "the memory is 1 / Δ tokens long, for A = -1",
        roughly,
        {500: "that is the memory; which Δ has it?", 0.02: "that is a memory of 50 tokens"},
    ),
    Question(
        "skipped",
        "deee8ae9d294",
        "no time passes: how much does the bucket lose, and how much runs into it?",
        roughly,
        {
            53: "the input is multiplied by B̄ = 1 - e^(-Δ) first: how much is that for Δ = 0?",
            50: "both are multiplied first, 3 by Ā and 50 by B̄: how much are these for Δ = 0?",
            0: "no time passes: the old state is multiplied by Ā = e^(-Δ): how much is that for Δ = 0?",
        },
    ),
    Question(
        "euler",
        "28701351621b",
        "the state is multiplied by 1 + Δ A each time; how large is that without its sign?",
        one_of("grow", "shrink"),
    ),
)


@exercise
def memory(answer: object) -> None:
    """Exercise 1: four questions about a state with A = -1 under the exact rule and Euler's.

    >>> from mambadfuse.course.state_space_models import memory
    >>> memory({"half": None, "row": 1, "skipped": 1, "euler": "grow"})
    'not yet: still without an answer: half'
    """
    ask(MEMORY, answer)


@exercise
def trapezoid_rule(trapezoid: Callable[..., Any]) -> None:
    """Exercise 2: A_bar and B_bar of (h_t - h_{t-1}) / Δ = (A h_t + A h_{t-1}) / 2 + B u_t, from Δ, A and B.

    >>> import torch
    >>> from mambadfuse.course.state_space_models import trapezoid_rule
    >>> trapezoid_rule(lambda delta, A, B: (torch.exp(delta * A), delta * B))
    'not yet: this A_bar is the exact one; the trapezoid rule is an approximation'
    """
    function(trapezoid)
    delta, A, B = (torch.tensor(x, dtype=torch.float64) for x in ([0.1, 0.05], -2.0, 3.0))
    parts = pair(trapezoid(delta, A, B), "A_bar and B_bar")
    A_bar, B_bar = (tensor(part, (2,)).to(torch.float64) for part in parts)
    half = delta * A / 2
    right = (1 + half) / (1 - half), delta * B / (1 - half)
    if torch.allclose(A_bar, right[0]) and torch.allclose(B_bar, right[1]):
        return
    if torch.allclose(A_bar, right[1]) and torch.allclose(B_bar, right[0]):
        raise NotYet("you return B_bar before A_bar")
    if torch.allclose(A_bar, torch.exp(delta * A)):
        raise NotYet("this A_bar is the exact one; the trapezoid rule is an approximation")
    if torch.allclose(A_bar, 1 + delta * A):
        raise NotYet("this A_bar is Euler's, which takes the slope at the start of the step alone")
    if torch.allclose(A_bar, 1 / (1 - delta * A)):
        raise NotYet(
            "this A_bar takes the slope at the end of the step alone; the rule takes the mean of both"
        )
    if torch.allclose(A_bar, (1 - half) / (1 + half)):
        raise NotYet("a sign is lost where h_t moves to the left side: this A_bar grows, for A = -2")
    if not torch.allclose(A_bar, right[0]):
        raise NotYet(
            "put into the equation, your h_t does not solve it: collect all h_t on the left, then divide"
        )
    if torch.allclose(B_bar, delta * B):
        raise NotYet("A_bar is right; B u_t, too, is divided by what stands before h_t")
    if torch.allclose(B_bar, B / (1 - half)):
        raise NotYet("A_bar is right; in B_bar the step is missing")
    raise NotYet("A_bar is right, B_bar is not: set h_{t-1} = 0 and solve once more")


@exercise
def ringing(A: object) -> None:
    """Exercise 3: a complex A whose kernel, at Δ = 0.1, swings once in 25 tokens and has half its strength after 50.

    >>> from mambadfuse.course.state_space_models import ringing
    >>> ringing(0.1 + 2.5j)
    'not yet: it grows: the real part has to be negative'
    """
    value = _complex(A)
    if value.real > 0:
        raise NotYet("it grows: the real part has to be negative")
    strength = math.exp(STEP * value.real * HALF_LIFE)
    turns = abs(value.imag) * STEP * PERIOD / (2 * math.pi)
    if not abs(strength - 0.5) <= 0.01:
        raise NotYet(f"after 50 tokens {strength:.2f} of the strength is left; the real part decides that")
    if value.imag == 0:
        raise NotYet("half of the strength is left after 50 tokens, but a real number does not swing")
    if not abs(turns - 1) <= 0.01:
        raise NotYet(f"in 25 tokens it swings {turns:.2f} times; the imaginary part decides that")


def _complex(answer: object) -> complex:
    if isinstance(answer, str):
        try:
            answer = complex(answer.replace(" ", "").replace("\N{MINUS SIGN}", "-").replace("i", "j"))
        except ValueError:
            raise NotYet(
                f"expected one complex number, as complex(real, imaginary), found {answer!r}"
            ) from None
    if isinstance(answer, tuple | list) and len(answer) == 2:
        return complex(number(answer[0]), number(answer[1]))
    value = array(answer)
    if value.size != 1 or value.dtype.kind not in "iufc":
        raise NotYet(f"expected one complex number, as complex(real, imaginary), found {answer!r}")
    return complex(value.item())
