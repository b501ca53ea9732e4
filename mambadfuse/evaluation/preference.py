"""Which of two fused images is better: answers of people, and the strengths of the methods that follow from them.

The model is that of Bradley and Terry (1952). Method i has a strength θ_i, and is preferred to j with the probability

    p_ij = 1 / (1 + exp(θ_j − θ_i)),   Σ_i θ_i = 0

so that a lead of 1.1 means "preferred three times out of four". A tie counts as half a win for each side.

Letters: K number of methods.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = ("left", "right", "tie")

_NORMAL_95 = 1.959964  # 95 % of a normal distribution are within this many standard deviations
_TOLERANCE, _ITERATIONS = 1e-10, 100_000


@dataclass(frozen=True)
class Answer:
    """One comparison of two fused images of the same pair.

    Attributes:
        picture: the name of the pair.
        left: the method whose image was on the left.
        right: the method whose image was on the right.
        choice: which was better, "left" or "right"; "tie" if the judge could not tell.
        judge: who was asked.

    Raises:
        ValueError: the choice is none of ``CHOICES``, or a method is compared with itself.
        TypeError: a field is not text.
    """

    picture: str
    left: str
    right: str
    choice: Choice
    judge: str = ""

    def __post_init__(self) -> None:
        """Checks types, choice and methods."""
        for name, value in asdict(self).items():
            if not isinstance(value, str):
                raise TypeError(f"{name} must be text, found {value!r}")
        if self.choice not in CHOICES:
            raise ValueError(f"choice must be one of {', '.join(CHOICES)}, found {self.choice!r}")
        if self.left == self.right:
            raise ValueError(f"{self.left} cannot be compared with itself")


@dataclass(frozen=True)
class Standing:
    """How one method did.

    Attributes:
        method: its name.
        strength: θ.
        low: lower end of the 95 % interval of θ.
        high: upper end.
        rank: 1 for the strongest.
        wins: how often it was preferred.
        ties: how often nobody could tell.
        losses: how often the other one was preferred.
    """

    method: str
    strength: float
    low: float
    high: float
    rank: int
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Preferences:
    """All methods by strength, the strongest first.

    Attributes:
        standings: one for each method.
        regularised: whether a tie was added between every two methods, see :func:`preferences`.
        groups: the methods that were compared with each other, directly or through others; ranks mean something
            within a group only.
    """

    standings: tuple[Standing, ...]
    regularised: bool
    groups: tuple[tuple[str, ...], ...]

    @property
    def notes(self) -> list[str]:
        """What a reader of the strengths has to know, in words."""
        notes = []
        if len(self.groups) > 1:
            apart = "; ".join(", ".join(group) for group in self.groups)
            notes.append(f"Never compared, so not ranked against each other: {apart}.")
        if self.regularised:
            notes.append(
                "Some methods never won or never lost against the others, or were never compared with them. "
                "One tie is added between every two methods, which keeps all strengths finite."
            )
        return notes


def preferences(answers: Sequence[Answer]) -> Preferences:
    """Strengths by maximum likelihood with 95 % intervals, and ranks.

    The likelihood has a maximum only if every method can be reached from every other by a chain of wins or ties (Ford
    1957). It cannot if one never wins or never loses, or if two groups were never compared. Then one tie is added
    between every two methods. The intervals come from the information matrix. They take all answers as independent:
    those of one judge on one pair are not, and the true intervals are wider.

    Raises:
        ValueError: there are no answers.

    >>> found = preferences([Answer("street", "ours", "mean", c) for c in ("left", "left", "left", "right")])
    >>> [(s.method, s.rank, round(s.strength, 2)) for s in found.standings]  # ± log(3) / 2
    [('ours', 1, 0.55), ('mean', 2, -0.55)]
    """
    if not answers:
        raise ValueError("there are no answers yet")
    methods = sorted({method for answer in answers for method in (answer.left, answer.right)})
    wins = wins_matrix(answers, methods)
    count, label = connected_components(wins + wins.T > 0, directed=False)
    groups = [tuple(m for m, own in zip(methods, label, strict=True) if own == k) for k in range(count)]
    chains, _ = connected_components(wins > 0, directed=True, connection="strong")
    if chains > 1:
        wins = wins + 0.5 * (1 - np.eye(len(methods)))
    theta = bradley_terry(wins)
    reach = _NORMAL_95 * standard_errors(wins, theta)
    standings = []
    for method, own, r in zip(methods, theta, reach, strict=True):
        rank = 1 + int((theta > own + 1e-9).sum())
        tally = Counter(_outcome(answer, method) for answer in answers)
        record = tally["win"], tally["tie"], tally["loss"]
        standings.append(Standing(method, float(own), float(own - r), float(own + r), rank, *record))
    return Preferences(tuple(sorted(standings, key=lambda s: s.rank)), chains > 1, tuple(groups))


def wins_matrix(answers: Sequence[Answer], methods: Sequence[str]) -> NDArray[np.float64]:
    """How often each method was preferred to each other one, ties as half a win for both, (K, K).

    >>> wins_matrix([Answer("x", "p", "q", "left"), Answer("y", "p", "q", "tie")], ["p", "q"]).tolist()
    [[0.0, 1.5], [0.5, 0.0]]
    """
    place = {method: k for k, method in enumerate(methods)}
    wins = np.zeros((len(methods), len(methods)))
    for answer in answers:
        left, right = place[answer.left], place[answer.right]
        share = {"left": 1.0, "right": 0.0, "tie": 0.5}[answer.choice]
        wins[left, right] += share
        wins[right, left] += 1 - share
    return wins


def bradley_terry(wins: ArrayLike) -> NDArray[np.float64]:
    """The strengths θ of greatest likelihood, with mean 0, (K,), by the MM iteration of Hunter (2004).

        exp(θ_i) ← W_i / Σ_j n_ij / (exp(θ_i) + exp(θ_j)),   W_i = Σ_j w_ij,   n_ij = w_ij + w_ji

    Args:
        wins: w_ij, how often i was preferred to j, (K, K).

    Raises:
        ValueError: the likelihood has no maximum, see :func:`preferences`.

    >>> bradley_terry([[0, 3], [1, 0]]).round(4).tolist()
    [0.5493, -0.5493]
    """
    w = np.asarray(wins, dtype=float)
    if connected_components(w > 0, directed=True, connection="strong")[0] > 1:
        raise ValueError("the likelihood has no maximum: some method is never preferred to some others")
    n, total = w + w.T, w.sum(axis=1)
    theta = np.zeros(len(w))
    for _ in range(_ITERATIONS):
        power = np.exp(theta)
        updated = np.log(total / (n / (power[:, None] + power)).sum(axis=1)) if len(w) > 1 else theta
        updated = updated - updated.mean()
        if np.abs(updated - theta).max() < _TOLERANCE:
            break
        theta = updated
    return updated


def standard_errors(wins: ArrayLike, theta: ArrayLike) -> NDArray[np.float64]:
    """The standard errors of the strengths, (K,), from the inverse of the information matrix I where Σ θ = 0.

        I_ii = Σ_j n_ij p_ij p_ji,   I_ij = −n_ij p_ij p_ji,   covariance = (I + 1 / K)⁻¹ − 1 / K

    Args:
        wins: as in :func:`bradley_terry`; any two methods were compared, directly or through others.
        theta: the strengths, (K,).

    >>> standard_errors([[0, 3], [1, 0]], [0.5493, -0.5493]).round(3).tolist()  # sqrt(1/3 + 1/1) / 2
    [0.577, 0.577]
    """
    w, own = np.asarray(wins, dtype=float), np.asarray(theta, dtype=float)
    p = 1 / (1 + np.exp(own - own[:, None]))
    weight = (w + w.T) * p * p.T
    information = np.diag(weight.sum(axis=1)) - weight
    level = 1 / len(w)  # makes it invertible: strengths that rise together change no probability
    variances: NDArray[np.float64] = np.diag(np.linalg.inv(information + level)) - level
    return np.sqrt(variances)


def next_comparison(
    methods: Mapping[str, Collection[str]], answers: Sequence[Answer], generator: np.random.Generator
) -> tuple[str, str, str]:
    """The pair and the two methods to ask about next: of those asked least, one at random; left and right by chance.

    Args:
        methods: the methods that fused each pair, by the name of the pair.
        answers: those given so far.
        generator: the source of chance.

    Returns:
        The name of the pair, the method on the left, the method on the right.

    Raises:
        ValueError: no pair was fused by two methods.
    """
    asked = Counter((answer.picture, *sorted((answer.left, answer.right))) for answer in answers)
    possible = [(name, *two) for name, own in methods.items() for two in combinations(sorted(own), 2)]
    if not possible:
        raise ValueError("a comparison needs two methods that fused the same pair")
    fewest = min(asked[one] for one in possible)
    open_ones = [one for one in possible if asked[one] == fewest]
    name, first, second = open_ones[generator.integers(len(open_ones))]
    return (name, first, second) if generator.random() < 0.5 else (name, second, first)


def preferred(lead: float) -> float:
    """The probability that a method is preferred to one that is weaker by ``lead``.

    >>> round(preferred(math.log(3)), 2)
    0.75
    """
    return 1 / (1 + math.exp(-lead))


def _outcome(answer: Answer, method: str) -> str:
    if method not in (answer.left, answer.right):
        return "elsewhere"
    if answer.choice == "tie":
        return "tie"
    return "win" if getattr(answer, answer.choice) == method else "loss"
