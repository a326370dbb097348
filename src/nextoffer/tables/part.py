"""A part of a bank: all that is known of some of its customers, read once and kept in memory."""

from __future__ import annotations

from dataclasses import replace

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
    source = bank.connect().cursor()
    source.register(_WANTED, pa.table({"customer_id": customers}))
    kept = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    kept.execute("SET GLOBAL TimeZone = 'UTC'")
    for name in bank.tables:
        known = f" WHERE customer_id IN (FROM {_WANTED})" if "customer_id" in bank.columns(name) else ""
        rows = source.sql(f"FROM {quoted(name)}{known}").to_arrow_reader(1_000_000)
        kept.register("nextoffer_rows", rows)
        kept.execute(f"CREATE TABLE {quoted(name)} AS FROM nextoffer_rows")
        kept.unregister("nextoffer_rows")
    source.unregister(_WANTED)
    return replace(bank, _connection=kept)
