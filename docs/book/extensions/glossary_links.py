"""Where a page first uses a word of the glossary, it links to it and shows its meaning under the mouse."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

GLOSSARY = "docs/glossary"
WORDS, METRICS = "Words of the kit", "Metrics"  # sections of the glossary


def entries(glossary: nodes.document) -> Iterator[tuple[str, str, nodes.Element]]:
    """Each word with its meaning, and the element of the page that says so.

    Words that the page qualifies ("**Row** (of the ablation table)") have other meanings, too, and are left out.
    """
    for section in glossary.findall(nodes.section):
        title = section[0].astext()
        if title == WORDS:
            for item in section.findall(nodes.list_item):
                word, colon, meaning = item.astext().partition(": ")
                if colon and "(" not in word:
                    yield from ((each, meaning, item) for each in word.split(", "))
        elif title == METRICS:
            for row in [row for body in section.findall(nodes.tbody) for row in body]:
                symbols, names = (row[column].astext().split(", ") for column in (0, 1))
                yield from zip(
                    symbols, (name.replace("_", " ") for name in names), [row] * len(names), strict=True
                )


def anchor(word: str) -> str:
    """The name of its place on the page."""
    return f"word-{nodes.make_id(word)}"


class Anchors(SphinxTransform):
    """Names the places of the words on the page of the glossary."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Applies the transform to one page."""
        if self.env.docname == GLOSSARY:
            for word, _, element in entries(self.document):
                element["ids"].append(anchor(word))


class Links(SphinxPostTransform):
    """Links the first use of each word in a paragraph of a page."""

    default_priority = 800  # after references: what is a link already stays as it is
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Applies the transform to one page."""
        if self.env.docname == GLOSSARY:
            return
        meanings = dict(self.meanings())
        page = relative_uri(f"{self.env.docname}.html", f"{GLOSSARY}.html")
        for text in list(self.document.findall(nodes.Text)):
            if meanings and isinstance(text.parent, nodes.paragraph):
                text.parent.replace(text, list(linked(text.astext(), meanings, page)))

    def meanings(self) -> dict[str, str]:
        """The meaning of each word."""
        if not hasattr(self.app, "meanings_of_words"):
            found = entries(self.env.get_doctree(GLOSSARY))
            self.app.meanings_of_words = {word: meaning for word, meaning, _ in found}
        return self.app.meanings_of_words


@cache
def pattern(word: str) -> re.Pattern[str]:
    """How a word may be written: an abbreviation as it is, a word in either case and in the plural."""
    if any(letter.isupper() for letter in word[1:]):
        return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return re.compile(rf"(?<![\w-]){re.escape(word)}s?(?![\w-])", flags=re.I)


def linked(text: str, meanings: dict[str, str], page: str) -> Iterator[nodes.Node]:
    """A text with links on the first uses of words, which are then removed from the meanings."""
    uses = [
        (match.start(), -len(word), match, word) for word in meanings if (match := pattern(word).search(text))
    ]
    end = 0
    for start, _, match, word in sorted(uses, key=lambda use: use[:2]):
        if start < end:
            continue
        yield nodes.Text(text[end:start])
        address = f"{page}#{anchor(word)}"
        yield nodes.reference(
            "",
            match[0],
            refuri=address,
            reftitle=meanings.pop(word),
            internal=True,
            classes=["glossary-word"],
        )
        end = match.end()
    yield nodes.Text(text[end:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the extension."""
    app.add_transform(Anchors)
    app.add_post_transform(Links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
