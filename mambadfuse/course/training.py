"""The exercises of notebook 09: what may change in a killed run, a batch in parts, the best moving average."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mambadfuse.course.answers import function, number, returned
from mambadfuse.course.exercise import NotYet, exercise
from mambadfuse.course.paper import Question, ask
from mambadfuse.losses import FusionLoss
from mambadfuse.models.config import MambaDFuseConfig
from mambadfuse.models.mambadfuse import MambaDFuse

Weights = Mapping[str, Tensor]

PARTS = 4
TINY = MambaDFuseConfig(
    dim=4, state=2, extraction_depth=1, exchange_depth=1, deep_depth=1, reconstruction_depth=1
)

RESUMES = (
    Question(
        "steps",
        "e634721dbf73",
        "the cosine of the learning rate ends with the last step: which steps change?",
    ),
    Question(
        "seed",
        "cbff4006bc3c",
        "the seed draws weights and crops: are those of the steps so far still the same?",
    ),
    Question(
        "workers", "cd688a3c9b32", "a crop depends on the seed and the number of the step alone; who cuts it?"
    ),
    Question("learning_rate", "e5bac1d89601", "would the steps so far have been the same?"),
    Question("keep_checkpoints", "44796bcf5a61", "does the number of files that are kept change a weight?"),
    Question("validate_every", "ea7ae88c217b", "does a look at the validation pairs change a weight?"),
)


@exercise
def resumed_run(answer: object) -> None:
    """Exercise 1: after which changes of a setting does a killed run resume? True or False.

    >>> from mambadfuse.course.training import resumed_run
    >>> resumed_run({"epochs": True})
    "not yet: nothing is called 'epochs' here: expected steps, seed, workers, learning_rate, keep_checkpoints, \
validate_every"
    """
    ask(RESUMES, answer)


@exercise
def gradient_in_parts(accumulated: Callable[..., Any]) -> None:
    """Exercise 2: the gradient of a batch, computed in parts with never more than one of them in the network.

    The function takes a network, a loss, both sides (B, 1, h, w) and the number of parts, and returns the gradient of
    the mean loss, flat. Memory is what autograd keeps for the backward pass, at its highest.

    >>> from mambadfuse.course.training import gradient_in_parts
    >>> gradient_in_parts(lambda net, loss, a, b, parts: None)
    'not yet: your function still returns None'
    """
    function(accumulated)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, (a, b) = MambaDFuse(TINY), torch.rand(2, PARTS, 1, 8, 8).unbind(0)
    loss = FusionLoss.med()  # a mean over crops
    watched = _Watched(net)
    found = _flat(accumulated(watched, loss, a, b, PARTS))
    parts = [_gradient(net, loss, x, y) for x, y in zip(a.split(1), b.split(1), strict=True)]
    _check_gradient(found, torch.stack(parts))
    if watched.largest > 1:
        raise NotYet(
            f"the right gradient, but {watched.largest} of {PARTS} crops were in the network at once: "
            "each part has to go through it by itself"
        )
    if watched.most > 1:
        raise NotYet(
            f"the right gradient, but what autograd keeps of {watched.most} parts was in memory at once: "
            "take the gradient of a part before the next one enters"
        )


class _Watched(nn.Module):
    """A network that notes how many crops enter it at once, and of how many passes autograd keeps something."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.largest = self.most = 0
        self.alive: list[set[int]] = []

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        kept: set[int] = set()  # of this pass: one number for each tensor that its backward pass still needs
        self.alive.append(kept)
        with torch.autograd.graph.saved_tensors_hooks(lambda x: _Kept(x, kept), lambda packed: packed.tensor):
            fused = self.net(a, b)
        self.largest = max(self.largest, len(a))
        self.most = max(self.most, sum(map(bool, self.alive)))
        return fused


class _Kept:
    """A tensor that autograd keeps; its number stays in ``kept`` until autograd lets it go."""

    def __init__(self, tensor: Tensor, kept: set[int]) -> None:
        self.tensor = tensor
        kept.add(id(self))
        weakref.finalize(self, kept.discard, id(self))


def _gradient(net: nn.Module, loss: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    return _flat(torch.autograd.grad(loss(net(a, b), a, b).total, list(net.parameters())))


def _flat(answer: object) -> Tensor:
    returned(answer)
    if isinstance(answer, tuple | list) and all(isinstance(part, Tensor) for part in answer):
        answer = torch.cat([part.flatten() for part in answer]) if answer else torch.zeros(0)
    if not isinstance(answer, Tensor | np.ndarray):
        raise NotYet(f"expected the gradient as a tensor, found {type(answer).__name__}")
    return torch.as_tensor(answer).detach().flatten()


def _check_gradient(found: Tensor, parts: Tensor) -> None:
    """Compares a gradient with the mean of those of the parts, (parts, P)."""
    if found.shape != parts.shape[1:]:
        raise NotYet(
            f"expected a gradient of {parts.shape[1]} numbers, one for each weight, found {found.numel()}"
        )

    def same(wanted: Tensor) -> bool:
        return torch.allclose(found, wanted, rtol=1e-3, atol=1e-3)

    if same(parts.mean(0)):
        return
    if same(parts.sum(0)):
        raise NotYet(f"it is {len(parts)} times too long; a mean of parts is not their sum")
    if same(2 * parts.mean(0)):
        raise NotYet(
            "it is twice too long: a loss is a tuple of its total and its terms; you want .total alone"
        )
    if same(parts.mean(0) / len(parts)):
        raise NotYet(f"it is {len(parts)} times too short: you divide twice")
    if same(parts[-1]) or same(parts[-1] / len(parts)):
        raise NotYet("that is the last part alone: what becomes of the gradients before it?")
    if same(parts[0]) or same(parts[0] / len(parts)):
        raise NotYet("that is the first part alone: does your loop return too early?")
    if same(torch.zeros_like(found)):
        raise NotYet("the gradient is zero everywhere")
    raise NotYet("another gradient: does each part of a meet the same part of b?")


@exercise
def best_decay(
    decay: object, decays: Sequence[float], film: Sequence[Weights], net: nn.Module, a: Tensor, b: Tensor
) -> None:
    """Exercise 3: the decay by which the averaged weights of a filmed training end at the lowest published loss.

    The end is the mean of the last four of every tenth step: with a steady rate a single step may be a lucky one.

    Args:
        decay: the answer.
        decays: those to choose among.
        film: the weights after each step, by name.
        net: the network that takes them.
        a, b: the batch by which they are judged, (B, 1, h, w).

    >>> from mambadfuse.course.training import best_decay
    >>> best_decay(0.7, (0.5, 0.9), [], None, None, None)
    'not yet: expected one of 0.5, 0.9, found 0.7'
    """
    if decay is None or decay is ...:
        raise NotYet(f"best_decay is still {'None' if decay is None else '...'}")
    chosen = number(decay)
    near = [d for d in decays if abs(d - chosen) < 1e-6]
    if not near:
        raise NotYet(f"expected one of {', '.join(f'{d:g}' for d in decays)}, found {chosen:g}")
    stacked = {
        name: torch.stack([weights[name] for weights in film]) for name in film[0]
    }  # (steps, ...) each
    losses = {d: _averaged_loss(stacked, d, net, a, b) for d in decays}
    mine = losses[near[0]]
    lower = sum(loss < mine * (1 - 1e-6) for loss in losses.values())
    if not lower:
        return
    hint = "average the whole film with each of them, from the first step on, and compare"
    if near[0] == 0:
        hint = "d = 0 is one step at a time, with all its noise"
    elif near[0] == max(decays):
        hint = "so long an average still remembers the first, random weights"
    others = "1 of the others is" if lower == 1 else f"{lower} of the others are"
    raise NotYet(f"its loss is {mine:.2f}, and {others} lower; {hint}")


def _averaged_loss(film: Weights, decay: float, net: nn.Module, a: Tensor, b: Tensor) -> float:
    """The loss of the moving average of a film, the mean of the last four of every tenth step.

    E <- d E + (1 - d) W, from the first W on, is a sum of all W so far, with (1 - d) d^k for one that is k steps old,
    and d^k for the first.
    """
    steps = len(next(iter(film.values())))
    losses = list[float]()
    for step in range(10, steps + 1, 10)[-4:]:
        shares = (1 - decay) * decay ** torch.arange(step - 1, -1, -1, dtype=torch.float64)  # (step,)
        shares[0] = decay ** (step - 1)
        net.load_state_dict(
            {name: torch.tensordot(shares.to(W), W[:step], dims=1) for name, W in film.items()}
        )
        with torch.no_grad():
            losses.append(float(FusionLoss.vif()(net(a, b), a, b).total))
    return sum(losses) / len(losses)
