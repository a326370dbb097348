"""What is known of customers whose bank lies in a database server: computed there, fetched in the order of ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa

from nextoffer.features import mcc
from nextoffer.features.compile import plan_sql, profiling_sql
from nextoffer.features.fit import check
from nextoffer.features.plan import Plan
from nextoffer.features.rows import MCC_TABLE
from nextoffer.features.wide import as_known
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Known


def stream_remote(
    plan: Plan, bank: Bank, as_of: date, *, chunk: int, after: int | str | None = None
) -> Iterator[Known]:
    """Yield the customers of a bank by rising id, `chunk` at a time, out of one query that sees one state of it.

    Parameters
    ----------
    plan
        Features and facts.
    bank
        One that lies in a database server.
    as_of
        The day.
    chunk, after
        As for `nextoffer.features.stream_known`.

    Raises
    ------
    FeatureError
        The bank lacks what the features are made of.
    """
    check(plan.spec, bank)
    day: dict[str, Any] = {"as_of": as_of}
    profiling = bank.has("consents") and _first(bank, profiling_sql(bank.dialect), day)
    known = plan_sql(Plan(plan.spec, plan.facts, profiling=bool(profiling)), bank.dialect)
    in_order = "customer_id" if pa.types.is_integer(bank.id_type("customer_id")) else 'customer_id COLLATE "C"'
    later = "" if after is None else f" WHERE {in_order} > %(after)s"
    asked = day if after is None else {**day, "after": after}
    sql = f"SELECT * FROM ({known}) AS known{later} ORDER BY {in_order}"
    facts = plan.facts
    assert facts is not None
    rows = bank.query(sql, asked, {MCC_TABLE: mcc.table()}, dialect=bank.dialect)
    for table in _pieces(rows, chunk):
        yield as_known(table, plan.spec, facts.products, as_of, asked=facts.asked)


def _first(bank: Bank, sql: str, parameters: dict[str, Any]) -> object:
    return next(bank.query(sql, parameters, dialect=bank.dialect)).column(0)[0].as_py()


def _pieces(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Tables of `size` rows, the last excepted; none is empty."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        while sum(b.num_rows for b in waiting) >= size:
            rows = pa.Table.from_batches(waiting)
            yield rows.slice(0, size)
            waiting = rows.slice(size).to_batches()
    if any(b.num_rows for b in waiting):
        yield pa.Table.from_batches(waiting)
