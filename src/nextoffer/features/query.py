"""A plan, ready to run on one bank and one day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cached_property

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer import compiled
from nextoffer.errors import FeatureError
from nextoffer.features import mcc
from nextoffer.features.compile import plan_sql, profiling_sql
from nextoffer.features.duck import connect, run
from nextoffer.features.fit import check
from nextoffer.features.ids import one_array
from nextoffer.features.order import slab_of
from nextoffer.features.plan import Plan
from nextoffer.features.rows import MCC_TABLE, WANTED_TABLE
from nextoffer.features.slab import Slabs
from nextoffer.features.wide import wide_schema
from nextoffer.tables.bank import Bank

MANY = 20_000
"""From so many customers on it pays to work out beforehand which days are near which salary days."""


class Query:
    """Answers with wide tables (see `nextoffer.features.wide`), on a connection of its own.

    Raises
    ------
    FeatureError
        The bank lacks what the features are made of.
    """

    def __init__(self, plan: Plan, bank: Bank, as_of: date) -> None:
        check(plan.spec, bank)
        self.bank, self.as_of = bank, as_of
        self._ready: dict[bool, Slabs] = {}
        self.con = connect(bank)
        self.con.register(MCC_TABLE, mcc.table())
        self.plan = replace(plan, profiling=_asks_for_profiling(self.con, bank, as_of))
        self.schema = wide_schema(self.plan, bank.id_type("customer_id"))

    def rows(self, ids: pa.Array, *, subset: bool) -> pa.Table:
        """The rows of `ids`, in their order; `subset` says that the bank may have others.

        Raises
        ------
        FeatureError
            A customer is not in the bank.
        """
        return self._in_order_of(ids, self.found(pc.unique(ids).sort() if subset else ids, subset=subset))

    def chunks(self, ids: pa.Array, chunk: int, *, whole: bool) -> Iterator[pa.Table]:
        """Yield the rows of `ids` (rising), `chunk` at a time; `whole` says that they are all the bank has."""
        slab = chunk * max(1, self.slab // chunk)
        subset = not whole or len(ids) > slab
        for start in range(0, len(ids), slab):
            asked = ids.slice(start, slab)
            rows = self._in_order_of(asked, self.found(asked, subset=subset))
            for first in range(0, len(rows), chunk):
                yield rows.slice(first, chunk)

    def found(self, ids: pa.Array, *, subset: bool) -> pa.Table:
        """The rows of those of `ids` (rising, no two equal) that the bank knows, in any order."""
        if compiled.ready():
            slabs = self._slabs(many=len(ids) >= MANY)
            found = pa.concat_tables([slabs.rows(part) for part in self._slabs_of(ids)])
        else:
            if subset:
                self.con.register(WANTED_TABLE, pa.table({"customer_id": ids}))
            found = run(self.con, plan_sql(self.plan, subset=subset), self.as_of)
        return found.rename_columns(self.schema.names).cast(self.schema)

    def _slabs(self, *, many: bool) -> Slabs:
        if many not in self._ready:
            self._ready[many] = Slabs(self.plan, self.bank, self.con, self.as_of, many=many)
        return self._ready[many]

    def _slabs_of(self, ids: pa.Array) -> list[pa.Array]:
        return [ids.slice(first, self.slab) for first in range(0, len(ids), self.slab)] or [ids]

    @cached_property
    def slab(self) -> int:
        """Customers aggregated at once: what bounds memory."""
        return slab_of(self.bank, self.con)

    def _in_order_of(self, ids: pa.Array, found: pa.Table) -> pa.Table:
        there = one_array(found.column(0))
        if there.equals(ids):
            return found
        places = pc.index_in(ids, there)
        if places.null_count:
            raise FeatureError(_strangers(ids.filter(places.is_null())))
        return found.take(places)


def _asks_for_profiling(con: duckdb.DuckDBPyConnection, bank: Bank, as_of: date) -> bool:
    """Whether the bank keeps consents to profiling, so that customers without one are not profiled."""
    if not bank.has("consents"):
        return False
    return bool(run(con, profiling_sql("duckdb"), as_of).column(0)[0].as_py())


def _strangers(ids: pa.Array) -> str:
    names = [str(i) for i in pc.unique(ids).to_pylist()]
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return f"{len(names):,} customers are not in the bank: {', '.join(names[:10])}{more}"
