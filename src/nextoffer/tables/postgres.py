"""A bank's tables in PostgreSQL (16 or later): what columns they have, and the answers to queries on them.

Only this module talks to the driver. Everything is read in read-only transactions, each of which sees one state of the
database; nothing is written there, and no more is fetched than an answer's rows, by a cursor on the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from nextoffer.errors import BankError
from nextoffer.tables.layout import Stored
from nextoffer.tables.sql import literal, quoted

if TYPE_CHECKING:
    import psycopg

ROWS_AT_ONCE = 4_096
_LONGEST_BIGINT = 18
_OLDEST = 160_000

_TYPES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("int2", "int4", "int8"), ("bigint", "int8")),
    **dict.fromkeys(("float4", "float8", "numeric"), ("double", "float8")),
    "bool": ("boolean", "bool"),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "uuid", "citext"), ("varchar", "text")),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp"),
    "timestamptz": ("timestamp with time zone", "timestamptz"),
}
"""PostgreSQL's type → DuckDB's that means the same, and what it is read as."""

_ARROW: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("int2", "int4", "int8"), pa.int64()),
    **dict.fromkeys(("float4", "float8"), pa.float64()),
    "bool": pa.bool_(),
    "date": pa.date32(),
}


@dataclass(frozen=True)
class Postgres:
    """A database.

    Attributes
    ----------
    url
        ``postgresql://user@host/database``; what it does not say (a password above all) comes from the environment
        (``PGPASSWORD``) or ``~/.pgpass``.
    """

    url: str

    @property
    def place(self) -> str:
        """The database, for people: without user and password."""
        parts = urlsplit(self.url)
        return f"PostgreSQL {parts.hostname or 'on this machine'}{parts.path}"

    def stored(self, relation: str) -> list[tuple[Stored, str]]:
        """Return the columns of what may stand behind FROM, each with the SQL that reads it in a type we know.

        Raises
        ------
        BankError
            There is no such relation, or it cannot be read.
        """
        with self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM {relation} AS held LIMIT 0".encode())
            return [_stored(c.name, c.type_display, c.precision, c.scale) for c in cursor.description or ()]

    def relations(self, schema: str) -> dict[str, bool]:
        """Return the tables and views in a schema, and whether each is a table, whose rows have an order."""
        columns = "table_name, table_type = 'BASE TABLE' AS is_table"
        asked = f"SELECT {columns} FROM information_schema.tables WHERE table_schema = {literal(schema)}"
        rows = (row for batch in self.answer(asked) for row in batch.to_pylist())
        return {str(row["table_name"]): bool(row["is_table"]) for row in rows}

    def answer(self, query: str, parameters: Mapping[str, Any] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query, as they come; it sees one state of the database.

        Numbers are int64 or float64, and texts string. Parameters are written ``%(name)s``.

        Raises
        ------
        BankError
            The server cannot be reached, or cannot answer.
        """
        with self._cursor(name="nextoffer") as cursor:
            cursor.execute(query.encode(), parameters)
            described = cursor.description or ()
            names = [c.name for c in described]
            types = [_ARROW.get(c.type_display.partition("(")[0], pa.string()) for c in described]
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                columns = zip(*rows, strict=True)
                arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names)
            if cursor.rownumber in (0, None):
                yield pa.RecordBatch.from_arrays([pa.array([], kind) for kind in types], names)

    @contextmanager
    def _cursor(self, name: str = "") -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        if find_spec("psycopg") is None:
            raise BankError("the bank lives in PostgreSQL: pip install 'nextoffer[postgres]'")
        import psycopg

        try:
            with psycopg.connect(self.url, application_name="nextoffer", connect_timeout=10) as connection:
                if connection.info.server_version < _OLDEST:
                    raise BankError(f"{self.place} is version {connection.info.server_version // 10_000}; 16 is needed")
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.execute("SET TIME ZONE 'UTC'")
                with connection.cursor(name) if name else connection.cursor() as cursor:
                    yield cursor
        except psycopg.Error as error:
            raise BankError(f"{self.place}: {str(error).strip().partition(chr(10))[0]}") from error


def _stored(name: str, display: str, precision: int | None, scale: int | None) -> tuple[Stored, str]:
    kind = display.partition("(")[0]
    known, read_as = _TYPES.get(kind, ("other", ""))
    if kind == "numeric" and scale == 0 and precision is not None and precision <= _LONGEST_BIGINT:
        known, read_as = "bigint", "int8"
    elif kind not in _TYPES and not display.endswith("[]") and kind not in ("bytea", "json", "jsonb", "interval"):
        known, read_as = "varchar", "text"  # an enumeration of the bank's own
    column = quoted(name)
    return Stored(name, display, known), f"CAST({column} AS {read_as}) AS {column}" if read_as else column
