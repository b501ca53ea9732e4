"""The exercises of notebook 01: a third rule on paper, a choice by neighbourhoods, a sky that stays bright."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from mambadfuse.course.answers import array, function, grey_levels, returned
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly

SKY_ROWS, MOST_OFF, LEAST_CONTRAST = 60, 5.0, 25.0  # rows of sky, and two bounds in grey levels
MOST_GAINED = 1.1  # of the contrast that a has

THIRD_RULE = (
    Question(
        "person",
        "75f5bacc3417",
        "take the smaller grey level at the person and at the left neighbour, then subtract",
        exactly,
        {0: "that is the maximum; smoke is bright, so which camera does the minimum take there?"},
    ),
    Question(
        "letter",
        "ca36737cdb43",
        "the wall is darker for one of the cameras: whose grey levels does the minimum take there?",
        exactly,
        {100: "that is the maximum", 50: "that is the mean"},
    ),
    Question(
        "sign",
        "164b814f5f0c",
        "a contrast has a sign: is the sign darker or brighter than its left neighbour?",
        exactly,
        {
            60: "a contrast has a sign: minus for what is darker than its neighbour",
            100: "that is the maximum",
        },
    ),
    Question(
        "brighter",
        "49fa296877cb",
        "adding the same number everywhere changes no detail; what becomes of it in the coarsest level?",
        exactly,
        {
            0: "no detail changes, but the coarsest level holds the brightness",
            20: "the coarsest level is a mean of both",
        },
    ),
    Question("itself", "8a146cb6d0c2", "what does each line of the rule give if its two sources are equal?"),
)


@exercise
def third_rule(answer: object) -> None:
    """Exercise 1: three contrasts under the minimum, and what the pyramid makes of two special pairs.

    >>> from mambadfuse.course.the_fusion_problem import third_rule
    >>> third_rule({"person": 0, "letter": 0, "sign": 100, "brighter": 20, "itself": True})[:34]
    'not yet: 2 of 5 are right; person:'
    """
    ask(THIRD_RULE, answer)


@exercise
def stronger_neighbourhood(choose: Callable[..., Any]) -> None:
    """Exercise 2: the detail of the source whose magnitudes are larger on average around the pixel; a at a tie.

    >>> import numpy as np
    >>> from mambadfuse.course.the_fusion_problem import stronger_neighbourhood
    >>> stronger_neighbourhood(lambda L_a, L_b: np.maximum(L_a, L_b))
    'not yet: that is the larger value; a detail of -30 is stronger than one of +10'
    """
    function(choose)
    rng = np.random.default_rng(0)
    L_a, L_b = (ndimage.gaussian_filter(rng.normal(0, 40, (24, 30)), 1) for _ in "ab")
    answer = _chosen(choose, L_a, L_b)
    returned(answer)
    found = array(answer)
    if found.shape != L_a.shape:
        raise NotYet(f"expected details of shape {L_a.shape}, found {found.shape}")
    a_wins = _blur(abs(L_a)) >= _blur(abs(L_b))
    if found.dtype == bool:
        raise NotYet("you return who is chosen; what is wanted is the chosen detail: np.where makes it")
    if np.allclose(found, np.where(a_wins, L_a, L_b)):
        return _check_tie(choose, L_a)
    near, around_a, around_b = abs(L_a) >= abs(L_b), _blur(L_a), _blur(L_b)
    everywhere = "that is the detail of one source everywhere: each pixel has a neighbourhood of its own"
    mistakes = [
        (L_a, everywhere),
        (L_b, everywhere),
        (np.maximum(L_a, L_b), "that is the larger value; a detail of -30 is stronger than one of +10"),
        (np.where(near, L_a, L_b), "that is the rule from above: each pixel is still chosen by itself"),
        (np.where(a_wins, L_b, L_a), "that is the weaker one: np.where takes its first where True"),
        (
            np.where(around_a >= around_b, L_a, L_b),
            "you blur the details with their signs; first take magnitudes",
        ),
        (
            np.where(abs(around_a) >= abs(around_b), L_a, L_b),
            "blurred with their signs, -30 beside +30 is nothing: take magnitudes first, then blur",
        ),
        (
            np.where(a_wins, around_a, around_b),
            "the choice is right, but the detail that you return is blurred: it has to be the source's own",
        ),
        (
            np.where(a_wins, abs(L_a), abs(L_b)),
            "the choice is right, but the detail has lost its sign",
        ),
        (
            np.where(_blur(L_a**2) >= _blur(L_b**2), L_a, L_b),
            "you compare blurred squares, a good rule as well; asked for are blurred magnitudes",
        ),
    ]
    for mistake, hint in mistakes:
        if np.allclose(found, mistake):
            raise NotYet(hint)
    taken = np.isclose(found, L_a) | np.isclose(found, L_b)
    if not taken.all():
        raise NotYet(f"{(~taken).sum()} of {taken.size} pixels have a detail that is in neither source")
    wrong = np.isclose(found, L_a) != a_wins
    raise NotYet(f"{wrong.sum()} of {wrong.size} pixels took their detail from the other source")


def _chosen(choose: Callable[..., Any], L_a: np.ndarray, L_b: np.ndarray) -> Any:
    try:
        return choose(L_a.copy(), L_b.copy())
    except ValueError as error:
        if "truth value" not in str(error):
            raise
        raise NotYet("`if` decides once for the whole picture; np.where decides at each pixel") from error


def _check_tie(choose: Callable[..., Any], L_a: np.ndarray) -> None:
    if not np.allclose(array(choose(L_a.copy(), -L_a)), L_a):
        raise NotYet("right, but for ties: where both are equally strong, the detail is that of a")


def _blur(x: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        x = ndimage.correlate1d(x, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
    return x


@exercise
def bright_sky(fusion: Callable[..., Any], a: np.ndarray, b: np.ndarray, window: Any) -> str:
    """Exercise 3: a fusion of the yard with the sky of b and two people who stand out, also if transposed.

    Args:
        fusion: from a and b to the fused picture.
        a: infrared, (H, W), uint8.
        b: visible, (H, W), uint8.
        window: top, left, height and width of the window with the people.

    >>> import numpy as np
    >>> from mambadfuse.course.the_fusion_problem import bright_sky
    >>> a, b = np.zeros((100, 48), np.uint8), np.full((100, 48), 200, np.uint8)
    >>> bright_sky(lambda a, b: a, a, b, (70, 0, 8, 8))[:83]
    'not yet: the sky is off by 200.0 grey levels, the people have a contrast of 0: whic'
    """
    function(fusion)
    said = _check_sky(fusion, a, b, window)
    try:
        _check_sky(lambda *pair: array(fusion(*(x.T.copy() for x in pair))).T, a, b, window)
    except NotYet as hint:
        raise NotYet(
            f"right here, but not for the pair turned on its side (transposed): {hint}; a fusion does not know where "
            "things are"
        ) from hint
    return said


def _check_sky(fusion: Callable[..., Any], a: np.ndarray, b: np.ndarray, window: Any) -> str:
    answer = fusion(a.copy(), b.copy())
    fused = grey_levels(answer, a.shape).astype(np.float64)
    top, left, tall, wide = window
    off = float(np.abs(fused - b)[:SKY_ROWS].mean())
    people, shown = (float(x[top : top + tall, left : left + wide].std()) for x in (fused, a))
    said = f"the sky is off by {off:.1f} grey levels, the people have a contrast of {people:.0f}"
    if off > MOST_OFF:
        raise NotYet(f"{said}: which level of the pyramid is the sky?")
    if people < LEAST_CONTRAST:
        raise NotYet(
            f"{said}: it has to be {LEAST_CONTRAST:.0f} at least; do all scales choose their detail?"
        )
    if people > MOST_GAINED * shown:
        raise NotYet(f"{said}, but no more than {shown:.0f} in a: where does the rest come from?")
    return said
