"""Runs compiled queries on a bank's DuckDB."""

from __future__ import annotations

from datetime import date

import duckdb
import pyarrow as pa

from nextoffer.tables.bank import Bank


def connect(bank: Bank) -> duckdb.DuckDBPyConnection:
    """Return a connection of its own to the bank's views, so that what is registered on it stays private."""
    return bank.connect().cursor()


def run(con: duckdb.DuckDBPyConnection, sql: str, as_of: date) -> pa.Table:
    """Return the answer of a query whose only parameter, if it has one, is ``as_of``."""
    return con.sql(sql, params={"as_of": as_of} if "$as_of" in sql else None).to_arrow_table()
