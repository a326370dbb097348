"""One self-contained HTML page: no script, no font, no picture from elsewhere; readable on a laptop and on paper.

A `ReportPage` is plain values; `render` turns it into text. A section's body is anything with a `draw` method, so a new
kind of chart needs no change here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Literal, Protocol

from nextoffer.evaluate.gate import Criterion
from nextoffer.evaluate.wording import UNKNOWN, bounds, whole_percent


class Drawing(Protocol):
    """Something that can be put on a page."""

    def draw(self) -> str:
        """Return it as HTML or SVG."""
        ...


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes
    ----------
    heading
        What it is about.
    explanation
        How to read it, in plain words; paragraphs are parted by an empty line.
    body
        Charts and tables, from top to bottom.
    layout
        ``beside``: explanation to the left of the body; ``below``: body over the whole width.
    """

    heading: str
    explanation: str
    body: tuple[Drawing, ...]
    layout: Literal["beside", "below"] = "beside"


@dataclass(frozen=True)
class ReportPage:
    """A whole report.

    Attributes
    ----------
    title
        Whose report it is, such as the bank's name.
    facts
        What it rests on: pairs of name and value, such as ("As of", "2025-10-11").
    headline
        The verdict in one sentence.
    summary
        What a reader in a hurry must know, in sentences.
    sections
        The evidence.
    mast
        What kind of report it is.
    contents
        Whether the sections are listed at the top, for long reports.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    headline: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
    mast: str = "NextOffer evaluation report"
    contents: bool = False


@dataclass(frozen=True)
class GateTable:
    """The acceptance gate as a table."""

    criteria: tuple[Criterion, ...]

    def draw(self) -> str:
        """Return the table as HTML."""
        return _table(
            ("Criterion", "Needed", "Measured", "Best possible", "Share of achievable", "Verdict"),
            [self._row(criterion) for criterion in self.criteria],
            kind="gate",
        )

    def _row(self, criterion: Criterion) -> list[str]:
        form, share = criterion.form, criterion.share
        mark = "met" if criterion.met else "missed"
        return [
            escape(criterion.name),
            f"≥ {form(criterion.needed)}",
            _two_lines(f"{form(criterion.measured.estimate)}\n{bounds(criterion.measured, form)}"),
            UNKNOWN if criterion.ceiling is None else form(criterion.ceiling),
            UNKNOWN
            if share is None
            else _two_lines(f"{whole_percent(share.estimate)}\n{bounds(share, whole_percent)}"),
            f'<span class="verdict {mark}">{escape(criterion.verdict)}</span>',
        ]


@dataclass(frozen=True)
class DataTable:
    """Rows of text under column names.

    Attributes
    ----------
    rows
        Cells; what follows a line break in a cell is set small beneath.
    numeric
        Columns to range right.
    strong
        First cell of the row to set bold.
    even
        All columns equally wide, so that those of tables beneath each other stand in line.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    strong: str = ""
    even: bool = False

    def draw(self) -> str:
        """Return the table as HTML."""
        rows = [[_two_lines(cell) for cell in row] for row in self.rows]
        kind = "data even" if self.even else "data"
        return _table(self.columns, rows, kind=kind, right=self.numeric, strong=escape(self.strong))


def _two_lines(cell: str) -> str:
    first, _, second = cell.partition("\n")
    return f"{escape(first)}<small>{escape(second)}</small>" if second else escape(first)


def render(page: ReportPage) -> str:
    """Return the page as one HTML document that needs nothing else.

    >>> html = render(ReportPage("Toy bank", (("As of", "2025-10-11"),), "All is well.", (), ()))
    >>> html.startswith("<!doctype html>") and "All is well." in html and "http" not in html
    True
    """
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in page.facts)
    summary = "".join(f"<li>{escape(sentence)}</li>" for sentence in page.summary)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}: next best offers</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f'<header>\n<p class="mast">{escape(page.mast)}</p>\n<h1>{escape(page.title)}</h1>\n'
        f'<dl class="facts">{facts}</dl>\n</header>\n'
        f'<section class="lead">\n<p class="headline">{escape(page.headline)}</p>\n<ul>{summary}</ul>\n</section>\n'
        f"{_contents(page)}{''.join(_section(*each) for each in enumerate(page.sections, start=1))}"
        "</main>\n</body>\n</html>\n"
    )


def _contents(page: ReportPage) -> str:
    if not page.contents:
        return ""
    lines = (f'<li><a href="#s{i}">{escape(s.heading)}</a></li>' for i, s in enumerate(page.sections, start=1))
    return f'<nav class="contents"><ul>{"".join(lines)}</ul></nav>\n'


@cache
def _style() -> str:
    return files("nextoffer.evaluate").joinpath("report.css").read_text(encoding="utf-8")


def _section(number: int, section: Section) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in section.explanation.split("\n\n") if part.strip())
    body = "".join(f"<figure>{drawing.draw()}</figure>" for drawing in section.body)
    words = f'<div class="words"><h2>{escape(section.heading)}</h2>{paragraphs}</div>'
    start = f'<section class="{section.layout}" id="s{number}">'
    return f'{start}\n{words}\n<div class="body">{body}</div>\n</section>\n'


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    kind: str = "data",
    right: frozenset[str] = frozenset(),
    strong: str = "",
) -> str:
    """Rows of cells that are HTML already."""
    sides = [' class="number"' if name in right else "" for name in columns]
    head = "".join(f"<th{side}>{escape(name)}</th>" for name, side in zip(columns, sides, strict=True))
    body = "".join(
        f"<tr{_bold_if(row[0] == strong)}>"
        + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _bold_if(strong: bool) -> str:
    return ' class="strong"' if strong else ""
