"""Answers as students write them, read as what they mean: numbers, truth values, words, arrays, in any type."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mambadfuse.course.exercise import NotYet

_TRUTH = {"true": True, "yes": True, "t": True, "y": True, "1": True}
_TRUTH |= {"false": False, "no": False, "f": False, "n": False, "0": False}
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_LONGEST = 200  # characters of an answer in a message


def folded(text: object) -> str:
    """A name without what spelling may differ in: case, blanks and punctuation.

    >>> folded("Channels swapped, p = 2"), folded((512, 512))
    ('channelsswappedp2', '512x512')
    """
    if isinstance(text, tuple):
        text = " x ".join(map(str, text))
    return re.sub(r"[\W_]", "", str(text).lower())


def entries(answers: object, names: Sequence[str]) -> dict[str, Any]:
    """The answers by name: from a mapping in any order and spelling, or from a sequence in the order of the names.

    >>> entries({"MAXIMUM": 2, "mean": 1}, ["mean", "maximum"]), entries([1, 2], ["mean", "maximum"])
    ({'mean': 1, 'maximum': 2}, {'mean': 1, 'maximum': 2})

    Raises:
        NotYet: an answer is missing, or has a name that nobody asked for.
    """
    found = by_name(answers, names)
    require_all(found)
    return found


def by_name(answers: object, names: Sequence[str]) -> dict[str, Any]:
    """The answers as :func:`entries` reads them, with None for one that is missing or still ``...``.

    >>> by_name({"MAXIMUM": 2}, ["mean", "maximum"])
    {'mean': None, 'maximum': 2}

    Raises:
        NotYet: an answer has a name that nobody asked for.
    """
    if isinstance(answers, Mapping):
        given = {folded(name): value for name, value in answers.items()}
        if unknown := [name for name in answers if folded(name) not in map(folded, names)]:
            raise NotYet(f"nothing is called {unknown[0]!r} here: expected {', '.join(names)}")
    else:
        given = dict(zip(map(folded, names), _listed(answers, names), strict=True))
    found = {name: given.get(folded(name)) for name in names}
    return {name: None if value is ... else value for name, value in found.items()}


def require_all(found: Mapping[str, Any], share: float = 0.0) -> None:
    """Makes sure that no answer is missing; ``share`` of them are right.

    >>> require_all({"mean": 1, "maximum": 2})

    Raises:
        NotYet: some are None.
    """
    if empty := [name for name, value in found.items() if value is None]:
        separator = "; " if any("," in name for name in empty) else ", "
        raise NotYet(f"still without an answer: {separator.join(empty)}", share)


def _listed(answers: object, names: Sequence[str]) -> list[Any]:
    if isinstance(answers, Tensor):
        answers = answers.tolist()
    if isinstance(answers, str) or not isinstance(answers, Iterable):
        raise NotYet(f"expected an answer for each of {', '.join(names)}, found {answers!r}")
    listed = list(answers)
    if isinstance(answers, set | frozenset) or len(listed) != len(names):
        raise NotYet(f"expected {len(names)} answers, for {', '.join(names)}, found {answers!r}")
    return listed


def number(answer: object) -> float:
    """A number: Python's, NumPy's, an array or tensor of one element, or written out, also with a decimal comma.

    A comma before three digits separates thousands, unless the number begins with 0.

    >>> import numpy as np
    >>> number(np.int64(3)), number("1/500"), number(torch.tensor([0.5]))
    (3.0, 0.002, 0.5)
    >>> number("227,745"), number("0,56")
    (227745.0, 0.56)

    Raises:
        NotYet: it is none.
    """
    if isinstance(answer, Tensor | np.ndarray | np.generic):
        if np.size(values := array(answer)) != 1:
            raise NotYet(f"expected one number, found {np.size(values)}: shape {values.shape}")
        answer = values.item()
    if isinstance(answer, str):
        plain = answer.replace(" ", "").replace("\N{MINUS SIGN}", "-")
        plain = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), plain).replace(",", ".")
        try:
            return float(Fraction(plain))
        except (ValueError, ZeroDivisionError):
            raise NotYet(f"expected a number, found {answer!r}") from None
    if isinstance(answer, bool) or not isinstance(answer, int | float | Fraction):
        raise NotYet(f"expected a number, found {_described(answer)}")
    return float(answer)


def truth(answer: object) -> bool:
    """True or False, also of NumPy or PyTorch, as 0 or 1, or written out in any case.

    >>> truth("Yes"), truth(torch.tensor(False)), truth(1)
    (True, False, True)

    Raises:
        NotYet: it is neither.
    """
    if isinstance(answer, Tensor | np.ndarray | np.generic) and np.size(array(answer)) == 1:
        answer = array(answer).item()
    if isinstance(answer, str):
        answer = _TRUTH.get(folded(answer), answer)
    if not isinstance(answer, int | float) or answer not in (0, 1):
        raise NotYet(f"expected True or False, found {_described(answer)}")
    return bool(answer)


def choice(*options: str) -> Callable[[object], str]:
    """A reader of one of these words, in any case, also with an ending: "grows" for "grow", but not "both" for "b".

    >>> choice("grow", "shrink")("It GROWS")
    'grow'

    Raises:
        NotYet: the answer has none of them, or several.
    """

    def read(answer: object) -> str:
        words = re.findall(r"\w+", str(answer).lower())
        meant = {option for option in options if any(_means(word, option.lower()) for word in words)}
        if len(meant) != 1:
            raise NotYet(f"expected one of {', '.join(options)}, found {_described(answer)}")
        return meant.pop()

    return read


def _means(word: str, option: str) -> bool:
    return word == option or (len(option) > 1 and word.startswith(option))


def names(answer: object, known: Collection[str]) -> list[str]:
    """Which of the known names an answer lists: a word, several in a text, or a collection, in any order and case.

    >>> names("c, DELTA", ("delta", "B", "C")), names(["b"], ("delta", "B", "C"))
    (['delta', 'C'], ['B'])

    Raises:
        NotYet: it lists another one.
    """
    if isinstance(answer, str):
        answer = re.split(r"[\s,;+&]+|\band\b", answer)
    if not isinstance(answer, Iterable):
        raise NotYet(f"expected some of {', '.join(known)}, found {_described(answer)}")
    listed = {folded(part): part for part in answer if str(part).strip()}
    spelt = {folded(name): name for name in known}
    if unknown := [str(part) for key, part in listed.items() if key not in spelt]:
        raise NotYet(f"nothing is called {unknown[0]!r} here: expected some of {', '.join(known)}")
    return [name for key, name in spelt.items() if key in listed]


def array(answer: object) -> NDArray[Any]:
    """An array of whatever holds numbers: a list, a tuple, an array, a tensor, also one with gradients.

    >>> array(torch.ones(2, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    return answer.detach().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)


def tensor(answer: object, shape: Sequence[int]) -> Tensor:
    """A tensor of this shape, of whatever holds numbers.

    >>> tensor([1, 2], (2,))
    tensor([1, 2])

    Raises:
        NotYet: it is nothing, or has another shape.
    """
    returned(answer)
    if isinstance(answer, list | tuple) and all(isinstance(part, Tensor) for part in answer):
        answer = torch.stack(list(answer)) if answer else torch.empty(0)
    found = answer if isinstance(answer, Tensor) else torch.as_tensor(np.asarray(answer))
    if found.shape != torch.Size(shape):
        raise NotYet(f"expected shape {tuple(shape)}, found {tuple(found.shape)}")
    return found


def grey_levels(answer: object, shape: Sequence[int]) -> NDArray[np.uint8]:
    """A grey picture of this shape in whole grey levels, of any type that holds numbers from 0 to 255.

    >>> grey_levels([[0, 99.6]], (1, 2))
    array([[  0, 100]], dtype=uint8)

    Raises:
        NotYet: it is nothing, has another shape, or holds what is no grey level.
    """
    returned(answer)
    found = array(answer)
    if found.shape != tuple(shape):
        raise NotYet(f"expected a picture of shape {tuple(shape)}, found {found.shape}")
    if found.dtype != np.uint8:
        if not np.isfinite(found).all():
            raise NotYet("there are infinities or NaN in your picture")
        if found.max() <= 1:
            raise NotYet(
                f"expected grey levels from 0 to 255, found at most {found.max():.2f}: multiply by 255"
            )
        if found.min() < 0 or found.max() > 255:
            raise NotYet(f"grey levels end at 0 and 255, found {found.min():.0f} to {found.max():.0f}")
    return np.rint(found).astype(np.uint8)


def pair(answer: object, parts: str) -> tuple[Any, Any]:
    """Two things that came back together, as a tuple or a list.

    >>> pair([1, 2], "A_bar and B_bar")
    (1, 2)

    Raises:
        NotYet: it is not two things.
    """
    returned(answer)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYet(f"expected a pair, {parts}, found {_described(answer)}")
    return answer[0], answer[1]


def returned(answer: object) -> None:
    """Makes sure that a function returned something.

    >>> returned(0)

    Raises:
        NotYet: it returned None or ``...``, as before anybody has written into it.
    """
    if answer is None or answer is ...:
        raise NotYet(f"your function still returns {'None' if answer is None else '...'}")


def function(answer: object) -> None:
    """Makes sure that an answer is a function.

    >>> function(abs)

    Raises:
        NotYet: it is something else, such as the result of a call.
    """
    if not callable(answer):
        raise NotYet(f"expected the function itself, without brackets, found {_described(answer)}")


def _described(answer: object) -> str:
    if isinstance(answer, Tensor | np.ndarray) and np.size(array(answer)) > 1:
        return f"{type(answer).__name__} of shape {tuple(answer.shape)}"
    text = repr(answer)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
