"""Compiles a feature spec to one SQL query, through a syntax tree that sqlglot writes in any dialect.

Every table is read once, aggregated by customer (`nextoffer.features.aggregate`) and joined to the customers. The query
returns ``customer_id`` and the features in the spec's order; rows come in no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sqlglot import exp

from nextoffer.features.aggregate import grouped, places, top_category, top_names
from nextoffer.features.consent import granted
from nextoffer.features.rows import MONEY, MONEY_PARTS, SOURCES, WANTED_TABLE, WHO
from nextoffer.features.spec import (
    Aggregate,
    AnyRow,
    Attribute,
    DaysSince,
    Feature,
    FeatureSpec,
    Ratio,
    Top,
    Value,
)
from nextoffer.features.trees import Tree, column, days_ago, number, relation, the_day, when


@lru_cache(maxsize=32)
def compile_sql(spec: FeatureSpec, dialect: str = "duckdb", *, subset: bool = False, profiling: bool = False) -> str:
    """Return the query of all features of `spec`; its one parameter is the date ``as_of``.

    Parameters
    ----------
    spec
        What to compute.
    dialect
        ``duckdb``, ``postgres``, ``spark`` or another that sqlglot writes.
    subset
        Only the customers in the relation ``nextoffer_wanted`` (customer_id).
    profiling
        Null the profiling features of customers who have not consented to ``profiling``.
    """
    return feature_query(spec, subset=subset, profiling=profiling).sql(dialect=dialect, identify=True)


def feature_query(spec: FeatureSpec, *, subset: bool = False, profiling: bool = False) -> exp.Select:
    """Return the query as a syntax tree; arguments as `compile_sql`."""
    query = exp.select(column("customer_id", WHO)).from_(relation(WHO)).with_(WHO, as_=_who(spec, subset=subset))
    for source in SOURCES:
        if spec.aggregates(source):
            query = query.with_(f"per_{source}", as_=grouped(spec, source, subset=subset))
            query = _join(query, f"per_{source}", source)
    if "risk" in spec.readable:
        query = _join(query, "risk", "risk")
    if profiling:
        query = _join(query.with_("profiling", as_=granted("profiling")), "profiling", "profiling")
    allowed = column("granted", "profiling").eq(1) if profiling else None
    values = _Values(spec)
    for feature in spec.features:
        value = values.of(feature)
        gated = when(allowed, value) if feature.column.purpose == "profiling" else value
        query = query.select(exp.alias_(gated, feature.column.name, quoted=True), copy=False)
    return query


def _who(spec: FeatureSpec, *, subset: bool) -> exp.Select:
    """The customers at hand and their columns."""
    names = sorted(spec.readable["customers"] - {"customer_id"})
    who = exp.select(column("customer_id", "c"), *(column(n, "c") for n in names)).from_(relation("customers", "c"))
    if subset:
        who = who.join(relation(WANTED_TABLE, "n"), on=column("customer_id", "n").eq(column("customer_id", "c")))
    return who


def _join(query: exp.Select, table: str, alias: str) -> exp.Select:
    same = column("customer_id", alias).eq(column("customer_id", WHO))
    return query.join(relation(table, alias), on=same, join_type="left", copy=False)


class _Values:
    """The formulas of a spec over the joined tables."""

    def __init__(self, spec: FeatureSpec) -> None:
        self.places: Mapping[Aggregate, str] = {a: name for s in SOURCES for a, name in places(spec, s).items()}
        self.tops = top_names(spec)

    def of(self, feature: Feature) -> Tree:
        """The value of a feature."""
        match feature.formula:
            case Value(of):
                return self.number(of)
            case AnyRow(of):
                return self.number(of) > 0
            case Ratio(top, bottom, times):
                ratio = self.number(top) / exp.func("NULLIF", self.number(bottom), number(0))
                return ratio if times == 1 else ratio * exp.convert(times)
            case Top(rank, counts):
                return top_category(counts, self.tops[counts], rank)
            case Attribute(table, name):
                value = column(name, WHO if table == "customers" else table)
                return exp.cast(value, "double") if feature.column.kind == "number" else value
            case DaysSince(name):
                return when(column(name, WHO) < the_day(), exp.cast(days_ago(column(name, WHO)), "double"))

    def number(self, aggregate: Aggregate) -> Tree:
        """An aggregate as a double, in currency units if it is money; a sum over nothing is 0."""
        value: Tree = exp.cast(column(self.places[aggregate], aggregate.rows), "double")
        if aggregate.column in MONEY:
            value = value / MONEY_PARTS
        return exp.func("COALESCE", value, number(0)) if aggregate.function == "sum" else value
