"""The exercises of notebook 02: what scores see of a picture, one score by hand, a forgery."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mambadfuse import metrics
from mambadfuse.course.answers import array, function, grey_levels, number, returned
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask
from mambadfuse.fusion import baselines

WANTED, LARGEST_SHARE = 7, 1 / 3  # scores to win, and what may be left of the contrast of the people

SHUFFLED = (
    Question("EN", "b22fdb2b8600", "the histogram is all that EN sees"),
    Question(
        "SD", "901dc2756ea3", "does it matter to a standard deviation in which order the grey levels come?"
    ),
    Question(
        "SF",
        "e56ff965796e",
        "it is made of differences between neighbours: who is whose neighbour after the shuffle?",
    ),
    Question(
        "MI",
        "1506eacf40d5",
        "it counts which grey levels meet at a place; all three are shuffled alike",
    ),
    Question(
        "SCD",
        "67948cdd68fc",
        "it correlates differences of pictures: a sum over pixels, and all three are shuffled alike",
    ),
    Question("VIF", "4d93f7746cc2", "it looks through windows, at several sizes of the picture"),
    Question("Qabf", "390eaea0e440", "it compares edges: are there the same ones after the shuffle?"),
    Question("SSIM", "e7f0796b4967", "it compares means and variances in windows of neighbours"),
)


@exercise
def shuffled_pixels(answer: object) -> None:
    """Exercise 1: which scores stay the same if the pixels of a, b and f are shuffled in the same way?

    >>> from mambadfuse.course.judging_a_fusion import shuffled_pixels
    >>> shuffled_pixels([True, True])[:46]
    'not yet: expected 8 answers, for EN, SD, SF, M'
    """
    ask(SHUFFLED, answer)


@exercise
def average_gradient(AG: Callable[..., Any]) -> None:
    """Exercise 2: the mean of sqrt((g_x^2 + g_y^2) / 2) over a picture (H, W), with central differences.

    >>> from mambadfuse.course.judging_a_fusion import average_gradient
    >>> average_gradient(lambda f: float(f.max()))
    'not yet: a ramp with g_x = 6 and g_y = 0 everywhere has AG = 4.243, found 54.000'
    """
    function(AG)
    ramp = np.tile(np.arange(0, 60, 6, dtype=np.uint8), (5, 1))  # rises by 6 a pixel along one axis
    found, by_hand = _one_number(AG(ramp.copy())), 6 / np.sqrt(2)
    if np.isclose(found, 6):
        raise NotYet(
            "on a ramp it is too large by a factor of √2: the sum of the squares is halved before the root"
        )
    if np.isclose(found, 18):
        raise NotYet("on a ramp it is the mean of (g_x² + g_y²) / 2: the root is missing")
    if np.isclose(found, 3):
        raise NotYet("the half stands below the root, not before it")
    if np.isclose(found, 2 * by_hand):
        raise NotYet("twice too large: a central difference spans two pixels and is divided by 2")
    if not np.isclose(found, by_hand) and abs(found - by_hand) < 0.05:
        raise NotYet("right, but rounded: return the number as it comes")
    if not np.isclose(found, by_hand):
        raise NotYet(f"a ramp with g_x = 6 and g_y = 0 everywhere has AG = {by_hand:.3f}, found {found:.3f}")
    if not np.isclose(_one_number(AG(ramp.T.copy())), by_hand):
        raise NotYet("right for a ramp along a row, wrong for one down a column: are both g_x and g_y in it?")
    picture = np.random.default_rng(0).integers(0, 256, (12, 15), dtype=np.uint8)
    found = _one_number(AG(picture.copy()))
    if np.isclose(found, metrics.average_gradient(picture)):
        return
    gy, gx = np.gradient(picture.astype(np.float64))
    if np.isclose(found, np.sqrt(((gx**2 + gy**2) / 2).mean())):
        raise NotYet("you take the root of the mean; AG is the mean of the roots")
    if np.isclose(found, ((abs(gx) + abs(gy)) / np.sqrt(2)).mean()):
        raise NotYet("the root goes over the sum of both squares, not over each of them")
    inner = np.sqrt((gx**2 + gy**2) / 2)[1:-1, 1:-1]
    if np.isclose(found, inner.mean()):
        raise NotYet("you leave the border out; there np.gradient takes the difference to the one neighbour")
    dx, dy = (
        np.diff(picture.astype(np.float64), axis=1)[:-1],
        np.diff(picture.astype(np.float64), axis=0)[:, :-1],
    )
    if np.isclose(found, np.sqrt((dx**2 + dy**2) / 2).mean()):
        raise NotYet(
            "those are differences of neighbours; a central difference goes from one pixel before to one after"
        )
    raise NotYet(
        "right for a ramp, not for a picture with slopes in both directions: can your differences be negative? uint8 "
        "cannot"
    )


def _one_number(answer: object) -> float:
    returned(answer)
    if np.size(array(answer)) != 1:
        raise NotYet(f"expected one number, found shape {np.shape(array(answer))}: what does the bar mean?")
    return number(answer)


@exercise
def forgery(forged_fusion: Callable[..., Any], a: np.ndarray, b: np.ndarray, window: Any) -> str:
    """Exercise 3: beat the Laplacian pyramid in seven of the eight scores, with the people at a third of its contrast.

    Args:
        forged_fusion: from a and b to the forgery.
        a: infrared, (H, W), uint8.
        b: visible, (H, W), uint8.
        window: top, left, height and width of the window with the people.

    >>> import numpy as np
    >>> from mambadfuse.course.judging_a_fusion import forgery
    >>> a = np.zeros((48, 48), np.uint8)
    >>> forgery(lambda a, b: a / 255, a, a, (0, 0, 8, 8))
    'not yet: expected grey levels from 0 to 255, found at most 0.00: multiply by 255'
    """
    function(forged_fusion)
    mine = grey_levels(forged_fusion(a.copy(), b.copy()), a.shape)
    honest = baselines.laplacian_pyramid(a, b)
    top, left, tall, wide = window
    place = np.s_[top : top + tall, left : left + wide]
    seen = float(mine[place].std() / honest[place].std())
    scores, rivals = (metrics.evaluate(f, a, b, metrics=metrics.EIGHT) for f in (mine, honest))
    lost = [name for name in metrics.EIGHT if not scores[name] > rivals[name]]
    said = f"better in {len(scores) - len(lost)} of 8, people at {100 * seen:.0f} % of the contrast"
    if len(scores) - len(lost) == WANTED - 1:
        raise NotYet(
            f"{said}; one more is wanted: what raises {' or '.join(lost)} and leaves the rest nearly as it is?"
        )
    if len(scores) - len(lost) < WANTED:
        raise NotYet(f"{said}; behind in {', '.join(lost)}: which picture of the eight forgeries has those?")
    if not seen < LARGEST_SHARE:
        raise NotYet(f"{said}: they must lose two thirds of it")
    return said
