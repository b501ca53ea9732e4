"""The exercises of notebook 06: what a period swaps, an offset, and what makes the shallow phase fair."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from mambadfuse.course.answers import folded, function, pair, tensor
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask, exactly, one_of
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.shallow_fusion import ShallowFusion

SWAPPED = (
    Question(
        "channels swapped, p = 2",
        "70105aeae34f",
        "of 60 channels in each stream, every second one is swapped",
        exactly,
        {
            60: "those are the channels of one stream; which of them move?",
            2: "p is the period, not the number",
        },
    ),
    Question(
        "channels swapped, p = 7",
        "9a4fe7170e7b",
        "write the first and the last of the channels 0, 7, 14, ... below 60 down",
        exactly,
        {
            8: "channel 0 is swapped as well",
            7: "p is the period, not the number",
            8.57: "channels are whole",
            60 / 7: "channels are whole",
        },
    ),
    Question(
        "stream a carries", "ca2d0d6ef81a", "follow the features of a through three swaps", one_of("a", "b")
    ),
)


@exercise
def channels_swapped(answer: object) -> None:
    """Exercise 1: how many of 60 channels two periods swap, and what p = 1 does in three blocks.

    >>> from mambadfuse.course.channel_exchange import channels_swapped
    >>> channels_swapped([60, 8, "a"])
    'not yet: 0 of 3 are right; channels swapped, p = 2: those are the channels of one stream; which of them move?'
    """
    ask(SWAPPED, answer)


@exercise
def exchange_with_offset(exchange_from: Callable[..., Any]) -> None:
    """Exercise 2: swap the channels o, o + p, o + 2p, ... of a and b, (..., C) each.

    >>> from mambadfuse.course.channel_exchange import exchange_with_offset
    >>> exchange_with_offset(lambda a, b, p, o: (b, a))
    'not yet: for p = 3 and o = 1, other channels should have changed sides: found 0, 1, 2, 3, 4, 5, 6, 7'
    """
    function(exchange_from)
    a, b = torch.arange(96.0).view(2, 6, 8), torch.arange(100.0, 196).view(2, 6, 8)  # (B, L, C) each
    for p, o in ((3, 1), (3, 0), (1, 0), (5, 4), (2, 1)):
        given = a.clone(), b.clone()
        found = pair(exchange_from(*given, p, o), "the new a and the new b")
        new_a, new_b = (tensor(part, a.shape).to(a.dtype) for part in found)
        if not (torch.equal(given[0], a) and torch.equal(given[1], b)):
            raise NotYet("your function writes into the tensors that it is given: clone them first")
        _check_exchange(new_a, new_b, a, b, p, o)


def _check_exchange(
    new_a: torch.Tensor, new_b: torch.Tensor, a: torch.Tensor, b: torch.Tensor, p: int, o: int
) -> None:
    if torch.equal(new_a, new_b) and not torch.equal(new_a, a):
        raise NotYet(
            "both streams come back the same: the first assignment overwrites what the second one needs"
        )
    if not torch.equal(new_a + new_b, a + b):
        raise NotYet(
            "broken law: the sum of both streams has to stay, as each channel of one goes to the other"
        )
    swapped = torch.arange(a.shape[-1]) % p == o
    right = torch.where(swapped, b, a)
    if torch.equal(new_b, right) and not torch.equal(new_a, right):
        raise NotYet("the right channels move, but you return b before a")
    if not torch.equal(new_a, right):
        changed = new_a != a
        if (changed.all(-1) == changed.any(-1)).all() and not changed.all() and changed.any():
            raise NotYet("whole tokens change sides; channels are the last axis: [..., o::p]")
        moved = (new_a != a).flatten(0, -2).any(dim=0).nonzero().flatten().tolist()
        named = ", ".join(map(str, moved)) or "none"
        raise NotYet(f"for p = {p} and o = {o}, other channels should have changed sides: found {named}")


@exercise
def fair_shallow_phase(change: object) -> None:
    """Exercise 3: the one field of the configuration, with its value, by which a and b are treated alike.

    With the same weights on both sides, F must not change when a and b change places.

    >>> from mambadfuse.course.channel_exchange import fair_shallow_phase
    >>> fair_shallow_phase({"exchange_period": 3})
    'not yet: F still changes when a and b change places: what do the two last convolutions read?'
    """
    name, value = _one_field(change)
    published = MambaDFuseConfig.lite()
    if getattr(published, name) == value:
        raise NotYet(f"{name} is {value!r} already")
    try:
        config = replace(published, **{name: value})
        unfair = _unfairness(config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise NotYet(f"no network can be built of this: {error}") from error
    if not unfair < 1e-5:
        raise NotYet("F still changes when a and b change places: what do the two last convolutions read?")


def _one_field(change: object) -> tuple[str, Any]:
    """The name and value of a single change, given as a mapping, a pair or "name=value"."""
    if isinstance(change, str) and "=" in change:
        change = dict([change.split("=", 1)])
    if isinstance(change, Mapping):
        change = list(change.items())
        if len(change) != 1:
            raise NotYet(f"expected one field with its value, found {len(change)}")
        change = change[0]
    if isinstance(change, str) or not isinstance(change, Iterable) or len(parts := tuple(change)) != 2:
        raise NotYet(f'expected {{"name of the field": value}}, found {change!r}')
    known = {folded(field.name): field.name for field in fields(MambaDFuseConfig)}
    if folded(parts[0]) not in known:
        raise NotYet(
            f"the configuration has no field {parts[0]!r}: expected one of {', '.join(known.values())}"
        )
    value = parts[1].strip(" \"'").lower() if isinstance(parts[1], str) else parts[1]
    return known[folded(parts[0])], value


def _unfairness(config: MambaDFuseConfig) -> float:
    """How much F changes when a and b change places, with the same random weights on both sides."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        phase = ShallowFusion(config).requires_grad_(False)
        streams = torch.randn(4, 1, 12, config.dim).unbind(0)  # x_a, r_a, x_b, r_b: (B, L, C) each
    state = phase.state_dict()
    phase.load_state_dict({name: state[name.replace("_b.", "_a.")] for name in state})
    x_a, r_a, x_b, r_b = streams
    return float((phase(x_a, r_a, x_b, r_b, 3)[2] - phase(x_b, r_b, x_a, r_a, 3)[2]).abs().max())
