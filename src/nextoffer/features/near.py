"""Which days are near which salary days, worked out once for every pair of them rather than once a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from nextoffer.features.duck import run
from nextoffer.features.ids import one_array
from nextoffer.features.rows import of_salary_day
from nextoffer.features.trees import column, day_of_month, number, relation

MOST_DAYS, MOST_SALARY_DAYS = 40_000, 64
_DAYS, _SALARY_DAYS = "nextoffer_days", "nextoffer_salary_days"


@dataclass(frozen=True)
class NearSalaryDay:
    """What `nextoffer.features.rows.of_salary_day` says of every day and every salary day.

    Attributes
    ----------
    salary_days
        K different salary days, null among them.
    told
        By column, bool (days × K,): days ago first.
    """

    salary_days: pa.Array
    told: Mapping[str, npt.NDArray[np.bool_]]

    @classmethod
    def of_bank(cls, con: duckdb.DuckDBPyConnection, as_of: date) -> NearSalaryDay | None:
        """Return it for the days and salary days that a bank has; None if they are too many to be worth it."""
        first = con.execute("SELECT min(date) FROM typed.transactions").fetchall()[0][0]
        days = 1 if first is None else (as_of - first).days + 1
        distinct = f"SELECT DISTINCT salary_day FROM customers LIMIT {MOST_SALARY_DAYS + 1}"
        salary_days = one_array(con.sql(distinct).to_arrow_table().column(0))
        if days > MOST_DAYS or len(salary_days) > MOST_SALARY_DAYS:
            return None
        every = pa.array(np.datetime64(as_of, "D") - np.arange(max(days, 1)))
        con.register(_DAYS, pa.table({"date": every, "ago": np.arange(len(every))}))
        con.register(_SALARY_DAYS, pa.table({"salary_day": salary_days, "code": np.arange(len(salary_days))}))
        pairs = exp.select(column("date"), day_of_month(column("date")).as_("day"), column("salary_day"))
        pairs = pairs.select(column("ago"), column("code")).from_(relation(_DAYS))
        pairs = pairs.join(relation(_SALARY_DAYS), on=number(1).eq(1))
        query = exp.select(*(value.as_(name) for name, value in of_salary_day().items())).from_(pairs.subquery("p"))
        told = run(con, query.order_by(column("ago"), column("code")).sql("duckdb", identify=True), as_of)
        return cls(salary_days, {n: np.asarray(told.column(n).to_numpy(), np.bool_) for n in told.column_names})

    def codes(self, salary_days: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """Return the place of each of n customers' salary days among those there are."""
        return np.asarray(pc.index_in(one_array(salary_days), self.salary_days).to_numpy(), dtype=np.int32)

    def of_rows(self, days: npt.NDArray[np.int32], codes: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.bool_]]:
        """Return each column for rows of so many days ago, of customers whose salary day has these codes."""
        where = days * np.int32(len(self.salary_days)) + codes
        return {name: told.take(where) for name, told in self.told.items()}
