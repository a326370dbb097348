"""Compiles a feature spec to one SQL query, through a syntax tree that sqlglot writes in any dialect.

Every table is read once. Its rows are first spread into one column per (column × window × category) by CASE, then
aggregated by customer, then joined to the customers: ``agg(v)`` over ``CASE WHEN … THEN … END AS v`` is an order of
magnitude faster than ``agg(…) FILTER (WHERE …)``, and every engine understands it. The query returns ``customer_id``
and the features in the spec's order; rows come in no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import count

from sqlglot import exp

from nextoffer.features.rows import (
    MONEY,
    MONEY_PARTS,
    SOURCES,
    WANTED_TABLE,
    WHO,
    Scope,
    granted,
)
from nextoffer.features.spec import (
    Aggregate,
    AnyRow,
    Attribute,
    DaysSince,
    Feature,
    FeatureSpec,
    Ratio,
    Source,
    Top,
    Value,
)
from nextoffer.features.trees import Tree, column, days_ago, number, relation, the_day, when

_FUNCTIONS: Mapping[str, type[exp.AggFunc]] = {"count": exp.Count, "sum": exp.Sum, "min": exp.Min, "max": exp.Max}


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
    sources: list[Source] = [s for s in SOURCES if spec.aggregates(s)]
    places = {a: (s, f"a{i}") for s in sources for i, a in enumerate(spec.aggregates(s))}
    tops = _tops(spec)
    query = exp.select(column("customer_id", WHO)).from_(relation(WHO))
    query = query.with_(WHO, as_=_who(spec, subset=subset))
    for source in sources:
        grouped = _grouped(spec, source, subset=subset)
        for counts, name in tops.items():
            if counts[0].rows == source:
                ranks = max(
                    f.formula.rank for f in spec.features if isinstance(f.formula, Top) and f.formula.counts == counts
                )
                grouped = _with_tops(grouped, {c: places[c][1] for c in counts}, name, ranks)
        query = _join(query.with_(f"per_{source}", as_=grouped), f"per_{source}", source)
    if "risk" in spec.readable:
        query = _join(query, "risk", "risk")
    if profiling:
        query = _join(query.with_("profiling", as_=granted("profiling")), "profiling", "profiling")
    allowed = column("granted", "profiling").eq(1) if profiling else None
    for feature in spec.features:
        value = _value(feature, places, tops)
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


def _grouped(spec: FeatureSpec, source: Source, *, subset: bool) -> exp.Select:
    """The aggregates of one kind of rows, named a0, a1, …, one row per customer."""
    aggregates = spec.aggregates(source)
    used = {a.column for a in aggregates} | {a.where[0] for a in aggregates if a.where}
    used |= {"days_ago" for a in aggregates if a.days is not None}
    scope = Scope(spec.readable, frozenset(used), subset=subset)
    numbers = count()
    spread = {case: f"v{next(numbers)}" for case in dict.fromkeys((a.column, a.days, a.where) for a in aggregates)}
    rows = exp.select(column("customer_id")).from_(SOURCES[source](scope).subquery("r"))
    rows = rows.select(*(_spread(*case).as_(name) for case, name in spread.items()))
    grouped = exp.select(column("customer_id")).from_(rows.subquery("v")).group_by(column("customer_id"))
    return grouped.select(
        *(
            _FUNCTIONS[a.function](this=column(spread[a.column, a.days, a.where])).as_(f"a{i}")
            for i, a in enumerate(aggregates)
        )
    )


def _spread(name: str, days: int | None, where: tuple[str, int | str] | None) -> Tree:
    conditions: list[Tree] = []
    if days is not None:
        conditions.append(column("days_ago") <= days)
    if where is not None:
        conditions.append(column(where[0]).eq(exp.convert(where[1])))
    return when(exp.and_(*conditions) if conditions else None, column(name))


def _tops(spec: FeatureSpec) -> dict[tuple[Aggregate, ...], str]:
    """The sets of counts that categories are ranked by, each with a name."""
    sets = dict.fromkeys(f.formula.counts for f in spec.features if isinstance(f.formula, Top))
    return {counts: f"top{i}" for i, counts in enumerate(sets)}


def _ranked(counts: tuple[Aggregate, ...]) -> list[Aggregate]:
    """The counts with the categories that win ties last."""
    return sorted(counts, key=_category, reverse=True)


def _with_tops(grouped: exp.Select, counts: Mapping[Aggregate, str], name: str, ranks: int) -> exp.Select:
    """Add ``<name>_1`` … ``<name>_<ranks>``, the largest keys; a key is count × K + the category's place.

    So no two are equal. A category without rows has key 0, and so has a rank that nobody takes.
    """
    size = len(counts) + 1
    keys = [f"{name}_key{i}" for i in range(len(counts))]
    made = [
        exp.case().when(column(counts[a]) > 0, column(counts[a]) * size + (place + 1)).else_(number(0)).as_(key)
        for place, (a, key) in enumerate(zip(_ranked(tuple(counts)), keys, strict=True))
    ]
    query = exp.select(exp.Star(), *made).from_(grouped.subquery("g"))
    for rank in range(1, ranks + 1):
        left = [column(k) for k in keys] if rank == 1 else [_below(k, f"{name}_{rank - 1}") for k in keys]
        best = exp.Greatest(this=left[0], expressions=left[1:], ignore_nulls=True) if len(left) > 1 else left[0]
        query = exp.select(exp.Star(), best.as_(f"{name}_{rank}")).from_(query.subquery(f"g{rank}"))
    return query


def _named(counts: tuple[Aggregate, ...], source: Source, name: str, rank: int) -> Tree:
    """The category whose key took the rank."""
    taken = exp.func("NULLIF", column(f"{name}_{rank}", source), number(0))
    case = exp.case()
    for place, a in enumerate(_ranked(counts)):
        case = case.when(taken.eq(column(f"{name}_key{place}", source)), exp.Literal.string(_category(a)))
    return case


def _category(count: Aggregate) -> str:
    return str(count.where and count.where[1])


def _below(key: str, taken: str) -> Tree:
    return exp.case().when(column(key) < column(taken), column(key)).else_(number(0))


def _value(
    feature: Feature, places: Mapping[Aggregate, tuple[str, str]], tops: Mapping[tuple[Aggregate, ...], str]
) -> Tree:
    """The feature's formula over the joined tables."""
    match feature.formula:
        case Value(of):
            return _number(of, places)
        case AnyRow(of):
            return _number(of, places) > 0
        case Ratio(top, bottom, times):
            ratio = _number(top, places) / exp.func("NULLIF", _number(bottom, places), number(0))
            return ratio if times == 1 else ratio * exp.convert(times)
        case Top(rank, counts):
            return _named(counts, counts[0].rows, tops[counts], rank)
        case Attribute("customers", name):
            return _attribute(feature, column(name, WHO))
        case Attribute(table, name):
            return _attribute(feature, column(name, table))
        case DaysSince(name):
            return when(column(name, WHO) < the_day(), exp.cast(days_ago(column(name, WHO)), "double"))


def _attribute(feature: Feature, value: exp.Column) -> Tree:
    return exp.cast(value, "double") if feature.column.kind == "number" else value


def _number(aggregate: Aggregate, places: Mapping[Aggregate, tuple[str, str]]) -> Tree:
    """An aggregate as a double, in currency units if it is money; counts and sums of nothing are 0."""
    source, name = places[aggregate]
    value: Tree = exp.cast(column(name, source), "double")
    if aggregate.column in MONEY and aggregate.function != "count":
        value = value / MONEY_PARTS
    if aggregate.function in ("count", "sum"):
        value = exp.func("COALESCE", value, number(0))
    return value
