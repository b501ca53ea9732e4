"""The exercises of notebook 00: which rules are symmetric, colour put back, a score that prefers a simple rule."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mambadfuse import metrics
from mambadfuse.course.answers import array, entries, folded, function, returned
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask
from mambadfuse.data.colour import luma, recolour
from mambadfuse.data.images import read_image
from mambadfuse.data.samples import samples
from mambadfuse.fusion import baselines

RULES = ("mean", "maximum")

SWAPPED = (
    Question("mean", "f731a6c29ff9", "write (a + b) / 2 down, and once more with a and b swapped"),
    Question(
        "maximum",
        "c68549e175d3",
        "is the larger of two numbers another one if they change places?",
    ),
    Question("network", "10799841350d", "in the figure, do a and b pass through the same high-level blocks?"),
)


@exercise
def swapped_sources(answer: object) -> None:
    """Exercise 1: does the fused picture change if a and b change places? True or False for each rule.

    >>> from mambadfuse.course.start_here import swapped_sources
    >>> swapped_sources({"mean": True, "maximum": None, "network": True})
    'not yet: still without an answer: maximum'
    """
    ask(SWAPPED, answer)


@exercise
def colour_put_back(put_colour_back: Callable[..., Any]) -> None:
    """Exercise 2: Y', (H, W), and a colour picture, (H, W, 3), become Y' + rgb - luma(rgb), (H, W, 3).

    >>> from mambadfuse.course.start_here import colour_put_back
    >>> colour_put_back(lambda Y_fused, rgb: Y_fused)
    'not yet: expected shape (2, 3, 3), found (2, 3): colour has a third axis, which Y_fused[..., None] makes room for'
    """
    function(put_colour_back)
    rng = np.random.default_rng(0)
    rgb, Y = rng.uniform(0.4, 0.6, (2, 3, 3)), rng.uniform(0.4, 0.6, (2, 3))  # no channel can leave [0, 1]
    d = rgb - luma(rgb)[..., None]
    given = rgb.copy()
    try:
        answer = put_colour_back(Y.copy(), given)
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
        raise NotYet(
            "(H, W) and (H, W, 3) do not fit together: Y_fused[..., None] makes room for a third axis"
        ) from error
    returned(answer)
    found = array(answer)
    if found.shape != rgb.shape:
        raise NotYet(
            f"expected shape {rgb.shape}, found {found.shape}: colour has a third axis, which Y_fused[..., None] "
            "makes room for"
        )
    if not np.array_equal(given, rgb):
        raise NotYet("your function writes into the picture that it is given")
    if found.dtype.kind in "iu":
        raise NotYet(
            f"expected floats in [0, 1], found {found.dtype}: nothing is rounded or multiplied by 255 here"
        )
    if np.allclose(found, recolour(Y, rgb)):
        return
    if np.allclose(found, Y[..., None] + rgb):
        raise NotYet("the brightness of rgb is still in its colour: d has to have luma 0")
    if np.allclose(found, Y[..., None] - d):
        raise NotYet("this is the complementary colour: look at the sign of d")
    if np.ptp(found, axis=-1).max() < 1e-6:
        raise NotYet("the result is grey: nothing of rgb is in it")
    if np.allclose(found, rgb * (Y / luma(rgb))[..., None]):
        raise NotYet("you scale the colour by the brightness; here the difference d is added as it is")
    if np.allclose(luma(found), Y):
        raise NotYet("the brightness is right, but the colour is not that of rgb")
    off = float(np.abs(luma(found) - Y).max())
    raise NotYet(
        f"the luma of the result is off by up to {off:.2f}: is d what is left of rgb without its luma?"
    )


@exercise
def rule_beats_network(claim: object, fused: Mapping[str, Any]) -> str:
    """Exercise 3: a sample pair, one of the eight scores and a rule that scores better there than the network.

    Args:
        claim: "pair", "score" and "rule", by name or in this order.
        fused: the network's picture of each sample pair, (H, W) or (H, W, 3) in [0, 1], by the name of the pair.

    >>> from mambadfuse.course.start_here import rule_beats_network
    >>> rule_beats_network({"pair": "synthetic_smoke_yard", "score": "EN", "rule": "median"}, {})
    "not yet: rule must be one of mean, maximum, found 'median'"
    """
    pairs = {pair.name: pair for pair in samples()}
    claimed = entries(claim, ("pair", "score", "rule"))
    name = _known("pair", claimed["pair"], list(pairs))
    score = _known("score", claimed["score"], metrics.EIGHT)
    rule = _known("rule", claimed["rule"], RULES)
    sources = (read_image(path) for path in (pairs[name].a, pairs[name].b))
    a, b = (metrics.grey(x) for x in sources)
    candidates = {"network": metrics.grey(fused[name]), rule: getattr(baselines, rule)(a, b)}
    found = {who: metrics.evaluate(f, a, b, metrics=[score])[score] for who, f in candidates.items()}
    said = ", ".join(f"{who} {value:.2f}" for who, value in found.items())
    if not found[rule] > found["network"]:
        raise NotYet(f"{score} of {name}: {said}; which score rewards what a {rule} does to a picture?")
    return f"{score} of {name}: {said}"


def _known(what: str, answer: object, options: tuple[str, ...] | list[str]) -> str:
    meant = {folded(option): option for option in options}.get(folded(answer))
    if meant is None:
        raise NotYet(f"{what} must be one of {', '.join(options)}, found {answer!r}")
    return meant
