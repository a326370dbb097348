"""A bank: its tables, read lazily, each column with one spelling and one type.

``Bank.read`` looks at structure only. Rows are read when a view is queried; rows that break a rule never show in a view
(`nextoffer.tables.check` counts and explains them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from nextoffer.errors import BankError, did_you_mean
from nextoffer.tables.config import FILE_NAME, BankConfig, read_config
from nextoffer.tables.contract import Kind
from nextoffer.tables.database import Database, survey_database
from nextoffer.tables.infer import infer
from nextoffer.tables.layout import Described, Layout, describe, home_types, lay_out, unknown_names
from nextoffer.tables.problem import Problem
from nextoffer.tables.rules import Rule
from nextoffer.tables.source import find_sources
from nextoffer.tables.sql import quoted
from nextoffer.tables.translate import translated
from nextoffer.tables.views import connect, make_views

ROWS_AT_ONCE = 1_000_000
_SQL_ID_TYPES = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}


@dataclass(frozen=True, eq=False)
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
    remarks
        What is to be said of its structure: files and columns left aside, likely slips of the pen.

    Notes
    -----
    A bank holds one in-memory DuckDB connection; it is not for use by several threads at once.
    """

    path: Path
    config: BankConfig
    layouts: Mapping[str, Layout]
    rules: Mapping[str, tuple[Rule, ...]]
    remarks: tuple[Problem, ...]
    _id_types: Mapping[str, str] = field(repr=False)
    _connection: duckdb.DuckDBPyConnection = field(repr=False)
    _database: Database | None = field(default=None, repr=False)

    @classmethod
    def read(cls, where: str | Path) -> Bank:
        """Return the bank in a folder, or the one that a bank.toml describes.

        Raises
        ------
        BankError
            Tables or required columns are missing or of a type that makes no sense, files cannot be read, or bank.toml
            is wrong; all of it is told at once. Rows that break a rule are no error.
        """
        bank, problems = survey(where)
        if wrong := [str(p) for p in problems if p.severity == "fatal"]:
            raise BankError(wrong)
        return bank

    @property
    def name(self) -> str:
        """The bank's name, by bank.toml or else by its folder."""
        return self.config.name or self.path.name

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks, as sentences."""
        return tuple(str(remark) for remark in self.remarks)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that are there, in the contract's order."""
        return tuple(self.layouts)

    def has(self, table: str) -> bool:
        """Whether the table is there."""
        return table in self.layouts

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return the connection, always the same, in which every table is a view of its name.

        Columns have the contract's names and types: ids BIGINT or VARCHAR (`id_type`), numbers and the label DOUBLE,
        text VARCHAR, flags BOOLEAN, dates DATE. The time zone is UTC. Whoever reads a result in pieces should do so on
        a ``cursor()`` of it: DuckDB refuses a second query while a result is open.

        Raises
        ------
        BankError
            The tables lie in a database server; only `query` reaches them.
        """
        if self._database is not None:
            raise BankError(
                f"the tables of {self.name} lie in {self._database.server.place}, where this cannot be done yet: "
                "recommend, score, explain and fit can; for all else hand the tables over as files"
            )
        return self._connection

    @property
    def on_server(self) -> bool:
        """Whether the tables lie in a database server, so that `query` is the only way to them."""
        return self._database is not None

    @property
    def dialect(self) -> str:
        """The SQL that the bank's engine speaks: ``duckdb`` or ``postgres``."""
        return "duckdb" if self._database is None else self._database.dialect

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
        *,
        dialect: str = "duckdb",
    ) -> Iterator[pa.RecordBatch]:
        """Yield the answer to a query, wherever the tables lie; at least one batch, if only an empty one.

        Parameters
        ----------
        sql
            A SELECT over the bank's tables by their names.
        parameters
            By name, without what the dialect puts around them (``$name``, ``%(name)s``).
        relations
            Small tables of the caller's that it reads too.
        dialect
            What `sql` is written in: DuckDB's words, which are translated, or the bank's own `dialect`.
        """
        if self._database is None:
            con = self._connection.cursor()
            for name, table in (relations or {}).items():
                con.register(name, table)
            found = con.sql(sql, params=dict(parameters) if parameters else None).to_arrow_reader(ROWS_AT_ONCE)
            first = next(found, None)
            yield first if first is not None else pa.RecordBatch.from_pylist([], schema=found.schema)
            yield from found
            return
        said = sql if dialect == self.dialect else translated(sql, self.dialect)
        yield from self._database.query(said, parameters or {}, relations or {})

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change when a table's files do: their names, sizes and times of change.

        Tables that come from a query or another database are taken to stay as they are.
        """
        told = [
            (table, file.name, found.st_size, found.st_mtime_ns)
            for table, layout in self.layouts.items()
            for file in layout.source.files
            for found in [file.stat()]
        ]
        return sha256(repr(told).encode()).hexdigest()[:12]

    def columns(self, table: str) -> dict[str, Kind]:
        """Return the columns of a table's view, each as id, number, text, flag or date."""
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
        """Return a whole table; for small ones.

        Customers, products and merchants come in stored order, from a database server by rising id.
        """
        layout = self._layout(name)
        if self._database is None:
            return self._connection.sql(f"FROM {quoted(name)}").to_arrow_table()
        rows = pa.Table.from_batches(list(self.query(f"SELECT * FROM {quoted(name)}")))
        return rows if layout.table.key is None else rows.sort_by(layout.table.key)

    def _layout(self, table: str) -> Layout:
        if table not in self.layouts:
            there = f"{did_you_mean(table, self.layouts)}; there are {', '.join(self.layouts)}"
            raise BankError(f"the bank has no table '{table}'{there}")
        return self.layouts[table]


def survey(where: str | Path) -> tuple[Bank, list[Problem]]:
    """Return the bank as far as it can be read, and all that is to be said of its structure.

    Raises
    ------
    BankError
        There is no such place, or its bank.toml is wrong, so that nothing more can be said.
    """
    folder, config = _open(Path(where).resolve())
    if config.is_on_server:
        seen = survey_database(config)
        said = tuple(p for p in seen.problems if p.severity == "warn")
        bank = Bank(folder, config, seen.layouts, seen.rules, said, seen.id_types, duckdb.connect(), seen.database)
        return bank, seen.problems
    sources, problems = find_sources(folder, config)
    con = connect(folder, config)
    described: list[Described] = []
    for source in sources:
        one, wrong = describe(con, source, config)
        described += [] if one is None else [one]
        problems += wrong
    if not any(p.rule == "unreadable_file" for p in problems):
        problems += unknown_names(config, described)
    inferred = {d.table.name: infer(con, d) for d in described}
    id_types = home_types(described, {name: t for _, ids in inferred.values() for name, t in ids.items()})
    layouts: dict[str, Layout] = {}
    for one in described:
        layout, wrong = lay_out(one, config, inferred[one.table.name][0], id_types)
        problems += wrong
        if not any(p.table == one.table.name and p.severity == "fatal" for p in problems):
            layouts[one.table.name] = layout
    rules, empty = make_views(con, layouts)
    problems += empty
    remarks = tuple(p for p in problems if p.severity == "warn")
    return Bank(folder, config, layouts, rules, remarks, id_types, con), problems


def _open(where: Path) -> tuple[Path, BankConfig]:
    if where.is_dir():
        said = where / FILE_NAME
        return where, read_config(said) if said.exists() else BankConfig()
    if where.suffix == ".toml" and where.exists():
        return where.parent, read_config(where)
    found = "is neither a folder nor a .toml file" if where.exists() else "does not exist"
    raise BankError(f"{where} {found}; a bank is a folder of tables or a bank.toml")
