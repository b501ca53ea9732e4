"""The exercises of notebook 08: terms that are zero, a gradient term with signs, how good a network could be."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mambadfuse.course.answers import function, number
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask
from mambadfuse.losses import FusionLoss, gradients
from mambadfuse.models.checkpoints import load

ZERO = (
    Question("intensity", "291df0384a77", "insert f = max(a, b) into the intensity term"),
    Question(
        "gradient",
        "8a9d5b39385d",
        "think of an edge in the darker of the two pictures: is it in the maximum?",
    ),
    Question(
        "structure",
        "31ad61c8f1be",
        "it is zero only where f has the structure of a and of b at once",
    ),
)


@exercise
def zero_terms(answer: object) -> None:
    """Exercise 1: which of the three published terms are exactly zero for f = max(a, b)? True or False.

    >>> from mambadfuse.course.reconstruction_and_losses import zero_terms
    >>> zero_terms({"intensity": True, "gradient": False})
    'not yet: still without an answer: structure'
    """
    ask(ZERO, answer)


@exercise
def directed_gradient(directed: Callable[..., Any]) -> None:
    """Exercise 2: from f, a and b, (B, 1, H, W), to the mean difference of f's derivatives from the stronger source's.

        mean of |∂x f - ∂x s| + |∂y f - ∂y s|, with s at each pixel the source of the larger squared gradient

    >>> from mambadfuse.course.reconstruction_and_losses import directed_gradient
    >>> directed_gradient(lambda f, a, b: (f - a).abs())
    'not yet: one number must come back, found shape (3, 1, 9, 11)'
    """
    function(directed)
    a, b = torch.rand(2, 3, 1, 9, 11, generator=torch.Generator().manual_seed(0)).unbind(0)
    b = 0.7 * b
    flat = torch.full_like(a, 0.5)

    def cost(f: Tensor, a: Tensor, b: Tensor) -> float:
        answer = directed(f.clone(), a.clone(), b.clone())
        if answer is None:
            raise NotYet("your function still returns None")
        if isinstance(answer, Tensor) and answer.numel() != 1:
            raise NotYet(f"one number must come back, found shape {tuple(answer.shape)}")
        return number(answer)

    if abs(cost(a, a, flat)) > 1e-6:
        raise NotYet(
            "f = a beside a flat b must cost nothing: is a source stronger by its squares, not by the larger number, "
            "and is the border replicated?"
        )
    if abs(cost(b, flat, b)) > 1e-6:
        raise NotYet(
            "f = b beside a flat a must cost nothing: is the choice between a and b made at each pixel?"
        )
    _check_negative(cost(1 - a, a, flat), gradients(a, "replicate"))
    _check_choice(cost(a, a, b), gradients(a, "replicate"), gradients(b, "replicate"))
    leaf = a.clone().requires_grad_()
    if not getattr(directed(leaf, a, b), "requires_grad", False):
        raise NotYet(
            "the right number, but without a gradient: a loss has to stay a tensor to be trained with"
        )


def _check_negative(found: float, g_a: Tensor) -> None:
    """The negative of a must cost twice the edges of a."""
    wanted = float(2 * g_a.abs().sum(1).mean())
    if math.isclose(found, wanted, rel_tol=1e-4):
        return
    if abs(found) < 1e-6:
        raise NotYet("the negative of a costs nothing: you compare lengths, which have no sign")
    if math.isclose(found, wanted / 2, rel_tol=1e-4):
        raise NotYet(
            "half of what is wanted: the derivatives of a pixel are added up, the mean goes over pixels alone"
        )
    if math.isclose(found, float((2 * g_a).square().sum(1).mean()), rel_tol=1e-4):
        raise NotYet("differences are taken without their sign, not squared")
    raise NotYet(f"the negative of a must cost twice the edges of a, {wanted:.3f}; found {found:.3f}")


def _check_choice(found: float, g_a: Tensor, g_b: Tensor) -> None:
    """f = a costs something just where b is the stronger, by both derivatives together."""
    apart = (g_a - g_b).abs()  # (B, 2, H, W)
    b_is_stronger = g_b.square().sum(1, keepdim=True) > g_a.square().sum(1, keepdim=True)
    if math.isclose(found, float((apart * b_is_stronger).sum(1).mean()), rel_tol=1e-4):
        return
    if math.isclose(found, float((apart * ~b_is_stronger).sum(1).mean()), rel_tol=1e-4):
        raise NotYet("you take the derivatives of the weaker source")
    each = apart * (g_b.abs() > g_a.abs())
    if math.isclose(found, float(each.sum(1).mean()), rel_tol=1e-4):
        raise NotYet(
            "you choose for each derivative by itself; take both from the source that is stronger there"
        )
    signed = apart * (g_b > g_a)
    if math.isclose(found, float(signed.sum(1).mean()), rel_tol=1e-4):
        raise NotYet("you take the larger number; a strong edge may be negative")
    raise NotYet("f = a should cost something just where b is the stronger, by both derivatives together")


@exercise
def share_of_the_network(ratio: object, a: Tensor, b: Tensor, best: Tensor) -> None:
    """Exercise 3: the local loss of the shipped network on a window, over that of the best pixels.

    Args:
        ratio: the answer.
        a: the window of the infrared picture, (1, 1, H, W).
        b: that of the visible one.
        best: the pixels that the loss likes best, (1, 1, H, W).

    >>> import torch
    >>> from mambadfuse.course.reconstruction_and_losses import share_of_the_network
    >>> share_of_the_network(None, *torch.rand(3, 1, 1, 12, 12))
    'not yet: ratio is still None'
    """
    if ratio is None:
        raise NotYet("ratio is still None")
    found = number(ratio)
    with torch.no_grad():
        fused = load("ivf")(a, b)
        local, published = FusionLoss.local(), FusionLoss.vif()
        reached, reachable = (float(local(f, a, b).total) for f in (fused, best))
        other = [float(published(f, a, b).total) for f in (fused, best)]
    if math.isclose(found, reached / reachable, rel_tol=1e-2):
        return
    wrong = {
        "upside down: the network's loss is above the line": reachable / reached,
        "that is the difference; the ratio is asked for": reached - reachable,
        "that is the network's loss alone: divide it by that of the pixels": reached,
        "that is the loss of the pixels alone: divide the network's by it": reachable,
        "that is the ratio by FusionLoss.vif()": other[0] / other[1],
        "that is the excess: add the 1 that is in every ratio": reached / reachable - 1,
    }
    for hint, value in wrong.items():
        if math.isclose(found, value, rel_tol=1e-2):
            raise NotYet(hint)
    raise NotYet(
        "is the network's loss above the line, of its bare output, not of the picture that mdf.fuse returns? Are both "
        "totals those of FusionLoss.local()?"
    )
