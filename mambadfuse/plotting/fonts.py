"""Lettering: text of any script in a figure, drawn with a font that has it, or else spelt in code points."""

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

_EMPTY = ("Last Resort",)  # fonts that have every character, as a box


def legible(text: str) -> tuple[str, list[str]]:
    """The text as it can be drawn, and the families of fonts to draw it with, for ``family`` of matplotlib.

    Characters that the default font lacks come from another installed font, if one has them all: 夜 is drawn on a
    machine with a Chinese font. Elsewhere they are spelt as Python does, ``\\u591c``, and not drawn as boxes.
    """
    default = FontProperties().get_name()
    missing = _lacks(findfont(FontProperties()), text)
    if not missing:
        return text, [default]
    other = _family_with("".join(sorted(missing)))
    if other is not None:
        return text, [default, other]
    return "".join(_spelt(c) if c in missing else c for c in text), [default]


@cache
def _family_with(characters: str) -> str | None:
    """An installed font that has all these characters."""
    for font in fontManager.ttflist:
        with suppress(Exception):  # some fonts, of pictures for example, cannot be opened
            if not font.name.startswith(_EMPTY) and not _lacks(font.fname, characters):
                return font.name
    return None


def _lacks(file: str, characters: Iterable[str]) -> set[str]:
    glyphs = get_font(file).get_charmap()
    return {c for c in characters if ord(c) not in glyphs}


def _spelt(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
