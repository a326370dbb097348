"""How DuckDB reads a table kept as CSV: every value as text, nothing guessed but the delimiter.

DuckDB's own guessing is not used: one broken line among the first makes it read a whole file as a single column. Lines
that do not have the header's number of fields are skipped; `nextoffer.tables.check` counts and shows them.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TextIO

from nextoffer.errors import BankError
from nextoffer.tables.config import TableConfig
from nextoffer.tables.sql import literal

DELIMITERS = ",;\t|"
KEEP_REJECTS = ", store_rejects = true, rejects_limit = 100000"
"""Options that make DuckDB remember the lines it skips, up to so many in a file."""


SAY_ENCODING = 'say which encoding it is in bank.toml (encoding = "latin-1")'


class Header(NamedTuple):
    """The names in a CSV's first line, made unique, and the delimiter between them."""

    names: tuple[str, ...]
    delimiter: str


def csv_sql(files: list[Path], said: TableConfig, options: str = "") -> str:
    """Return what reads the files, in their order, when it stands behind FROM.

    Parts may have their columns in different orders, or lack some.

    Raises
    ------
    BankError
        A file cannot be opened, is not in the encoding that is given, or has no header.
    """
    headed = [(read_header(f, said), f) for f in files]
    runs = [(header, [f for _, f in run]) for header, run in groupby(headed, key=lambda pair: pair[0])]
    if said.encoding:
        options += f", encoding = {literal(said.encoding)}"
    readers = [_reader(run, header, options) for header, run in runs]
    return readers[0] if len(readers) == 1 else f"({' UNION ALL BY NAME '.join(f'FROM {r}' for r in readers)})"


def _reader(files: list[Path], header: Header, options: str) -> str:
    listed = ", ".join(literal(str(f)) for f in files)
    columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in header.names)
    return (
        f"read_csv([{listed}], auto_detect = false, header = true, delim = {literal(header.delimiter)}, "
        f"quote = '\"', escape = '\"', columns = {{{columns}}}, ignore_errors = true{options})"
    )


def read_header(file: Path, said: TableConfig) -> Header:
    """Return what a CSV's first line says.

    Raises
    ------
    BankError
        The file cannot be opened, is not in the encoding that is given, or has no header.
    """
    try:
        with _open(file, said.encoding) as text:
            first = text.readline()
    except UnicodeError as error:
        encoding = said.encoding or "utf-8"
        raise BankError(f"{file.name} is not {encoding}; {SAY_ENCODING}") from error
    except (OSError, EOFError) as error:
        raise BankError(f"{file.name} cannot be read: {error}") from error
    if not first.strip():
        raise BankError(f"{file.name} is empty; it has not even a header")
    delimiter = said.delimiter or max(DELIMITERS, key=first.count)
    return Header(_unique(next(csv.reader([first], delimiter=delimiter))), delimiter)


def _open(file: Path, encoding: str | None) -> TextIO:
    encoding = encoding or "utf-8-sig"
    return gzip.open(file, "rt", encoding=encoding) if file.name.endswith(".gz") else file.open(encoding=encoding)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Names as DuckDB wants them: none empty, none twice whatever the case.

    >>> _unique(["a", "A", ""])
    ('a', 'A_1', 'column_3')
    """
    taken: set[str] = set()
    out: list[str] = []
    for number, name in enumerate(names, start=1):
        free = name.strip() or f"column_{number}"
        while free.lower() in taken:
            free = f"{free}_{number - 1}"
        taken.add(free.lower())
        out.append(free)
    return tuple(out)
