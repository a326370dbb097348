"""A table of features answers alike whole, in rows, and restricted to some columns."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextoffer.errors import FeatureError
from nextoffer.tables.flow import FeatureColumn, FeatureTable
from tests.models import worlds

CUSTOMERS = worlds.customers(40, seed=4)
NUMBERS = [c.name for c in CUSTOMERS.columns if c.kind != "category"]
TEXTS = [c.name for c in CUSTOMERS.columns if c.kind == "category"]


@given(st.lists(st.integers(0, 39), max_size=20))
def test_rows_of_a_table_hold_what_the_table_holds(chosen: list[int]) -> None:
    rows = np.array(chosen, dtype=np.intp)
    some = CUSTOMERS.take(rows)
    assert len(some) == len(rows)
    assert some.data.num_rows == len(rows)
    assert some.customer_ids.to_pylist() == CUSTOMERS.customer_ids.take(pa.array(rows)).to_pylist()
    for name in NUMBERS:
        assert np.array_equal(some.numbers(name), CUSTOMERS.numbers(name)[rows], equal_nan=True)
    for name in TEXTS:
        assert some.texts(name).tolist() == CUSTOMERS.texts(name)[rows].tolist()
    for name in (*NUMBERS, *TEXTS):
        assert some.cells(name) == some.array(name).to_pylist() == some.data.column(name).to_pylist()
    held, ids = CUSTOMERS.per_product("held", worlds.IDS), (*worlds.IDS, "99")
    assert np.array_equal(some.per_product("held", ids)[:, :-1], held[rows])
    assert np.isnan(some.per_product("held", ids)[:, -1]).all()


def test_rows_of_rows_are_rows() -> None:
    once = CUSTOMERS.take(np.array([7, 3, 9])).take(np.array([2, 0]))
    assert np.array_equal(once.numbers("income"), CUSTOMERS.numbers("income")[[9, 7]], equal_nan=True)


def test_a_handful_travels_without_the_table_it_came_from() -> None:
    sent = pickle.dumps(CUSTOMERS.take(np.array([5])))
    assert len(sent) < len(pickle.dumps(CUSTOMERS))
    assert pickle.loads(sent).data.to_pylist() == CUSTOMERS.data.slice(5, 1).to_pylist()


def test_columns_in_pieces_are_read_whole() -> None:
    pieces = pa.concat_tables([CUSTOMERS.data.slice(0, 10), CUSTOMERS.data.slice(10, 30)])
    table = FeatureTable(pieces, CUSTOMERS.columns, CUSTOMERS.as_of)
    assert table.array("segment").to_pylist() == CUSTOMERS.data.column("segment").to_pylist()
    assert np.array_equal(table.numbers("income"), CUSTOMERS.numbers("income"), equal_nan=True)


def test_a_restricted_table_keeps_order_and_meaning() -> None:
    some = CUSTOMERS.select({"held_12", "income"})
    assert some.data.column_names == ["customer_id", "income", "held_12"]
    assert [c.name for c in some.columns] == list(some.names) == ["income", "held_12"]
    assert some.measures == {"held": {"12": "held_12"}}
    assert np.array_equal(some.numbers("income"), CUSTOMERS.numbers("income"), equal_nan=True)


def test_a_number_without_nulls_is_not_copied() -> None:
    table = worlds.numbers(x=np.arange(3.0))
    assert np.shares_memory(table.numbers("x"), table.data.column("x").chunk(0).to_numpy())


@pytest.mark.parametrize("table", [CUSTOMERS, CUSTOMERS.take(np.array([1]))], ids=["whole", "one row"])
def test_an_unknown_column_is_named_with_what_is_near(table: FeatureTable) -> None:
    with pytest.raises(FeatureError, match=r"no feature 'incme' \(did you mean 'income'\?\); there are age, income"):
        table.numbers("incme")


@pytest.mark.parametrize(
    "values", [[1.5, None, -3.0], [True, None, False], [1, None, 3], [2.5, 0.0, 1.0], [None, None]]
)
@pytest.mark.parametrize("start", [0, 5, 9])
def test_numbers_are_read_from_arrows_memory_as_they_are(values: list[Any], start: int) -> None:
    column = pa.array(values * 9).slice(start)
    data = pa.table({"customer_id": range(len(column)), "x": column})
    table = FeatureTable(data, (FeatureColumn("x", "X", "profile", "relationship", "number"),), date(2025, 1, 1))
    wanted = [np.nan if value is None else float(value) for value in column.to_pylist()]
    assert np.array_equal(table.numbers("x"), wanted, equal_nan=True)
    assert table.numbers("x") is table.numbers("x")


@pytest.mark.parametrize("start", [0, 7])
def test_a_cell_is_read_as_arrow_reads_it(start: int) -> None:
    table = FeatureTable(CUSTOMERS.data.slice(start), CUSTOMERS.columns, CUSTOMERS.as_of)
    for name in table.names:
        read = table.reader(name)
        assert [read(row) for row in range(len(table))] == table.array(name).to_pylist()
        assert type(read(3)) is type(table.array(name)[3].as_py())


def test_a_table_that_was_read_from_can_be_sent() -> None:
    table = FeatureTable(CUSTOMERS.data, CUSTOMERS.columns, CUSTOMERS.as_of)
    assert table.take(np.array([1])).cells("income") == CUSTOMERS.cells("income")[1:2]
    table.numbers("income")
    assert pickle.loads(pickle.dumps(table)) == table
