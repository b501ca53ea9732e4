"""The exercises of notebook 04: costs on paper, the backward pass of a scan, what has to see the token."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mambadfuse.course.answers import array, function, names, tensor
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly

PARAMETERS = ("delta", "B", "C")
ENOUGH = 0.95
_WHICH = "which of the three decides when to remember, and which what is asked?"

COSTS = (
    Question(
        "rounds",
        "a3b6a098c8f5",
        "how often can 1024 be halved, and how many rounds lead back?",
        exactly,
        {
            10: "that is the way there: and back?",
            1024: "a round handles all pairs at once",
            32: "1024 is halved each time, not rooted",
        },
    ),
    Question(
        "scan",
        "6dfeafc8e88a",
        "its cost grows with the number of tokens; how many times as many are there?",
        exactly,
        {2: "twice the width and twice the height: how many times the pixels?"},
    ),
    Question(
        "attention",
        "afb99a6717fe",
        "its cost grows with the number of pairs of tokens",
        exactly,
        {4: "that many times the tokens; and how many times the pairs of tokens?", 8: "squared, not doubled"},
    ),
    Question(
        "memory",
        "be7c52a6ed40",
        "count the states of all channels, and the tokens that the convolution still has to see",
        exactly,
        {
            1920: "those are the states; the convolution has to remember some tokens as well",
            2400: "of the W tokens that the convolution reads, one is the present one",
            960: "the states belong to the E inner channels, not to the C outer ones",
            360: "that is the convolution's share; and the states?",
            2040: "the convolution reads W tokens, and remembers all of them but the present one",
        },
    ),
)


@exercise
def costs(answer: object) -> None:
    """Exercise 1: rounds of the scan by pairs, costs of a larger picture, memory of a Mamba unit.

    >>> from mambadfuse.course.selective_scan_and_mamba import costs
    >>> costs({"rounds": 10, "scan": 2, "attention": 4, "memory": 1920})
    'not yet: 0 of 4 are right; rounds: that is the way there: and back?'
    """
    ask(COSTS, answer)


@exercise
def backward_pass(backward: Callable[..., Any]) -> None:
    """Exercise 2: the gradient dx of h_t = a_t h_{t-1} + x_t, y_t = C_t h_t, from dy, a and C, all (L,).

    >>> from mambadfuse.course.selective_scan_and_mamba import backward_pass
    >>> backward_pass(lambda dy, a, C: C * dy)
    'not yet: each token gets its own gradient alone: the term with the next token is missing'
    """
    function(backward)
    generator = torch.Generator().manual_seed(0)
    dy, a, C = torch.randn(3, 8, generator=generator, dtype=torch.float64).unbind(0)
    a = torch.sigmoid(a)
    given = [x.clone() for x in (dy, a, C)]
    found = tensor(backward(*given), (8,)).to(torch.float64)
    if not all(map(torch.equal, given, (dy, a, C))):
        raise NotYet("your function writes into the tensors that it is given")
    own, no_decay = C * dy, torch.ones(8, dtype=torch.float64)
    later = torch.cat([a[1:], a[:1] * 0])  # later[t] = a_{t+1}
    right = _from_the_right(own, later)
    if torch.allclose(found, right, atol=1e-5):
        return
    known = {
        "the right numbers from the last token to the first: turn them round": right.flip(0),
        "only the next token is heard: pass on all of dh of t + 1, not just C dy there": own
        + later * torch.cat([own[1:], own[:1]]),
        "each token gets its own gradient alone: the term with the next token is missing": own,
        "you lead from token t + 1 to t with a_t; which a took h_t into h_{t+1}?": _from_the_right(own, a),
        "the gradient passes on undiminished: a is missing": _from_the_right(own, no_decay),
        "C is missing: y_t = C_t h_t": _from_the_right(dy, later),
        "this is the forward scan of C dy: the gradient comes from the tokens after t": _from_the_right(
            own.flip(0), a.flip(0)
        ).flip(0),
    }
    for hint, wrong in known.items():
        if torch.allclose(found, wrong, atol=1e-5):
            raise NotYet(hint)
    if not torch.allclose(found[-1], own[-1], atol=1e-5):
        raise NotYet("start with the last token; nothing comes after it")
    off = (found - right).abs().gt(1e-5).nonzero().max()
    raise NotYet(
        f"from the right, the first wrong one is token {int(off)}; which a leads from token t to t + 1?"
    )


def _from_the_right(own: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """dh_t = own_t + decay_t dh_{t+1}, from the last token to the first: (L,)."""
    dh, states = torch.zeros((), dtype=own.dtype), []
    for own_t, decay_t in zip(own.flip(0), decay.flip(0), strict=True):
        dh = own_t + decay_t * dh
        states.append(dh)
    return torch.stack(states).flip(0)


@exercise
def selective_parameters(needed: object, accuracy: Callable[[tuple[str, ...]], object]) -> None:
    """Exercise 3: at most two of Δ, B and C, which suffice for the copier if they alone see the token.

    Args:
        needed: some of "delta", "B" and "C".
        accuracy: trains a copier in which these see the token, and returns its shares of right answers.

    >>> from mambadfuse.course.selective_scan_and_mamba import selective_parameters
    >>> selective_parameters("B", lambda sees: 0.5)[:63]
    'not yet: B alone gets 50 %, more than 95 % are needed; which of'
    """
    chosen = tuple(names(needed, PARAMETERS))
    if not chosen:
        raise NotYet(f"needed is still empty: name one or two of {', '.join(PARAMETERS)}; {_WHICH}")
    if len(chosen) > 2:
        raise NotYet("all three are enough, as you have seen; find at most two")
    right = float(np.mean(array(accuracy(chosen))))
    if right > ENOUGH:
        return
    who = f"{' and '.join(chosen)} get" if len(chosen) == 2 else f"{chosen[0]} alone gets"
    raise NotYet(f"{who} {100 * right:.3g} %, more than {100 * ENOUGH:.0f} % are needed; {_WHICH}")
