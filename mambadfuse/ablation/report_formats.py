"""Tables of a report as text, Markdown, LaTeX and HTML."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill

from mambadfuse.evaluation.table import columns

WIDTH = 100  # characters of a line of text
LATEX_WIDTH = 84  # characters of a line of a LaTeX table, in \footnotesize on an A4 or letter page

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{character: f"${character}$" for character in "<>|"},
}
_LATEX_STYLE = r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"
_CELL = "white-space: nowrap; padding: 2px 8px; text-align: "


@dataclass(frozen=True)
class Block:
    """One table of a report.

    Attributes:
        lines: cells of every line; the first line is the header, the first column names the rows.
        note: what the marks and columns mean; empty if there is nothing to say.
        title: what the table shows, for its caption in LaTeX.
    """

    lines: Sequence[Sequence[str]]
    note: str = ""
    title: str = ""


def text(head: str, blocks: Sequence[Block], width: int = WIDTH) -> str:
    """Aligned columns in lines of at most ``width`` characters; a wider table continues below.

    >>> print(text("Two rows.", [Block([["row", "VIF", "SSIM"], ["default", "0.5", "0.9"]])], width=14))
    Two rows.
    <BLANKLINE>
    row      VIF
    default  0.5
    <BLANKLINE>
    row      SSIM
    default   0.9
    """
    parts = [_filled(head, width)]
    for block in blocks:
        parts += [columns(lines) for lines in _narrow(block.lines, width)]
        if block.note:
            parts.append("\n".join(_filled(line, width) for line in block.note.splitlines()))
    return "\n\n".join(parts)


def markdown(head: str, blocks: Sequence[Block]) -> str:
    """Pipe tables, as GitHub, Jupyter and Pandoc read them.

    >>> print(markdown("Two rows.", [Block([["row", "VIF"], ["default", "0.5"]])]))
    Two rows.
    <BLANKLINE>
    | row | VIF |
    | :--- | ---: |
    | default | 0.5 |
    <BLANKLINE>
    """
    parts = [_plain_markdown(head)]
    for block in blocks:
        header, *lines = [f"| {' | '.join(map(_plain_markdown, line))} |" for line in block.lines]
        rule = f"| :--- |{' ---: |' * (len(block.lines[0]) - 1)}"
        parts.append("\n".join([header, rule, *lines]))
        if block.note:
            parts.append("  \n".join(map(_plain_markdown, block.note.splitlines())))
    return "\n\n".join(parts) + "\n"


def latex(head: str, blocks: Sequence[Block]) -> str:
    r"""One ``table`` for each block, for ``\usepackage{booktabs}``, with its note; a wide one continues in another.

    >>> print(latex("Two rows.", [Block([["row", "VIF"], ["default", "0.5±0.1"]], "mean", "Scores")]))
    % needs \usepackage{booktabs}
    \begin{table}
    \centering\footnotesize\setlength{\tabcolsep}{3pt}
    \caption{Scores: Two rows.}\label{tab:ablation-1}\medskip
    \begin{tabular}{lr}
    \toprule
    row & VIF \\
    \midrule
    default & 0.5$\pm$0.1 \\
    \bottomrule
    \end{tabular}
    \par\medskip\raggedright
    mean
    \end{table}
    <BLANKLINE>
    """
    parts = [r"% needs \usepackage{booktabs}"]
    number = itertools.count(1)
    for block in blocks:
        tabulars = [_tabular(lines) for lines in _narrow(block.lines, LATEX_WIDTH)]
        about = f"{block.title}: {head}" if block.title else head
        notes = [""] * (len(tabulars) - 1) + [_latex_note(block.note)]
        for part, (tabular, note) in enumerate(zip(tabulars, notes, strict=True)):
            caption = _plain_latex(f"{block.title or head} (continued)" if part else about)
            label = f"\\label{{tab:ablation-{next(number)}}}"
            parts += [
                f"\\begin{{table}}\n{_LATEX_STYLE}\n\\caption{{{caption}}}{label}\\medskip",
                tabular,
                f"{note}\\end{{table}}",
            ]
    return "\n".join(parts) + "\n"


def html(head: str, blocks: Sequence[Block]) -> str:
    """Tables that do not wrap: one that is wider than the page scrolls sideways.

    >>> "white-space: nowrap" in html("Two rows.", [Block([["row", "VIF"], ["default", "0.5"]])])
    True
    """
    parts = [f"<p>{escape(head)}</p>"]
    for block in blocks:
        header, *lines = block.lines
        body = "".join(f"<tr>{''.join(_cells(line, 'td'))}</tr>" for line in lines)
        parts.append(
            '<div style="overflow-x: auto"><table style="border-collapse: collapse; font-size: 13px">'
            f"<thead><tr>{''.join(_cells(header, 'th'))}</tr></thead><tbody>{body}</tbody></table></div>"
        )
        if block.note:
            parts.append(f"<p><small>{'<br>'.join(map(escape, block.note.splitlines()))}</small></p>")
    return "\n".join(parts)


def _filled(words: str, width: int) -> str:
    """Lines of at most ``width`` characters, in which names such as norm-once stay whole."""
    return fill(words, width, break_on_hyphens=False)


def _narrow(lines: Sequence[Sequence[str]], width: int) -> Iterator[list[list[str]]]:
    """The table as tables of at most ``width`` characters, each with the first column and at least one more."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    taken: list[int] = []
    for k in range(1, len(widths)):
        if taken and widths[0] + sum(2 + widths[j] for j in [*taken, k]) > width:
            yield [[line[j] for j in [0, *taken]] for line in lines]
            taken = []
        taken.append(k)
    yield [[line[j] for j in [0, *taken]] for line in lines]


def _tabular(lines: Sequence[Sequence[str]]) -> str:
    header, *body = [" & ".join(map(_plain_latex, line)) + r" \\" for line in lines]
    rules = f"\\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}\n\\toprule"
    return "\n".join([rules, header, r"\midrule", *body, "\\bottomrule\n\\end{tabular}"])


def _latex_note(note: str) -> str:
    """Its lines as paragraphs, since a line break would take a star that follows it for its own."""
    lines = "\\par\n".join(map(_plain_latex, note.splitlines()))
    return f"\\par\\medskip\\raggedright\n{lines}\n" if note else ""


def _plain_latex(words: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in words)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped)


def _plain_markdown(words: str) -> str:
    return "".join(f"\\{character}" if character in "\\|*_<" else character for character in words)


def _cells(line: Sequence[str], tag: str) -> Iterator[str]:
    for k, words in enumerate(line):
        yield f'<{tag} style="{_CELL}{"right" if k else "left"}">{escape(words)}</{tag}>'
