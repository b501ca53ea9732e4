"""Text of any script in a figure: drawn with a font that has its characters, or escaped."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from mambadfuse.files import printable

_EMPTY = ("Last Resort",)  # fonts that map every character to a box


def legible(text: str) -> tuple[str, list[str]]:
    """The text to draw and the font families to draw it with, for matplotlib's ``family``.

    Characters that the default font lacks are taken from another installed font that has them all: 夜 needs a Chinese
    font. Without one they are escaped as in Python, ``\\u591c``, instead of being drawn as boxes.

    Example:
        >>> legible("night")[0]
        'night'
    """
    text = printable(text)
    default = FontProperties().get_name()
    missing = _lacks(findfont(FontProperties()), text)
    if not missing:
        return text, [default]
    other = _family_with("".join(sorted(missing)))
    if other is not None:
        return text, [default, other]
    return "".join(_escaped(c) if c in missing else c for c in text), [default]


@cache
def _family_with(characters: str) -> str | None:
    """An installed font that has all these characters."""
    for font in fontManager.ttflist:
        with suppress(Exception):  # some fonts cannot be opened, bitmap fonts for example
            if not font.name.startswith(_EMPTY) and not _lacks(font.fname, characters):
                return font.name
    return None


def _lacks(file: str, characters: Iterable[str]) -> set[str]:
    glyphs = get_font(file).get_charmap()
    return {c for c in characters if ord(c) not in glyphs}


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
