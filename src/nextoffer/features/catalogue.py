"""The features of a bank: which there are, given what its tables hold, and what each means in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nextoffer.features import mcc
from nextoffer.features.spec import (
    Aggregate,
    AnyRow,
    Attribute,
    DaysSince,
    Feature,
    Formula,
    Function,
    Key,
    Ratio,
    Readable,
    Source,
    Top,
    Value,
    covers,
)
from nextoffer.tables.contract import Kind as TableKind
from nextoffer.tables.flow import FeatureColumn, Group, Kind, Purpose

WINDOWS = (30, 90, 180)
"""Days that activity is counted over, besides all history."""

TOPS = 3
"""How many of a customer's most frequent categories are named."""

_PURPOSES: Mapping[Group, Purpose] = {
    "profile": "relationship",
    "activity": "profiling",
    "channel": "profiling",
    "salary": "profiling",
    "spend": "profiling",
    "holdings": "relationship",
    "history": "profiling",
    "risk": "rule",
}


@dataclass(frozen=True)
class Vocabulary:
    """What a bank's tables hold that features are named after, in column order.

    Attributes
    ----------
    reads
        The columns that features may be made of.
    attributes
        Further columns of customers, and what they hold.
    channels, categories
        Transaction channels and spending categories that occur.
    products
        Product id and its plain words.
    """

    reads: Readable
    attributes: Mapping[str, TableKind]
    channels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    products: tuple[tuple[Key, str], ...] = ()


def features(words: Vocabulary) -> Iterator[Feature]:
    """Yield every feature, in column order."""
    own = [*_activity(words), *_channels(words), *_salary(words), *_spend(words), *_holdings(words), *_history(words)]
    own += _risk(words)
    yield from _profile(words, taken={f.column.name for f in own})
    yield from own


def _feature(name: str, label: str, group: Group, formula: Formula, **more: object) -> Feature:
    kind: Kind = "flag" if isinstance(formula, AnyRow) else "category" if isinstance(formula, Top) else "number"
    given = {"kind": kind, **more}
    return Feature(FeatureColumn(name, label, group, _PURPOSES[group], **given), formula)  # type: ignore[arg-type]


def _per_product(measure: str, product: tuple[Key, str], label: str, group: Group, formula: Formula) -> Feature:
    key, words = product
    name = f"{measure}_{key}"
    return _feature(name, label.format(words), group, formula, measure=measure, product_id=str(key))


_LABELS = {
    "age": "Age",
    "income": "Income",
    "segment": "Segment",
    "city_tier": "City tier",
    "channel_pref": "Preferred channel",
    "salary_day": "Day of the month on which salary comes in",
    "pd": "Probability of default within 12 months",
    "delinquent": "Behind with payments",
    "vulnerable": "Marked as vulnerable",
}
_KINDS: Mapping[TableKind, Kind] = {"number": "number", "text": "category", "flag": "flag"}


def _profile(words: Vocabulary, taken: set[str]) -> Iterator[Feature]:
    """Columns of customers as they stand, dates as days since; ``profile_`` goes before a name that is taken."""
    for column, kind in words.attributes.items():
        label = _LABELS.get(column, column.replace("_", " ").strip().capitalize())
        if kind == "date":
            formula: Formula = DaysSince(column)
            name, label = f"days_since_{column}", f"Days since: {label}"
        else:
            formula, name = Attribute("customers", column), column
        yield _feature(
            f"profile_{name}" if name in taken else name, label, "profile", formula, kind=_KINDS.get(kind, "number")
        )


def _of(rows: Source, function: Function, column: str, days: int | None = None, **where: Key) -> Aggregate:
    return Aggregate(rows, function, column, days, next(iter(where.items()), None))


def _sum(rows: Source, column: str, days: int | None = None, **where: Key) -> Aggregate:
    return _of(rows, "sum", column, days, **where)


def _activity(words: Vocabulary) -> Iterator[Feature]:
    if not covers(words.reads, "transactions"):
        return
    number, total = _sum("transactions", "spent"), _sum("transactions", "amount")
    recency = _of("transactions", "min", "spent_ago")
    yield _feature("txn_recency_days", "Days since the last transaction", "activity", Value(recency))
    yield _feature("txn_count", "Number of transactions", "activity", Value(number))
    yield _feature("txn_amount", "Amount spent", "activity", Value(total))
    yield _feature("txn_amount_mean", "Mean amount of a transaction", "activity", Ratio(total, number))
    for what, column, label in (("count", "spent", "Number of transactions"), ("amount", "amount", "Amount spent")):
        for days in WINDOWS:
            within = Value(_sum("transactions", column, days))
            yield _feature(f"txn_{what}_{days}d", f"{label} in the last {days} days", "activity", within)
    recent, longer = _sum("transactions", "amount", 30), _sum("transactions", "amount", 180)
    label = "Spending of the last 30 days against the usual of the last 180"
    yield _feature("txn_trend", label, "activity", Ratio(recent, longer, 6.0))
    if covers(words.reads, "transactions", "direction"):
        for days in (30, 180):
            credit = _sum("transactions", "credit", days)
            label = f"Amount received in the last {days} days"
            yield _feature(f"txn_credit_amount_{days}d", label, "activity", Value(credit))


def _channels(words: Vocabulary) -> Iterator[Feature]:
    number = _sum("transactions", "spent")
    for channel in words.channels:
        share = Ratio(_sum("transactions", "spent", channel=channel), number)
        yield _feature(f"channel_share_{channel}", f"Share of transactions by {channel}", "channel", share)


def _salary(words: Vocabulary) -> Iterator[Feature]:
    if not covers(words.reads, "transactions") or not covers(words.reads, "customers", "salary_day"):
        return
    share = Ratio(_sum("transactions", "near_salary_day"), _sum("transactions", "salary_day_known"))
    yield _feature("salary_share", "Share of transactions within 3 days of salary day", "salary", share)
    if covers(words.reads, "transactions", "direction"):
        largest = Value(_of("transactions", "max", "salary", 90))
        yield _feature("salary_amount", "Largest salary received in the last 90 days", "salary", largest)


def _spend(words: Vocabulary) -> Iterator[Feature]:
    number = _sum("transactions", "spent")
    labels = mcc.labels()
    for category in words.categories:
        share = Ratio(_sum("transactions", "spent", mcc=category), number)
        yield _feature(f"mcc_share_{category}", f"Share of transactions on {labels[category]}", "spend", share)
    for category in words.categories:
        total = Value(_sum("transactions", "amount", mcc=category))
        yield _feature(f"mcc_spend_{category}", f"Amount spent on {labels[category]}", "spend", total)
    known = tuple(_sum("transactions", "spent", mcc=c) for c in words.categories if c != mcc.OTHER)
    for rank, nth in enumerate(("Most", "Second most", "Third most")[: TOPS if known else 0], start=1):
        yield _feature(f"top_mcc_{rank}", f"{nth} frequent spending category", "spend", Top(rank, known))


def _holdings(words: Vocabulary) -> Iterator[Feature]:
    if not covers(words.reads, "holdings"):
        return
    dated, closes = covers(words.reads, "holdings", "opened_on"), covers(words.reads, "holdings", "closed_on")
    held = _sum("holdings", "held")
    yield _feature("holdings_count", "Number of products held", "holdings", Value(held))
    if dated:
        first, last = _of("holdings", "max", "opened_ago"), _of("holdings", "min", "opened_ago")
        yield _feature("tenure_days", "Days since the first product was opened", "holdings", Value(first))
        yield _feature("days_since_opened", "Days since the last product was opened", "holdings", Value(last))
    for product in words.products:
        holds = AnyRow(_sum("holdings", "held", product_id=product[0]))
        yield _per_product("held", product, "Holds {}", "holdings", holds)
    for product in words.products if dated else ():
        times = Value(_sum("holdings", "opened", product_id=product[0]))
        yield _per_product("times_opened", product, "Times that {} was opened", "holdings", times)
    for product in words.products if closes else ():
        since = Value(_of("holdings", "min", "closed_ago", product_id=product[0]))
        yield _per_product("days_since_closed", product, "Days since {} was closed", "holdings", since)


def _history(words: Vocabulary) -> Iterator[Feature]:
    if not covers(words.reads, "responses"):
        return
    offers, accepts = _sum("responses", "offered"), _sum("responses", "accepted")
    yield _feature("offers_count", "Number of offers made", "history", Value(offers))
    yield _feature("accepts_count", "Number of offers accepted", "history", Value(accepts))
    yield _feature("accept_rate", "Share of offers accepted", "history", Ratio(accepts, offers), sign=1)
    last, taken = _of("responses", "min", "days_ago"), _of("responses", "min", "accepted_ago")
    yield _feature("days_since_offer", "Days since the last offer", "history", Value(last))
    yield _feature("days_since_accept", "Days since an offer was last accepted", "history", Value(taken))
    for product in words.products:
        times = Value(_sum("responses", "offered", product_id=product[0]))
        yield _per_product("offers", product, "Times that {} was offered", "history", times)
    for product in words.products:
        times = Value(_sum("responses", "accepted", product_id=product[0]))
        yield _per_product("accepts", product, "Times that {} was accepted", "history", times)
    for product in words.products:
        since = Value(_of("responses", "min", "days_ago", product_id=product[0]))
        yield _per_product("days_since_offer", product, "Days since {} was offered", "history", since)


def _risk(words: Vocabulary) -> Iterator[Feature]:
    for column, kind in (("pd", "number"), ("delinquent", "flag"), ("vulnerable", "flag")):
        if covers(words.reads, "risk", column):
            yield _feature(column, _LABELS[column], "risk", Attribute("risk", column), kind=kind)
