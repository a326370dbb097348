"""Makes a bank's connection and views: ``typed.<table>`` with every stored row, ``<table>`` with the usable ones."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import duckdb

from nextoffer.errors import BankError
from nextoffer.tables.config import FILE_NAME, BankConfig
from nextoffer.tables.layout import Layout
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.rules import Rule, clean_sql, duplicates_of, rules_of
from nextoffer.tables.sql import literal, quoted, reading


def connect(folder: Path, config: BankConfig) -> duckdb.DuckDBPyConnection:
    """Return a connection that looks for files in the folder and, as banks are closed networks, fetches no extension.

    Raises
    ------
    BankError
        The database of bank.toml cannot be read.
    """
    spill = Path(tempfile.gettempdir()) / f"nextoffer-{uuid.uuid4().hex}"  # else DuckDB spills into the working folder
    closed = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    con = duckdb.connect(config={**closed, "temp_directory": str(spill)})
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    con.execute(f"SET GLOBAL file_search_path = {literal(str(folder))}")
    con.execute("CREATE SCHEMA typed")
    con.execute("CREATE SCHEMA duplicates")
    if config.database is not None:
        try:
            con.execute(f"ATTACH {literal(str(folder / config.database))} AS bank (TYPE duckdb, READ_ONLY)")
        except duckdb.Error as error:
            message = f"{FILE_NAME}: database '{config.database}' is no DuckDB file that can be read"
            raise BankError(f"{message}; other databases are not supported yet ({error})") from error
    return con


def make_views(
    con: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout]
) -> tuple[dict[str, tuple[Rule, ...]], list[Problem]]:
    """Make both views of every table, those that others refer to first.

    Returns
    -------
    The rules by table; and a problem for each required table that others refer to and that has no usable row.

    Raises
    ------
    BankError
        A file turns out to be damaged.
    """
    made: dict[str, tuple[Rule, ...]] = {}
    problems: dict[str, Problem] = {}
    for name in sorted(layouts, key=lambda t: len(layouts[t].table.refers)):
        layout = layouts[name]
        with reading(layout.source.origin):
            con.execute(f"CREATE VIEW typed.{quoted(name)} AS {layout.typed_sql(layout.source.sql)}")
            repeated = _note_duplicates(con, layout)
            made[name] = rules_of(layout, [t for t in made if t not in problems], duplicates=repeated)
            con.execute(f"CREATE VIEW {quoted(name)} AS {clean_sql(layout, made[name])}")
            problems |= _if_empty(con, layout)
    return {name: made[name] for name in layouts}, list(problems.values())


def _note_duplicates(con: duckdb.DuckDBPyConnection, layout: Layout) -> bool:
    """Whether a key occurs twice. If so, rows get a number, and those after the first of their key are noted down."""
    if layout.table.key is None:
        return False
    key, view = quoted(layout.table.key), f"typed.{quoted(layout.table.name)}"
    ((repeated,),) = con.execute(f"SELECT count({key}) > count(DISTINCT {key}) FROM {view}").fetchall()
    if repeated:
        con.execute(f"CREATE OR REPLACE VIEW {view} AS {layout.typed_sql(layout.source.sql, with_row=True)}")
        con.execute(
            f"CREATE TABLE {duplicates_of(layout.table.name)} AS SELECT _row FROM {view} WHERE {key} IS NOT NULL "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _row) > 1"
        )
    return bool(repeated)


def _if_empty(con: duckdb.DuckDBPyConnection, layout: Layout) -> dict[str, Problem]:
    name = layout.table.name
    needed = layout.table.required and layout.table.key is not None
    if not needed or con.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 1").fetchall():
        return {}
    ((stored,),) = con.execute(f"SELECT count(*) FROM typed.{quoted(name)}").fetchall()
    found = f"has no usable row among its {stored:,}" if stored else "is empty"
    return {name: fatal(name, None, "empty_table", f"{found}; at least one row is needed")}
