"""A part of a bank: all that is known of some of its customers, read once and kept in memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import duckdb
import pyarrow as pa

from nextoffer.tables.bank import Bank
from nextoffer.tables.sql import quoted

_WANTED = "nextoffer_part"


def part_of(bank: Bank, customers: pa.Array) -> Bank:
    """Return the bank with these customers only, and their rows of every table; the other tables whole.

    Each table is read once, and what is kept of it lies in memory: as large as the part, not as the bank.

    Parameters
    ----------
    bank
        Any bank.
    customers
        m different ids, in the bank's type.
    """
    wanted = {_WANTED: pa.table({"customer_id": customers})}
    kept = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    kept.execute("SET GLOBAL TimeZone = 'UTC'")
    for name in bank.tables:
        of_these = "customer_id" in bank.columns(name)
        known = f" WHERE customer_id IN (SELECT customer_id FROM {_WANTED})" if of_these else ""
        batches = bank.query(f"SELECT * FROM {quoted(name)}{known}", relations=wanted if of_these else None)
        first = next(batches)
        kept.register("nextoffer_rows", pa.RecordBatchReader.from_batches(first.schema, chain([first], batches)))
        kept.execute(f"CREATE TABLE {quoted(name)} AS FROM nextoffer_rows")
        kept.unregister("nextoffer_rows")
    return replace(bank, _connection=kept, _database=None)
