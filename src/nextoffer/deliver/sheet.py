"""CSV files that people open in a spreadsheet: no cell of text can become a formula."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from nextoffer.tables.write import LIST_SEPARATOR

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # full width ones count too
_NUMBER = re.compile(r"[+-]?\d[\d ()./-]*", re.ASCII)


def write_sheet(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, for_spreadsheet: bool = False
) -> int:
    """Write rows as CSV (UTF-8, comma, one header); return how many there were.

    Parameters
    ----------
    columns
        Names of the header, in order; what a row lacks is an empty cell.
    for_spreadsheet
        Begin with the mark that lets a spreadsheet read UTF-8 as such.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8-sig" if for_spreadsheet else "utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([cell(row.get(name)) for name in columns])
            count += 1
    return count


def join_sheets(paths: Sequence[Path], into: Path) -> None:
    """Append the rows of several files to a file that has the same header."""
    with into.open("ab") as out:
        for path in paths:
            with path.open("rb") as file:
                file.readline()
                shutil.copyfileobj(file, out)


def cell(value: object) -> str:
    """Return a value as a cell; text that a spreadsheet would compute gets an apostrophe before it.

    Numbers, and texts that are nothing but a telephone or other number, stay as they are.

    >>> cell("=1+1"), cell(" @sum"), cell("+49 (30) 123-45"), cell(-2.5), cell(None), cell(["a", "b"])
    ("'=1+1", "' @sum", '+49 (30) 123-45', '-2.5', '', 'a | b')
    """
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | date):
        return str(value)
    return _text(LIST_SEPARATOR.join(map(str, value)) if isinstance(value, list) else str(value))


def _text(text: str) -> str:
    if (text.lstrip(" ").startswith(_STARTS) or text.startswith(_STARTS)) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
