"""Whether transactions lie in the order of customers, as their Parquet files tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nextoffer.features.order import SLAB, SLAB_OF_ALL, slab_of
from nextoffer.tables.bank import Bank

N = 4_000


def bank_with(folder: Path, customers: np.ndarray, *, ending: str = "parquet", text: bool = False) -> Bank:
    def ids(numbers: np.ndarray) -> pa.Array:
        return pa.array([f"C{i:06d}" for i in numbers]) if text else pa.array(numbers)

    rows = pa.table({"customer_id": ids(customers), "date": ["2025-01-01"] * len(customers), "amount": 1.0 * customers})
    rows = rows.set_column(1, "date", rows.column(1).cast(pa.timestamp("s")).cast(pa.date32()))
    tables = {
        "customers": pa.table({"customer_id": ids(np.arange(N))}),
        "products": pa.table({"product_id": ["A"], "product_type": ["card"]}),
        "holdings": pa.table({"customer_id": ids(np.arange(1)), "product_id": ["A"]}),
    }
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    if ending == "parquet":
        pq.write_table(rows, folder / "transactions.parquet", row_group_size=200)
    else:
        pyarrow.csv.write_csv(rows, folder / "transactions.csv")
    return Bank.read(folder)


@pytest.mark.parametrize("text", [False, True])
def test_sorted_files_need_little_at_once(tmp_path: Path, text: bool) -> None:
    bank = bank_with(tmp_path, np.repeat(np.arange(N), 2), text=text)
    assert slab_of(bank, bank.connect()) == SLAB


@pytest.mark.parametrize("text", [False, True])
def test_files_in_no_order_are_read_a_few_times_only(tmp_path: Path, text: bool) -> None:
    bank = bank_with(tmp_path, np.random.default_rng(1).permutation(np.repeat(np.arange(N), 2)), text=text)
    assert slab_of(bank, bank.connect()) == SLAB_OF_ALL


def test_whole_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    bank = bank_with(tmp_path, np.arange(9_900 - N, 9_900 + N))
    assert slab_of(bank, bank.connect()) == SLAB


def test_of_csv_nothing_is_known(tmp_path: Path) -> None:
    bank = bank_with(tmp_path, np.arange(N), ending="csv")
    assert slab_of(bank, bank.connect()) == SLAB_OF_ALL
