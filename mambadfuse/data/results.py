"""Results: which fused image in a folder belongs to which pair, by their names."""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path, PurePosixPath

from mambadfuse.data.issues import Issue
from mambadfuse.data.pairs import Pair, PairError, files_below, match_names, pictures_by_name
from mambadfuse.data.tasks import read_label

_Affix = tuple[str, str, str]  # the sub-folder above the name of a pair, and what stands before and after it


def results_in(folder: Path, pairs: Sequence[Pair]) -> dict[str, Path]:
    """The fused images in a folder, by the name of their pair.

    They have the name of the pair, suffixes aside, or a name that differs in the words for the side alone. Where pairs
    are left without an image, the names may have something before or after them, the same for all images:
    ``fused_1.png`` or ``1_densefuse.png`` for the pair ``1``, ``1.png`` for ``IR_1`` with ``VIS_1``. Case, separators
    and leading zeros do not matter there, nor does a sub-folder that all images or all pairs share.

    >>> from mambadfuse.data.results import results_in
    >>> from mambadfuse.data.samples import samples
    >>> pairs = samples("ivf")
    >>> [path.name for path in results_in(pairs[0].b.parent, pairs).values()]
    ['synthetic_night_street.png', 'synthetic_smoke_yard.png']

    Raises:
        PairError: the folder is missing or empty, holds no image with the name of a pair, or can be read in several
            ways.
    """
    pictures, _ = pictures_by_name(files_below(folder), folder)
    partners, _ = match_names([pair.name for pair in pairs], pictures)
    for keys, anywhere in () if len(partners) == len(pairs) else _keys(pairs):
        more = [x for x in _readings(keys, pictures, anywhere) if x.items() > partners.items()]
        if len(more) > 1:
            raise PairError(Issue(folder, _several(more)))
        if more:
            (partners,) = more
            break
    if not partners:
        reason = f"no image in it has the name of a pair, such as {pairs[0].name} (suffixes may differ)"
        raise PairError(Issue(folder, reason))
    return {pair.name: pictures[partners[pair.name]] for pair in pairs if pair.name in partners}


def _keys(pairs: Sequence[Pair]) -> Iterator[tuple[dict[tuple[str, str], str], bool]]:
    """Sub-folder and plain name -> pair, and whether that sub-folder may lie in others.

    First by the names of the pairs, then of side b, then of the scenes; all of these again without what the
    sub-folders of the pairs have in common.
    """
    parents = [PurePosixPath(pair.name).parent for pair in pairs]
    for common, anywhere in ((PurePosixPath(), False), (PurePosixPath(posixpath.commonpath(parents)), True)):
        for name_in in (
            lambda pair, last: last,
            lambda pair, last: pair.b.stem,
            lambda pair, last: read_label(last, hints=True).scene,
        ):
            names = defaultdict(list)
            for pair, parent in zip(pairs, parents, strict=True):
                key = _plain(name_in(pair, PurePosixPath(pair.name).name))
                names[str(parent.relative_to(common)), key].append(pair.name)
            yield {key: own[0] for key, own in names.items() if len(own) == 1 and key[1]}, anywhere


def _readings(
    keys: Mapping[tuple[str, str], str], pictures: Collection[str], anywhere: bool
) -> list[dict[str, str]]:
    """Every way to read the pictures as names of pairs with one affix.

    If some ways find all pairs, or explain the names of all pictures, only these.
    """
    found: dict[_Affix, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for picture in sorted(pictures):
        path = PurePosixPath(picture)
        text = _plain(path.name)
        places = [*path.parent.parents, path.parent] if anywhere else [PurePosixPath()]
        for place, (start, end) in product(places, combinations(_boundaries(text), 2)):
            if name := keys.get((str(path.parent.relative_to(place)), text[start:end])):
                found[str(place), text[:start], text[end:]][name].append(picture)
    complete = [
        own for own in found.values() if len(own) == len(keys) or sum(map(len, own.values())) == len(pictures)
    ]
    readings: list[dict[str, str]] = []
    for own in complete or found.values():
        for which in range(max(map(len, own.values()))):
            reading = {name: files[min(which, len(files) - 1)] for name, files in own.items()}
            readings += [reading] if reading not in readings else []
    return readings


def _plain(name: str) -> str:
    """Letters in lower case, numbers without leading zeros, and one space for whatever separates them."""
    words = " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name).casefold()))
    return re.sub(r"(?<!\d)0+(?=\d)", "", words)


def _boundaries(text: str) -> list[int]:
    """Where a name may begin or end: between letters, digits and spaces, and at both ends."""
    kinds = [0 if character == " " else 1 if character.isdigit() else 2 for character in text]
    inner = [i for i in range(1, len(text)) if kinds[i - 1] != kinds[i]]
    return [0, *inner, len(text)]


def _several(readings: Sequence[Mapping[str, str]]) -> str:
    name = next(name for name in readings[0] if len({reading.get(name) for reading in readings}) > 1)
    ways = sorted({reading[name] for reading in readings if name in reading})
    return (
        f"its names can be read in {len(readings)} ways: the result of {name} could be {' or '.join(ways)}; "
        "keep the results of one method in a folder"
    )
