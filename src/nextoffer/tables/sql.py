"""How one talks to DuckDB: texts and names as it wants them written, its complaints as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from nextoffer.errors import BankError


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


@contextmanager
def reading(origin: str) -> Iterator[None]:
    """Turn DuckDB's complaint about a file into a BankError that names it."""
    try:
        yield
    except duckdb.Error as error:
        raise BankError(f"{origin} cannot be read: {complaint(error)}") from error


def complaint(error: duckdb.Error) -> str:
    """Return the first line of what DuckDB says, files without the folders they lie in."""
    return re.sub(r"'[^']*/([^'/]+)'", r"'\1'", str(error).partition("\n")[0])
