"""One GROUP BY per kind of rows: every aggregate a spec asks for, one row per customer.

Rows are first given a flag, 1 or 0, per (window × category), then one number per aggregate, then grouped. On DuckDB
``SUM(v)`` over ``flag × column`` was measured 2 times faster than over ``CASE WHEN … THEN column END``, whose nulls are
what costs, and that 10 times faster than ``agg(…) FILTER (WHERE …)``. Every engine understands it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.plan import Plan
from nextoffer.features.rows import SOURCES, Scope, always_one
from nextoffer.features.spec import Aggregate, FeatureSpec, Key, Source, Top
from nextoffer.features.trees import Tree, column, number, one_if, text, when

_FUNCTIONS: Mapping[str, type[exp.AggFunc]] = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}


def places(aggregates: Iterable[Aggregate]) -> dict[Aggregate, str]:
    """Return the column that each aggregate over one kind of rows stands in; no two kinds share a name."""
    return {a: f"{a.rows}_{i}" for i, a in enumerate(aggregates)}


def grouped(plan: Plan, source: Source, *, subset: bool) -> exp.Select:
    """Return ``customer_id``, the aggregates over one kind of rows (see `places`), and the keys and ranks of `Top`."""
    aggregates = plan.aggregates[source]
    scope = plan.scope(source, subset=subset)
    query = _numbers(aggregates, _flagged(aggregates, scope), always_one(scope))
    query = exp.select(column("customer_id")).from_(query.subquery("v")).group_by(column("customer_id"))
    names = places(aggregates).values()
    made = (_FUNCTIONS[a.function](this=column(f"v{i}")) for i, a in enumerate(aggregates))
    query = query.select(*(value.as_(name) for value, name in zip(made, names, strict=True)))
    return ranked(plan, source, query)


def ranked(plan: Plan, source: Source, query: exp.Select) -> exp.Select:
    """Return the aggregates over one kind of rows with the keys and ranks of `Top` beside them."""
    where = places(plan.aggregates[source])
    for counts, name in top_names(plan.spec).items():
        if counts[0].rows == source:
            query = _with_ranks(query, {c: where[c] for c in counts}, name, _ranks(plan.spec, counts))
    return query


def _condition(aggregate: Aggregate) -> Tree | None:
    """Which rows the aggregate is about; None for all."""
    conditions: list[Tree] = []
    if aggregate.days is not None:
        conditions.append(column("days_ago") <= aggregate.days)
    if aggregate.where is not None:
        conditions.append(_is(*aggregate.where))
    return exp.and_(*conditions) if conditions else None


def _is(name: str, value: Key) -> Tree:
    return column(name).eq(number(mcc.number(str(value))) if name == "mcc" else exp.convert(value))


def _flags(aggregates: tuple[Aggregate, ...]) -> dict[object, tuple[str, Tree]]:
    """A name and a condition per (window × category) that sums are restricted to."""
    conditions = {(a.days, a.where): c for a in aggregates if a.function == "sum" and (c := _condition(a)) is not None}
    return {key: (f"f{i}", condition) for i, (key, condition) in enumerate(conditions.items())}


def _flagged(aggregates: tuple[Aggregate, ...], scope: Scope) -> exp.Select:
    flags = (one_if(condition).as_(name) for name, condition in _flags(aggregates).values())
    return exp.select(exp.Star(), *flags).from_(SOURCES[aggregates[0].rows](scope).subquery("r"))


def _numbers(aggregates: tuple[Aggregate, ...], flagged: exp.Select, ones: frozenset[str]) -> exp.Select:
    """One number per aggregate and row: v0, v1 and so on."""
    flags = _flags(aggregates)
    numbers = exp.select(column("customer_id")).from_(flagged.subquery("f"))
    for i, a in enumerate(aggregates):
        value: Tree = column(a.column)
        if a.function != "sum":
            value = when(_condition(a), value)
        elif (a.days, a.where) in flags:
            flag = column(flags[a.days, a.where][0])
            value = flag if a.column in ones else flag * value
        numbers = numbers.select(value.as_(f"v{i}"), copy=False)
    return numbers


def top_names(spec: FeatureSpec) -> dict[tuple[Aggregate, ...], str]:
    """Return the sets of counts that categories are ranked by, each with the name its ranks and keys begin with."""
    sets = dict.fromkeys(f.formula.counts for f in spec.features if isinstance(f.formula, Top))
    return {counts: f"top{i}" for i, counts in enumerate(sets)}


def top_category(counts: tuple[Aggregate, ...], name: str, rank: int) -> Tree:
    """Return the category whose key took the rank, null if there is none."""
    source = counts[0].rows
    taken = exp.func("NULLIF", column(f"{name}_{rank}", source), number(0))
    case = exp.case()
    for place, count in enumerate(_by_name(counts)):
        case = case.when(taken.eq(column(f"{name}_key{place}", source)), text(_category(count)))
    return case


def _ranks(spec: FeatureSpec, counts: tuple[Aggregate, ...]) -> int:
    return max(f.formula.rank for f in spec.features if isinstance(f.formula, Top) and f.formula.counts == counts)


def _category(count: Aggregate) -> str:
    return str(count.where and count.where[1])


def _by_name(counts: tuple[Aggregate, ...]) -> list[Aggregate]:
    """The counts with the categories that win ties last."""
    return sorted(counts, key=_category, reverse=True)


def _with_ranks(query: exp.Select, counts: Mapping[Aggregate, str], name: str, ranks: int) -> exp.Select:
    """Add ``<name>_1`` … ``<name>_<ranks>``, the largest keys; a key is count × K + the category's place.

    So no two are equal. A category without rows has key 0, and so has a rank that nobody takes.
    """
    size = len(counts) + 1
    keys = [f"{name}_key{place}" for place in range(len(counts))]
    made = (
        exp.case().when(column(counts[c]) > 0, column(counts[c]) * size + (place + 1)).else_(number(0)).as_(key)
        for place, (c, key) in enumerate(zip(_by_name(tuple(counts)), keys, strict=True))
    )
    query = exp.select(exp.Star(), *made).from_(query.subquery("g"))
    for rank in range(1, ranks + 1):
        left = [column(k) for k in keys] if rank == 1 else [_below(k, f"{name}_{rank - 1}") for k in keys]
        best = exp.Greatest(this=left[0], expressions=left[1:], ignore_nulls=True) if len(left) > 1 else left[0]
        query = exp.select(exp.Star(), best.as_(f"{name}_{rank}")).from_(query.subquery(f"g{rank}"))
    return query


def _below(key: str, taken: str) -> Tree:
    return exp.case().when(column(key) < column(taken), column(key)).else_(number(0))
