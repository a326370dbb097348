"""Lines of a CSV that cannot be taken apart: those with too many or too few fields, or not in the file's encoding."""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from nextoffer.tables.csv_source import SAY_ENCODING
from nextoffer.tables.problem import Problem

_EXAMPLES = 3


class BrokenLine(NamedTuple):
    """Where a line stands, what it says and what is wrong with it."""

    file: str
    line: int
    text: str
    error: str


def broken_lines(con: duckdb.DuckDBPyConnection) -> list[BrokenLine]:
    """Return the lines skipped in the CSV that `con` has read with ``store_rejects``, each once, in their order."""
    found = con.execute(
        "SELECT file_path, line, any_value(trim(csv_line, chr(10) || chr(13))), any_value(lower(error_type)) "
        "FROM reject_errors JOIN reject_scans USING (scan_id, file_id) "
        "GROUP BY file_path, line ORDER BY file_path, line"
    ).fetchall()
    return [BrokenLine(*row) for row in found]


def broken_line_problems(table: str, lines: list[BrokenLine]) -> list[Problem]:
    """Return what broken lines mean for a table: a wrong encoding is fatal, other lines are set aside."""
    foreign = [line for line in lines if line.error == "invalid encoding"]
    others = [line for line in lines if line.error != "invalid encoding"]
    problems = []
    if foreign:
        message = f"{_lines(foreign)} not in the encoding of the file; {SAY_ENCODING}"
        problems.append(Problem(table, None, "wrong_encoding", len(foreign), _shown(foreign), "fatal", message))
    if others:
        message = f"{_lines(others)} set aside, as the number of fields is not the header's"
        problems.append(Problem(table, None, "broken_line", len(others), _shown(others), "reject", message))
    return problems


def _lines(lines: list[BrokenLine]) -> str:
    return "1 line is" if len(lines) == 1 else f"{len(lines):,} lines are"


def _shown(lines: list[BrokenLine]) -> tuple[str, ...]:
    return tuple(f"line {line.line}: {line.text[:80]}" for line in lines[:_EXAMPLES])
