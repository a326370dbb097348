"""Compiles a feature spec to one SQL query, through a syntax tree that sqlglot writes in any dialect.

Every table is read once, aggregated by customer (`nextoffer.features.aggregate`) and joined to the customers. The query
returns ``customer_id``, the features in the spec's order and, where asked for, what the rules need to know: whether
each product is held now, earlier offers and, where consents are kept, consent (`nextoffer.features.wide` names the
columns). Rows come in no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from sqlglot import exp

from nextoffer.errors import FeatureError
from nextoffer.features.aggregate import grouped, places, top_category, top_names
from nextoffer.features.consent import allows, allows_over
from nextoffer.features.households import MEMBERS, TURN, household_tables, offers_name
from nextoffer.features.plan import PROFILING, Facts, Plan, last_words
from nextoffer.features.rows import MONEY, MONEY_PARTS, WANTED_TABLE, WHO
from nextoffer.features.spec import (
    Aggregate,
    AnyRow,
    Attribute,
    DaysSince,
    Feature,
    FeatureSpec,
    Ratio,
    Reads,
    Top,
    Value,
)
from nextoffer.features.trees import Tree, column, days_ago, double, is_null, number, relation, text, the_day, when


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
    return plan_sql(Plan(spec, profiling=profiling), dialect, subset=subset)


@lru_cache(maxsize=32)
def plan_sql(plan: Plan, dialect: str = "duckdb", *, subset: bool = False) -> str:
    """Return the query of a plan; its one parameter is the date ``as_of``."""
    return plan_query(plan, subset=subset).sql(dialect=dialect, identify=True)


def profiling_sql(dialect: str) -> str:
    """Return the query that tells whether the bank keeps consents to profiling: one row, one flag.

    Its one parameter is the date ``as_of``; it reads the table ``consents``, which must be there.
    """
    kept = column("purpose").eq(text(PROFILING)), column("recorded_on") <= the_day()
    one = exp.select(column("purpose")).from_(relation("consents")).where(*kept).limit(1)
    asked = exp.select((exp.Count(this=exp.Star()) > 0).as_("kept")).from_(one.subquery("one"))
    return asked.sql(dialect=dialect, identify=True)


def plan_query(plan: Plan, *, subset: bool = False) -> exp.Select:
    """Return the query as a syntax tree."""
    query = exp.select(column("customer_id", WHO)).from_(relation(WHO)).with_(WHO, as_=_who(plan.spec, subset=subset))
    for source in plan.aggregates:
        query = query.with_(f"per_{source}", as_=grouped(plan, source, subset=subset))
        query = _join(query, f"per_{source}", source)
    if "risk" in plan.spec.readable:
        query = _join(query, "risk", "risk")
    if plan.facts is not None and plan.facts.of_households:
        for name, table in households_of(plan.facts):
            query = query.with_(name, as_=table)
        query = _join(query, "per_households", "households")
    return query.select(*selected(plan), copy=False)


def formula(feature: Feature) -> Tree:
    """Return the value of a feature that is not made of aggregates."""
    match feature.formula:
        case Attribute(table, name):
            value = column(name, WHO if table == "customers" else table)
            return exp.cast(value, "double") if feature.column.kind == "number" else value
        case DaysSince(name):
            return when(column(name, WHO) < the_day(), exp.cast(days_ago(column(name, WHO)), "double"))
    raise FeatureError(f"{feature.column.name} is made of aggregates")


def selected(plan: Plan, made: Callable[[Feature], Tree | None] = lambda _: None) -> Iterator[Tree]:
    """Yield what a plan's query selects after ``customer_id``: the features by name, then the facts.

    Parameters
    ----------
    plan
        What is asked.
    made
        Where a feature is found that is made already; None for one that is to be made.
    """
    values = _Values(plan)
    allowed = values.allows(PROFILING) if plan.profiling else None
    for feature in plan.spec.features:
        value = made(feature) or values.of(feature)
        gated = when(allowed, value) if feature.column.purpose == "profiling" else value
        yield exp.alias_(gated, feature.column.name, quoted=True)
    if plan.facts is not None:
        yield from _facts(plan.facts, values)


def _facts(facts: Facts, values: _Values) -> Iterator[Tree]:
    """Whether each product is held, the contacts and, where consents are kept, consent."""
    held = [exp.false() for _ in facts.products] if facts.held is None else [values.number(a) > 0 for a in facts.held]
    yield from _named("held", held)
    yield from _named("contacts", list(_contacts(facts, values)))
    if facts.knows_consent:
        yield from _named("consent", [_allows(facts, values.days)])
        yield from _named("preferred_consent", [_allows_over(facts, values.days, None)])
        yield from _named("channel_consent", [_allows_over(facts, values.days, c) for c in facts.asked.channels])
    yield from _history(facts, values)
    if facts.asked.households:
        names = (MEMBERS, TURN) if facts.of_households else ()
        found: list[Tree] = [exp.func("COALESCE", column(n, "households"), number(1)) for n in names]
        members, turn = found or [double(1), double(1)]
        yield from (*_named("members", [members]), *_named("turn", [turn]))


def _named(fact: str, values: Sequence[Tree]) -> Iterator[Tree]:
    return (value.as_(f"nextoffer_{fact}_{place}") for place, value in enumerate(values))


def _contacts(facts: Facts, values: _Values) -> Iterator[Tree]:
    """The offers made within each window."""
    own = [double(0)] * len(facts.asked.windows) if facts.contacts is None else map(values.number, facts.contacts)
    for place, (window, number_of) in enumerate(zip(facts.asked.windows, own, strict=True)):
        shared = window.household and facts.of_households
        yield exp.func("COALESCE", column(offers_name(place), "households"), number_of) if shared else number_of


def _history(facts: Facts, values: _Values) -> Iterator[Tree]:
    """What became of earlier offers of each product, as far as it is asked."""
    asked, products = facts.asked, facts.products
    nothing: Tree = exp.cast(exp.null(), "double")
    for days, name, found, none in (
        (asked.offers_days, "since_offer", facts.since_offer, nothing),
        (asked.ignored_days, "ignored", facts.ignored, double(0)),
        (asked.rejected_days, "since_reject", facts.since_reject, nothing),
    ):
        if days:
            yield from _named(name, [none] * len(products) if found is None else [values.number(a) for a in found])


def _allows(facts: Facts, days: Callable[[Aggregate], Tree]) -> Tree:
    return allows(days, by_channel=facts.consents_by_channel, without_record=facts.asked.without_record)


def _allows_over(facts: Facts, days: Callable[[Aggregate], Tree], channel: str | None) -> Tree:
    """Whether marketing is allowed over a channel; None is the preferred one."""
    by_channel, without = facts.consents_by_channel, facts.asked.without_record
    return allows_over(days, facts.words_over(channel), by_channel=by_channel, without_record=without)


def households_of(facts: Facts) -> Iterator[tuple[str, exp.Select]]:
    """Yield the tables that lead to ``per_households``, by name; see `nextoffer.features.households`."""
    everybody = not facts.knows_consent
    members = Plan(FeatureSpec((), (Reads("customers", ("customer_id",)),)), facts.of_members)
    consents = None if everybody else grouped(members, "consents", subset=True)
    allowing = exp.true() if everybody else _allows(facts.of_members, _Values(members).days)
    yield from household_tables(facts.asked, facts.there, allows=allowing, consents=consents, collated=facts.collated)


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
    """The formulas of a plan over the joined tables."""

    def __init__(self, plan: Plan) -> None:
        self.places: Mapping[Aggregate, str] = {
            a: name for found in plan.aggregates.values() for a, name in places(found).items()
        }
        self.tops = top_names(plan.spec)

    def allows(self, purpose: str) -> Tree:
        """Whether the last word on a purpose was a grant; of a grant and a refusal on one day the refusal counts."""
        granted, refused = (self.days(word) for word in last_words(purpose))
        return exp.and_(is_null(granted).not_(), exp.or_(is_null(refused), granted < refused))

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
            case _:
                return formula(feature)

    def days(self, aggregate: Aggregate) -> Tree:
        """An aggregate as it is."""
        return column(self.places[aggregate], aggregate.rows)

    def number(self, aggregate: Aggregate) -> Tree:
        """An aggregate as a double, in currency units if it is money; a sum over nothing is 0."""
        value: Tree = exp.cast(column(self.places[aggregate], aggregate.rows), "double")
        if aggregate.column in MONEY:
            value = value / MONEY_PARTS
        return exp.func("COALESCE", value, number(0)) if aggregate.function == "sum" else value
