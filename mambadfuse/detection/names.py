"""Which image a name means, in the file of a split, in COCO's list of images, and in the results of a detector."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mambadfuse.data.pairs import Pair


@dataclass(frozen=True)
class Match:
    """What the name in a file may mean.

    Attributes:
        images: their numbers; several if several images have that name.
        fit: how much of the path is the name, the larger the better.
    """

    images: list[int]
    fit: tuple[int, int]


def names_of(pair: Pair) -> tuple[str, ...]:
    """By which a file may call the image of a pair: the name of the pair, or that of either of its files."""
    return tuple(dict.fromkeys((pair.name, pair.a.stem, pair.b.stem)))


def by_name(names: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """The images that each name may mean: the one whose first name it is, or else all that have it.

    >>> by_name([("day/1", "1"), ("day/2", "2"), ("night/1", "1")])
    {'1': [0, 2], '2': [1], 'day/1': [0], 'day/2': [1], 'night/1': [2]}

    Args:
        names: of each image.
    """
    others = defaultdict(list)
    for number, (_, *more) in enumerate(names):
        for name in more:
            others[name].append(number)
    return {**others, **{own[0]: [number] for number, own in enumerate(names)}}


def match(path: str, known: Mapping[str, list[int]]) -> Match | None:
    """What a path means: the longest of its ends that is a name, with or without suffix; None if none is.

    >>> known = by_name([("day/1", "1"), ("night/1", "1")])
    >>> match("images/night/1.png", known), match("1.png", known)
    (Match(images=[1], fit=(2, -1)), Match(images=[0, 1], fit=(1, 0)))
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    for first in range(len(parts)):
        end = PurePosixPath(*parts[first:])
        for name in (str(end), str(end.parent / end.stem)):
            if name in known:
                return Match(known[name], (len(parts) - first, -first))
    return None
