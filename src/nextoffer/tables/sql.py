"""Texts and names as DuckDB wants them written."""

from __future__ import annotations


def literal(text: str) -> str:
    """Return a text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier.

    >>> quoted("date")
    '"date"'
    """
    return '"' + name.replace('"', '""') + '"'
