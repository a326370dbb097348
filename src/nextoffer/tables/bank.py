"""A bank: its tables, read lazily, each column with one spelling and one type.

``Bank.read`` looks at structure only. Rows are read when a view is queried; rows that break a rule never show in a view
(`nextoffer.tables.check` counts and explains them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from nextoffer.errors import BankError, did_you_mean
from nextoffer.tables.config import FILE_NAME, BankConfig, read_config
from nextoffer.tables.contract import Kind
from nextoffer.tables.infer import infer
from nextoffer.tables.layout import Described, Layout, describe, home_types, lay_out, unknown_names
from nextoffer.tables.problem import Problem, fatal
from nextoffer.tables.rules import Rule, clean_sql, duplicates_of, rules_of
from nextoffer.tables.source import find_sources
from nextoffer.tables.sql import literal, quoted

_SQL_ID_TYPES = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}


@dataclass(frozen=True)
class Bank:
    """The tables of one bank. Make one with `Bank.read`.

    Attributes
    ----------
    path
        The bank's folder.
    config
        What bank.toml says, or the defaults.
    layouts
        How each table that is there is read, by name.
    rules
        What its rows must fulfil, by table.
    notes
        What was left aside, and why.

    Notes
    -----
    A bank holds one in-memory DuckDB connection; it is not for use by several threads at once.
    """

    path: Path
    config: BankConfig
    layouts: Mapping[str, Layout]
    rules: Mapping[str, tuple[Rule, ...]]
    notes: tuple[str, ...]
    _id_types: Mapping[str, str] = field(repr=False)
    _connection: duckdb.DuckDBPyConnection = field(repr=False, compare=False)

    @classmethod
    def read(cls, where: str | Path) -> Bank:
        """Return the bank in a folder, or the one that a bank.toml describes.

        Raises
        ------
        BankError
            Tables or required columns are missing or of a type that makes no sense, files cannot be read, or bank.toml is wrong; all of
            it is told at once. Rows that break a rule are no error.
        """
        bank, problems = survey(where)
        if problems:
            raise BankError([str(p) for p in problems])
        return bank

    @property
    def name(self) -> str:
        """The bank's name, by bank.toml or else by its folder."""
        return self.config.name or self.path.name

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that are there, in the contract's order."""
        return tuple(self.layouts)

    def has(self, table: str) -> bool:
        """Whether the table is there."""
        return table in self.layouts

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return the connection, always the same, in which every table is a view of its name.

        Columns have the contract's names and types: ids BIGINT or VARCHAR (`id_type`), numbers and label DOUBLE, text VARCHAR, flags
        BOOLEAN, dates DATE. The time zone is UTC.
        """
        return self._connection

    def columns(self, table: str) -> dict[str, Kind]:
        """Return the columns of a table's view and what each holds: ``id``, ``number``, ``text``, ``flag`` or ``date``."""
        return {c.name: c.kind for c in self._layout(table).columns}

    def feature_columns(self, table: str) -> list[str]:
        """Return the columns that may be learned from: numbers, text and flags that are not sensitive."""
        kinds = self.columns(table).items()
        return [n for n, kind in kinds if kind in ("number", "text", "flag") and not self.config.is_sensitive(table, n)]

    def id_type(self, column: str) -> pa.DataType:
        """Return int64 or string: the type of an id (``customer_id``) in every table.

        Raises
        ------
        BankError
            No table has that id.
        """
        if column not in self._id_types:
            raise BankError(f"no table has an id '{column}'{did_you_mean(column, self._id_types)}")
        return _SQL_ID_TYPES[self._id_types[column]]

    def table(self, name: str) -> pa.Table:
        """Return a whole table, rows in stored order; for small ones such as products."""
        self._layout(name)
        return self._connection.sql(f"FROM {quoted(name)}").to_arrow_table()

    def _layout(self, table: str) -> Layout:
        if table not in self.layouts:
            raise BankError(
                f"the bank has no table '{table}'{did_you_mean(table, self.layouts)}; there are {', '.join(self.layouts)}"
            )
        return self.layouts[table]


def survey(where: str | Path) -> tuple[Bank, list[Problem]]:
    """Return the bank as far as it can be read, and every problem with which it cannot be used.

    Raises
    ------
    BankError
        There is no such place, or its bank.toml is wrong, so that nothing more can be said.
    """
    folder, config = _open(Path(where).resolve())
    found = find_sources(folder, config)
    con = _connection(folder, config)
    problems, notes = list(found.problems), list(found.notes)
    described: list[Described] = []
    for source in found.sources:
        one, wrong = describe(con, source, config)
        problems += wrong
        described += [one] if one is not None else []
    if not any(p.rule == "unreadable_file" for p in problems):
        problems += unknown_names(config, described)
    inferred = {d.table.name: infer(con, d) for d in described}
    id_types = home_types(described, {name: t for _, ids in inferred.values() for name, t in ids.items()})
    layouts: dict[str, Layout] = {}
    for one in described:
        layout, wrong, remarks = lay_out(one, config, inferred[one.table.name][0], id_types)
        problems += wrong
        notes += remarks
        if not any(p.table == one.table.name for p in problems):
            layouts[one.table.name] = layout
    rules = _make_views(con, layouts)
    problems += _empty(con, layouts)
    return Bank(folder, config, layouts, rules, tuple(notes), id_types, con), problems


def _open(where: Path) -> tuple[Path, BankConfig]:
    if where.is_dir():
        said = where / FILE_NAME
        return where, read_config(said) if said.exists() else BankConfig()
    if where.suffix == ".toml" and where.exists():
        return where.parent, read_config(where)
    found = "is neither a folder nor a .toml file" if where.exists() else "does not exist"
    raise BankError(f"{where} {found}; a bank is a folder of tables or a bank.toml")


def _connection(folder: Path, config: BankConfig) -> duckdb.DuckDBPyConnection:
    """A connection that never fetches an extension (banks are closed networks) and resolves files against the folder."""
    con = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")
    con.execute(f"SET GLOBAL file_search_path = {literal(str(folder))}")
    con.execute("CREATE SCHEMA typed")
    con.execute("CREATE SCHEMA duplicates")
    if config.database is not None:
        try:
            con.execute(f"ATTACH {literal(str(folder / config.database))} AS bank (TYPE duckdb, READ_ONLY)")
        except duckdb.Error as error:
            raise BankError(
                f"{FILE_NAME}: database '{config.database}' is no DuckDB file that can be read ({error})"
            ) from error
    return con


def _make_views(con: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout]) -> dict[str, tuple[Rule, ...]]:
    """Make the ``typed`` and the clean view of every table, those that others refer to first; return the rules by table."""
    made: dict[str, tuple[Rule, ...]] = {}
    for name in sorted(layouts, key=lambda t: len(layouts[t].table.refers)):
        layout = layouts[name]
        con.execute(f"CREATE VIEW typed.{quoted(name)} AS {layout.typed_sql()}")
        repeated = _number_duplicates(con, layout)
        readable = tuple(made)
        made[name] = rules_of(layout, readable, duplicates=repeated)
        con.execute(f"CREATE VIEW {quoted(name)} AS {clean_sql(layout, made[name], readable)}")
    return {name: made[name] for name in layouts}


def _number_duplicates(con: duckdb.DuckDBPyConnection, layout: Layout) -> bool:
    """Whether a key occurs twice. If so, rows get a number, and those after the first of their key are noted down."""
    if layout.table.key is None:
        return False
    key, view = quoted(layout.table.key), f"typed.{quoted(layout.table.name)}"
    ((repeated,),) = con.execute(f"SELECT count({key}) > count(DISTINCT {key}) FROM {view}").fetchall()
    if not repeated:
        return False
    con.execute(f"CREATE OR REPLACE VIEW {view} AS {layout.typed_sql(with_row=True)}")
    con.execute(
        f"CREATE TABLE {duplicates_of(layout.table.name)} AS SELECT _row FROM {view} WHERE {key} IS NOT NULL "
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _row) > 1"
    )
    return True


def _empty(con: duckdb.DuckDBPyConnection, layouts: Mapping[str, Layout]) -> list[Problem]:
    """A problem for each of customers and products without a single usable row."""
    problems = []
    for name in ("customers", "products"):
        if name in layouts and not con.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 1").fetchall():
            ((stored,),) = con.execute(f"SELECT count(*) FROM typed.{quoted(name)}").fetchall()
            found = f"has no usable row among its {stored:,}" if stored else "has no rows"
            problems.append(fatal(name, None, "empty_table", f"{found}; at least one is needed"))
    return problems
