"""A report page as Markdown, for repositories: the very `ReportPage` that `page.render` turns into HTML.

A drawing with a `markdown` method says itself how it reads there; a chart with a `table` is written as that; of any
other the words are given that a screen reader gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Protocol, runtime_checkable

from nextoffer.evaluate.page import DataTable, Drawing, ReportPage, Section


@runtime_checkable
class Written(Protocol):
    """A drawing that knows how it reads in Markdown."""

    def markdown(self) -> str:
        """Return it as Markdown."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """A chart whose figures can be told as a table."""

    def table(self) -> DataTable:
        """Return the table."""
        ...


@dataclass(frozen=True)
class Bullets:
    """Sentences, one below the other."""

    sentences: tuple[str, ...]

    def draw(self) -> str:
        """Return them as an HTML list."""
        return f'<ul class="bullets">{"".join(f"<li>{escape(each)}</li>" for each in self.sentences)}</ul>'

    def markdown(self) -> str:
        """Return them as a list."""
        return "\n".join(f"- {_plain(each)}" for each in self.sentences)


def markdown(page: ReportPage) -> str:
    """Return the page as one Markdown document.

    >>> text = markdown(ReportPage("Toy bank", (("As of", "2025-10-11"),), "All is well.", ("It is.",), ()))
    >>> text.splitlines()[0], "- It is." in text
    ('# Toy bank', True)
    """
    parts = [f"# {page.title}", f"*{page.mast}*", *_facts(page), f"**{_plain(page.headline)}**"]
    parts += [Bullets(page.summary).markdown()] if page.summary else []
    parts += [part for section in page.sections for part in _section(section)]
    return "\n\n".join(parts) + "\n"


def drawn(drawing: Drawing) -> str:
    """Return one drawing as Markdown."""
    if isinstance(drawing, Written):
        return drawing.markdown()
    told = drawing.table() if isinstance(drawing, Tabled) else drawing
    if isinstance(told, DataTable):
        return table(told.columns, told.rows, told.numeric)
    found = re.search(r'aria-label="([^"]*)"', drawing.draw())
    return f"*{_plain(unescape(found[1]))}*" if found else ""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[str] = frozenset()) -> str:
    r"""Return rows of text under column names; what follows a line break in a cell is put beneath.

    >>> print(table(("a", "b"), [["x", "1|2"]], frozenset("b")))
    | a | b |
    |---|--:|
    | x | 1\|2 |
    """
    rule = "|".join("--:" if name in numeric else "---" for name in columns)
    return "\n".join([_row(columns), f"|{rule}|", *(_row(row) for row in rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|').replace(chr(10), '<br>') for cell in cells)} |"


def _plain(words: str) -> str:
    """Words without anything that Markdown would take for a mark."""
    return re.sub(r"([*<\\])", r"\\\1", words)


def _facts(page: ReportPage) -> Iterator[str]:
    if page.facts:
        yield table(("", ""), page.facts)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.heading}"
    yield from (_plain(part) for part in section.explanation.split("\n\n") if part.strip())
    yield from map(drawn, section.body)
