"""Wide rows of a slab of customers, with the aggregates added up by compiled kernels instead of GROUP BY.

Rows and formulas are the trees that every engine gets; only how rows become aggregates is replaced. The rows of a table
are streamed through the kernels, which add them into one dense column per aggregate, in the order of customers, so that
formulas need no join.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from nextoffer.features.aggregate import places, ranked
from nextoffer.features.arrays import Formulas, Value, Values
from nextoffer.features.compile import formula, households_of, selected
from nextoffer.features.duck import run
from nextoffer.features.families import Carried
from nextoffer.features.households import MEMBERS, TURN, offers_name
from nextoffer.features.ids import one_array
from nextoffer.features.near import NearSalaryDay
from nextoffer.features.plan import Plan
from nextoffer.features.rows import SOURCES, WHO
from nextoffer.features.spec import Attribute, DaysSince, Feature
from nextoffer.features.trees import Tree, column, relation
from nextoffer.tables.bank import Bank
from nextoffer.tables.layout import Layout
from nextoffer.tables.rules import Rule, clean_sql
from nextoffer.tables.sql import literal, quoted

BATCH = 131_072
"""Rows that come from the engine at a time."""

_WANTED = "nextoffer_slab"
_ALIASES = {"customers": WHO, "risk": "risk"}


class Slabs:
    """A plan on one bank and day, slab by slab, on a connection of its own."""

    def __init__(self, plan: Plan, bank: Bank, con: duckdb.DuckDBPyConnection, as_of: date, *, many: bool) -> None:
        self.plan, self.bank, self.con, self.as_of = plan, bank, con, as_of
        self.near = NearSalaryDay.of_bank(con, as_of) if self._asks_for_near(plan) and many else None
        self.carried = [Carried(plan, source, self.near) for source in plan.aggregates]
        self.rows_sql = [_over_slab(c.query(), c.source).sql("duckdb", identify=True) for c in self.carried]
        self.households_sql = self._of_households()

    def rows(self, ids: pa.Array) -> pa.Table:
        """The wide rows of those of `ids` (rising, no two equal) that the bank knows, rising."""
        attributes = self._take_up(ids)
        if len(attributes) < len(ids):
            return self.rows(one_array(attributes.column(0)))
        columns: dict[str, Value] = {f.name: one_array(attributes.column(f.name)) for f in attributes.schema}
        for carried, sql in zip(self.carried, self.rows_sql, strict=True):
            columns |= self._aggregated(carried, sql, len(ids))
        if self.households_sql is not None:
            columns |= _values(run(self.con, self.households_sql, self.as_of))
        return self.formulas.of(columns, len(ids))

    @cached_property
    def formulas(self) -> Formulas:
        """The formulas over the dense columns."""
        query = exp.select(exp.Star()).from_(relation("dense"))
        for source in self.plan.aggregates:
            query = ranked(self.plan, source, query)
        values = (value.transform(_dense_column) for value in selected(self.plan, _read_before))
        return Formulas(exp.select(column("customer_id"), *values).from_(query.subquery("d")))

    def _of_households(self) -> str | None:
        """What was offered to the households of ``who``, by place; None where it is not asked.

        Their members may be in any slab, so this reads whole tables; that customers are known need not be looked up.
        """
        facts = self.plan.facts
        if facts is None or not facts.of_households:
            return None
        names = (MEMBERS, TURN, *(offers_name(i) for i, w in enumerate(facts.asked.windows) if w.household))
        query = exp.select(*(column(name, "h") for name in names)).from_(relation(WHO))
        same = column("customer_id", "h").eq(column("customer_id", WHO))
        query = query.join(relation("per_households", "h"), on=same, join_type="left")
        for name, rows in households_of(facts):
            query = query.with_(name, as_=rows)
        tree: Tree = query.order_by(column("place", WHO))
        for table in sorted({"responses", "consents"} & set(self.bank.tables)):
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {_whole(table)} AS {_whole_sql(self.bank, table)}")
            tree = tree.transform(_renamed, table, _whole(table))
        return tree.sql("duckdb", identify=True)

    @staticmethod
    def _asks_for_near(plan: Plan) -> bool:
        """Whether anything depends on salary day."""
        used = plan.scope("transactions").used if "transactions" in plan.aggregates else frozenset()
        return bool({"near_salary_day", "salary_day_known", "salary"} & used)

    def _salary_codes(self) -> npt.NDArray[np.int32]:
        """The salary days of the slab's customers, by place."""
        assert self.near is not None
        return self.near.codes(self.con.sql(f"SELECT salary_day FROM {WHO} ORDER BY place").to_arrow_table().column(0))

    def _take_up(self, ids: pa.Array) -> pa.Table:
        """Make ``who``, the customers of the slab and their places, and return what formulas look at of them."""
        for table in {"customers", *self._attributes, *(c.source for c in self.carried)}:
            self.con.execute(f"CREATE OR REPLACE TEMP VIEW {_of_slab(table)} AS {_slab_sql(self.bank, table, ids)}")
        self.con.register(_WANTED, pa.table({"customer_id": ids, "place": pa.array(np.arange(len(ids)), pa.int32())}))
        self.con.execute(self._who_sql)
        return run(self.con, self.attributes_sql, self.as_of)

    @property
    def _who_sql(self) -> str:
        names = "".join(f", c.{quoted(name)}" for name in sorted(self._attributes["customers"]))
        joined = f"{_of_slab('customers')} c JOIN {_WANTED} n USING (customer_id)"
        return f"CREATE OR REPLACE TEMP TABLE {WHO} AS SELECT customer_id, n.place{names} FROM {joined}"

    @cached_property
    def _attributes(self) -> Mapping[str, frozenset[str]]:
        """The columns of customers and risk that rows and formulas look at."""
        trees = [item for feature in self._read for item in formula(feature).find_all(exp.Column)]
        found = {table: {t.name for t in trees if t.table == alias} for table, alias in _ALIASES.items()}
        found["customers"] |= {"salary_day"} & self.plan.spec.readable["customers"]
        return {table: frozenset(names) for table, names in found.items() if names or table == "customers"}

    @property
    def _read(self) -> list[Feature]:
        """The features that are read rather than aggregated."""
        return [f for f in self.plan.spec.features if isinstance(f.formula, Attribute | DaysSince)]

    @cached_property
    def attributes_sql(self) -> str:
        """``customer_id`` and the features that are read, by place."""
        query = exp.select(column("customer_id", WHO), *(formula(f).as_(_read_name(f)) for f in self._read))
        query = query.from_(relation(WHO)).order_by(column("place", WHO))
        if "risk" in self._attributes:
            same = column("customer_id", "risk").eq(column("customer_id", WHO))
            query = query.join(relation(_of_slab("risk"), "risk"), on=same, join_type="left")
        return query.sql("duckdb", identify=True)

    def _aggregated(self, carried: Carried, sql: str, n: int) -> Iterator[tuple[str, Values]]:
        """The aggregates over one kind of rows, dense."""
        out = carried.empty(n)
        asked = {"as_of": self.as_of} if "$as_of" in sql else None
        codes = self._salary_codes() if carried.remembered else np.empty(0, dtype=np.int32)
        for batch in self.con.sql(sql, params=asked).to_arrow_reader(BATCH):
            carried.add(batch, out, codes)
        carried.finish(out)
        for values, (aggregate, name) in zip(out[:, :n], places(carried.aggregates).items(), strict=False):
            yield name, Values(values, None if aggregate.function == "sum" else np.isfinite(values))


def _read_name(feature: Feature) -> str:
    return f"feature {feature.column.name}"


def _read_before(feature: Feature) -> Tree | None:
    """The column with a feature that is read; None for others."""
    return column(_read_name(feature)) if isinstance(feature.formula, Attribute | DaysSince) else None


def _dense_column(tree: Tree) -> Tree:
    """A column of the joined tables, as it is called among the dense ones."""
    return column(tree.name) if isinstance(tree, exp.Column) else tree


def _over_slab(query: exp.Select, source: str) -> Tree:
    """The query, reading only its own part of the tables."""
    tree: Tree = query
    for table in (source, "customers"):
        tree = tree.transform(_renamed, table, _of_slab(table))
    return tree


def _renamed(tree: Tree, table: str, name: str) -> Tree:
    if isinstance(tree, exp.Table) and tree.name == table:
        tree.set("this", exp.to_identifier(name))
    return tree


def _values(rows: pa.Table) -> Iterator[tuple[str, Values]]:
    """Numbers, as formulas take them."""
    for name in rows.column_names:
        found = one_array(rows.column(name))
        yield name, Values(found.to_numpy(zero_copy_only=False), found.is_valid().to_numpy(zero_copy_only=False))


def _of_slab(table: str) -> str:
    return f"nextoffer_slab_{table}"


def _whole(table: str) -> str:
    return f"nextoffer_whole_{table}"


def _whole_sql(bank: Bank, table: str) -> str:
    return clean_sql(bank.layouts[table], [r for r in bank.rules[table] if r.looks_in != "customers"])


def _slab_sql(bank: Bank, table: str, ids: pa.Array) -> str:
    """The clean rows of a table that are between the slab's first and last customer.

    The stored ids are compared where they are written like ours, so that DuckDB skips what a sorted file holds of
    others. Whether a customer is known need not be looked up, as only known ones are joined.
    """
    layout, rules = bank.layouts[table], [r for r in bank.rules[table] if r.looks_in != "customers"]
    return clean_sql(layout, rules + _elsewhere(layout, ids), as_stored=_texts(layout) if table in SOURCES else ())


def _texts(layout: Layout) -> list[str]:
    """The texts of a table whose rows are added up: to every formula an empty one says what null does.

    Making nulls of them, text by text, took a third of the time that DuckDB needs for transactions.
    """
    return [c.name for c in layout.columns if c.type == "VARCHAR" and c.stored.type_id == "varchar"]


def _elsewhere(layout: Layout, ids: pa.Array) -> list[Rule]:
    stored = layout.column("customer_id")
    family = {"VARCHAR": "text", "BIGINT": "integer"}
    if stored is None or not len(ids) or stored.stored.family != family[stored.type]:
        return []
    first, last = (_id_literal(i) for i in (ids[0].as_py(), ids[-1].as_py()))
    compared = f"({stored.raw} < {first})", f"({stored.raw} > {last})"
    return [Rule("customer_id", "elsewhere", "reject", sql, "is of another slab") for sql in compared]


def _id_literal(key: int | str) -> str:
    return literal(key) if isinstance(key, str) else str(key)
