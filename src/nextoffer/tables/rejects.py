"""Writes the rows that a bank's rules set aside, with the rules that caught them, so that the bank can mend them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from nextoffer.errors import BankError
from nextoffer.tables.broken import broken_lines
from nextoffer.tables.check import CheckResult
from nextoffer.tables.layout import Layout
from nextoffer.tables.rules import Rule
from nextoffer.tables.sql import literal, quoted
from nextoffer.tables.write import LIST_SEPARATOR, write_table


def write_rejects(result: CheckResult, folder: str | Path) -> dict[str, int]:
    """Write the set-aside rows of every table and return how many there are of each.

    A table's rows go to ``<table>.rejects.csv``: ``rule`` (every rule that caught the row, as ``column: rule``, joined
    by `` | ``) and the table's columns as they are stored. Lines of a CSV that could not be taken apart go to
    ``<table>.lines.rejects.csv``: file, line, text, error. Tables without rejects get no file, and lose that of an
    earlier run.

    Raises
    ------
    BankError
        The bank cannot be used; then nothing is written.
    """
    if result.bank is None or not result.usable:
        raise BankError([str(p) for p in result.problems if p.severity == "fatal"])
    folder = Path(folder)
    written: dict[str, int] = {}
    for name, layout in result.bank.layouts.items():
        con = result.bank.connect().cursor()
        why = {p.rule == "broken_line" for p in result.problems if p.table == name and p.severity == "reject"}
        rows = _reject_rows(con, layout, result.bank.rules[name]) if False in why else None
        count = _replace(folder / f"{name}.rejects.csv", rows)
        lines = _reject_lines(con, layout) if True in why else None
        count += _replace(folder / f"{name}.lines.rejects.csv", lines)
        written |= {name: count} if count else {}
    return written


def _replace(path: Path, rows: pa.Table | pa.RecordBatchReader | None) -> int:
    if rows is None:
        path.unlink(missing_ok=True)
        return 0
    return write_table(rows, path)


def _reject_rows(con: duckdb.DuckDBPyConnection, layout: Layout, rules: tuple[Rule, ...]) -> pa.RecordBatchReader:
    caught = ", ".join(f"CASE WHEN {r.sql} THEN {literal(r.code)} END" for r in rules if r.severity == "reject")
    rule = f"array_to_string(list_filter([{caught}], lambda code: code IS NOT NULL), {literal(LIST_SEPARATOR)})"
    stored = ", ".join(f"{c.raw} AS {c.sql}" for c in layout.columns)
    query = f"SELECT {rule} AS rule, {stored} FROM typed.{quoted(layout.table.name)} WHERE rule <> ''"
    return con.sql(query).to_arrow_reader()


def _reject_lines(con: duckdb.DuckDBPyConnection, layout: Layout) -> pa.Table:
    con.execute(f"SELECT count(*) FROM {layout.source.keeping_rejects}").fetchall()
    lines = [line._replace(file=Path(line.file).name) for line in broken_lines(con)]
    schema = pa.schema([("file", pa.string()), ("line", pa.int64()), ("text", pa.string()), ("error", pa.string())])
    return pa.Table.from_pylist([line._asdict() for line in lines], schema=schema)
