"""Toy banks from rows, written to disk and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from nextoffer.tables.bank import Bank

DAY = date(2025, 5, 1)

Rows = Sequence[Sequence[Any]]

TEXT, NUMBER, DATE, FLAG = pa.string(), pa.float64(), pa.date32(), pa.bool_()
SCHEMAS: Mapping[str, Mapping[str, pa.DataType]] = {
    "customers": {
        "customer_id": pa.int64(),
        "age": NUMBER,
        "income": NUMBER,
        "segment": TEXT,
        "salary_day": NUMBER,
        "household_id": pa.int64(),
        "joined_on": DATE,
        "web_user": FLAG,
    },
    "products": {"product_id": TEXT, "product_type": TEXT, "name": TEXT},
    "holdings": {"customer_id": pa.int64(), "product_id": TEXT, "opened_on": DATE, "closed_on": DATE},
    "transactions": {
        "customer_id": pa.int64(),
        "date": DATE,
        "amount": NUMBER,
        "merchant_id": pa.int64(),
        "mcc": TEXT,
        "channel": TEXT,
        "direction": TEXT,
    },
    "merchants": {"merchant_id": pa.int64(), "mcc": TEXT},
    "responses": {
        "customer_id": pa.int64(),
        "product_id": TEXT,
        "offered_on": DATE,
        "label": pa.int64(),
        "responded_on": DATE,
    },
    "consents": {"customer_id": pa.int64(), "purpose": TEXT, "channel": TEXT, "granted": FLAG, "recorded_on": DATE},
    "risk": {"customer_id": pa.int64(), "pd": NUMBER, "delinquent": FLAG, "vulnerable": FLAG},
}

CUSTOMERS: Rows = [
    (1, 30.0, 50.0, "Mass", 31.0, 900, date(2020, 5, 1), True),
    (2, 61.0, None, None, None, None, date(2025, 5, 1), None),
    (3, None, 20.0, "Affluent", 1.0, 900, None, False),
]
PRODUCTS: Rows = [("A", "card", "Blue card"), ("B", "loan", None), ("C", "savings", None)]
HOLDINGS: Rows = [
    (1, "A", date(2020, 5, 1), None),
    (1, "B", date(2024, 5, 1), date(2025, 4, 21)),
    (1, "C", date(2025, 4, 1), date(2025, 5, 1)),
    (1, "B", date(2025, 5, 1), None),
    (2, "A", None, None),
]
TRANSACTIONS: Rows = [
    (1, date(2025, 4, 30), 100.0, None, "5411", "mobile", "debit"),
    (1, date(2025, 4, 2), 20.0, None, "dining", "web", "debit"),
    (1, date(2025, 4, 26), 10.0, None, "fuel", "mobile", "debit"),
    (1, date(2025, 2, 28), 40.0, 7, "5812", "branch", None),
    (1, date(2024, 1, 15), 30.0, 7, None, "branch", "debit"),
    (1, date(2025, 4, 30), 3000.0, None, None, "mobile", "credit"),
    (1, date(2025, 4, 15), 4000.0, None, None, "mobile", "credit"),
    (1, date(2025, 5, 1), 999.0, None, "travel", "kiosk", "debit"),
    (2, date(2025, 4, 1), 7.0, None, "zoo", None, "debit"),
]
MERCHANTS: Rows = [(7, "Supermarket"), (8, "4511")]
RESPONSES: Rows = [
    (1, "A", date(2025, 4, 11), 1, date(2025, 4, 21)),
    (1, "A", date(2025, 4, 25), 1, date(2025, 5, 1)),
    (1, "B", date(2025, 3, 2), 0, None),
    (1, "B", date(2025, 5, 1), 1, None),
    (2, "B", date(2025, 4, 30), 1, None),
]
RISK: Rows = [(1, 0.02, False, True)]

BANK: Mapping[str, Rows] = {
    "customers": CUSTOMERS,
    "products": PRODUCTS,
    "holdings": HOLDINGS,
    "transactions": TRANSACTIONS,
    "merchants": MERCHANTS,
    "responses": RESPONSES,
    "risk": RISK,
}


def table(name: str, rows: Rows, drop: Sequence[str] = ()) -> pa.Table:
    """Return the rows of a table, without the columns to drop."""
    schema = pa.schema(list(SCHEMAS[name].items()))
    dicts = [dict(zip(schema.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(dicts, schema=schema).drop_columns(list(drop))


def bank_of(folder: Path, tables: Mapping[str, Rows | pa.Table] = BANK, toml: str | None = None) -> Bank:
    """Write tables, given as rows or ready, and read the bank."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        content = rows if isinstance(rows, pa.Table) else table(name, rows)
        pa.parquet.write_table(content, folder / f"{name}.parquet")
    if toml is not None:
        (folder / "bank.toml").write_text(toml, encoding="utf-8")
    return Bank.read(folder)
