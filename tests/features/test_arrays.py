"""Formulas in memory say what DuckDB says of the same trees."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from nextoffer.errors import FeatureError
from nextoffer.features.arrays import Formulas, Value, Values

NUMBER = st.none() | st.sampled_from([0.0, 1.0, -1.0, 2.0, 3.5, 1e300, -7.25])
ROWS = st.lists(
    st.tuples(NUMBER, NUMBER, st.none() | st.booleans(), st.none() | st.booleans()), min_size=1, max_size=20
)

FORMULAS = [
    "coalesce(x, 0)",
    "coalesce(cast(x as double) / 10000, 0)",
    "x / nullif(y, 0)",
    "x / nullif(y, 0) * 6.0",
    "x > 0",
    "p and q",
    "p or q",
    "not p",
    "not x is null and (y is null or x < y)",
    "case when p then x end",
    "case when p and x > 1 then x * 24 + 3 else 0 end",
    "case when x > y then x when p then y else 7 end",
    "case when x = y then 'same' when x > y then 'more' end",
    "case when q then case when x = y then 'same' when x > y then 'more' end end",
    "case when q then t end",
    "greatest(coalesce(x, 0), coalesce(y, 0), 1)",
    "false",
    "t",
]


def values(cells: list[Any], empty: float | bool) -> Values:
    known = np.array([c is not None for c in cells])
    return Values(np.array([empty if c is None else c for c in cells]), None if known.all() else known)


@given(ROWS)
def test_every_formula(rows: list[tuple[Any, ...]]) -> None:
    x, y, p, q = ([*column] for column in zip(*rows, strict=True))
    texts = pa.array([None if v is None else str(v) for v in x], pa.string())
    table = {"x": pa.array(x, pa.float64()), "y": pa.array(y, pa.float64())}
    table |= {"p": pa.array(p, pa.bool_()), "q": pa.array(q, pa.bool_()), "t": texts}
    query = exp.select(*(parse_one(f, read="duckdb").as_(f"f{i}") for i, f in enumerate(FORMULAS))).from_("rows")
    con = duckdb.connect()
    con.register("rows", pa.table(table))
    expected = con.sql(query.sql("duckdb")).to_arrow_table()
    columns: dict[str, Value] = {"x": values(x, 0.0), "y": values(y, 0.0), "p": values(p, False), "q": values(q, False)}
    found = Formulas(query).of({**columns, "t": texts}, len(rows))
    for formula, left, right in zip(FORMULAS, found.columns, expected.columns, strict=True):
        assert left.to_pylist() == right.to_pylist(), formula


def test_a_chain_of_queries_and_columns_passed_on() -> None:
    query = parse_one("select b * 2 as double, a as same from (select *, a + 1 as b from (select * from rows))")
    assert isinstance(query, exp.Select)
    numbers = np.arange(3.0)
    found = Formulas(query).of({"a": Values(numbers)}, 3)
    assert found.to_pydict() == {"double": [2.0, 4.0, 6.0], "same": [0.0, 1.0, 2.0]}
    assert found.column(1).chunk(0).buffers()[1].address == numbers.ctypes.data


def test_what_formulas_never_say_is_refused() -> None:
    query = parse_one("select sqrt(a) as b from rows")
    assert isinstance(query, exp.Select)
    with pytest.raises(FeatureError, match=r"a formula may not say SQRT\(a\)"):
        Formulas(query)
