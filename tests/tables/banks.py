"""Toy banks on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

CUSTOMERS = "customer_id,age,income,segment\n1,30,5,Mass\n2,40,7.5,Affluent\n3,50,,Mass\n"
PRODUCTS = "product_id,product_type,min_income\n10,CC,4\n11,PL,6\n"
HOLDINGS = "customer_id,product_id,opened_on,closed_on\n1,10,2025-01-05,\n2,11,2024-03-01,2025-02-01\n"
TRANSACTIONS = (
    "customer_id,date,amount,merchant_id,mcc,channel\n"
    "1,2025-09-01,12.5,7,groceries,web\n"
    "2,2025-09-02,80,8,travel,mobile\n"
    "3,2025-10-01,3,7,groceries,branch\n"
)
MERCHANTS = "merchant_id,mcc\n7,groceries\n8,4511\n"
RESPONSES = "customer_id,product_id,offered_on,label\n1,11,2025-09-01,0\n2,10,2025-09-08,1\n"

CONSENTS = "customer_id,purpose,granted,recorded_on\n1,marketing,yes,2025-01-01\n2,profiling,no,2025-01-01\n"
RISK = "customer_id,pd,delinquent,vulnerable\n1,0.01,false,false\n2,0.2,true,false\n"

REQUIRED: Mapping[str, str] = {"customers.csv": CUSTOMERS, "products.csv": PRODUCTS, "holdings.csv": HOLDINGS}
FURTHER: Mapping[str, str] = {
    "transactions.csv": TRANSACTIONS,
    "merchants.csv": MERCHANTS,
    "responses.csv": RESPONSES,
    "consents.csv": CONSENTS,
    "risk.csv": RISK,
}


def write_bank(folder: Path, changes: Mapping[str, str | bytes | pa.Table | None] | None = None) -> Path:
    """Write the required tables with some files changed: text, bytes, a table for ``.parquet``, or None for no file."""
    for name, content in {**REQUIRED, **(changes or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            pa.parquet.write_table(content, path)
    return folder
