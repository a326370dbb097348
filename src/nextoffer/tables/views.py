"""Makes a bank's connection and views: ``typed.<table>`` with every stored row, ``<table>`` with the usable ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from nextoffer.errors import BankError
from nextoffer.tables.config import FILE_NAME, BankConfig
from nextoffer.tables.layout import Layout
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.rules import Rule, clean_sql, duplicates_of, rules_of
from nextoffer.tables.sql import literal, quoted


def connect(folder: Path, config: BankConfig) -> duckdb.DuckDBPyConnection:
    """Return a connection that looks for files in the folder and, as banks are closed networks, fetches no extension.

    Raises
    ------
    BankError
        The database of bank.toml cannot be read.
    """
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
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


def make_views(con: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout]) -> dict[str, tuple[Rule, ...]]:
    """Make both views of every table, those that others refer to first; return the rules by table."""
    made: dict[str, tuple[Rule, ...]] = {}
    for name in sorted(layouts, key=lambda t: len(layouts[t].table.refers)):
        layout = layouts[name]
        con.execute(f"CREATE VIEW typed.{quoted(name)} AS {layout.typed_sql(layout.source.sql)}")
        repeated = _note_duplicates(con, layout)
        made[name] = rules_of(layout, tuple(made), duplicates=repeated)
        con.execute(f"CREATE VIEW {quoted(name)} AS {clean_sql(layout, made[name])}")
    return {name: made[name] for name in layouts}


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


def empty_tables(con: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout]) -> list[Problem]:
    """Return a problem for customers or products without a single usable row."""
    problems = []
    for name in ("customers", "products"):
        if name in layouts and not con.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 1").fetchall():
            ((stored,),) = con.execute(f"SELECT count(*) FROM typed.{quoted(name)}").fetchall()
            found = f"has no usable row among its {stored:,}" if stored else "is empty"
            problems.append(fatal(name, None, "empty_table", f"{found}; at least one row is needed"))
    return problems
