"""Looks once at a bank and fixes its features, so that a model scores the same columns whatever tables it meets later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import duckdb
from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.catalogue import Vocabulary, features
from nextoffer.features.duck import connect
from nextoffer.features.rows import MCC_TABLE, Scope, transactions
from nextoffer.features.spec import FeatureSpec, Key, Reads
from nextoffer.features.trees import column, relation
from nextoffer.tables.bank import Bank
from nextoffer.tables.contract import TABLES
from nextoffer.tables.contract import Kind as TableKind

MAX_CHANNELS = 12
"""Only the most frequent channels become features."""

MAX_WORDS = 1_000
"""A text column of customers with more different words (a name, an address) says who somebody is, not what they are like."""

_FED_BY = ("customers", "holdings", "transactions", "merchants", "responses", "risk")


def discover(bank: Bank, as_of: date) -> FeatureSpec:
    """Return the features that `bank` offers, with the vocabulary it had when the day `as_of` began.

    Channels, spending categories, product ids and columns of customers are fixed here. Excluded and sensitive columns and ids are left
    out, as are text columns of customers with more than 1,000 different words (see `FeatureSpec.notes`).
    """
    reads = {table: _usable(bank, table) for table in _FED_BY if bank.has(table)}
    notes = [f"{t}: a required column is sensitive, so no features come from it" for t, c in reads.items() if not c]
    reads = {table: columns for table, columns in reads.items() if columns}
    con = connect(bank)
    attributes, wordy = _attributes(con, bank, reads["customers"])
    notes += wordy
    channels, categories = _transaction_words(con, reads, as_of)
    words = Vocabulary(reads, attributes, channels, categories, _products(bank))
    found = tuple(features(words))
    return FeatureSpec(found, tuple(_reads(words)), tuple(notes))


def _usable(bank: Bank, table: str) -> frozenset[str]:
    """The columns that may be read for features; none if one that rows cannot do without is sensitive."""
    names = frozenset(n for n in bank.columns(table) if not bank.config.is_sensitive(table, n))
    required = {c.name for c in TABLES[table].columns if c.required}
    return names if required <= names else frozenset()


def _attributes(
    con: duckdb.DuckDBPyConnection, bank: Bank, usable: frozenset[str]
) -> tuple[dict[str, TableKind], list[str]]:
    """Columns of customers that can be features, and notes on those that have too many words."""
    kinds = {n: kind for n, kind in bank.columns("customers").items() if n in usable and kind != "id"}
    texts = [n for n, kind in kinds.items() if kind == "text"]
    if not texts:
        return kinds, []
    distinct = [exp.Count(this=exp.Distinct(expressions=[column(n)])) for n in texts]
    counts = con.sql(exp.select(*distinct).from_(relation("customers")).sql("duckdb")).fetchall()[0]
    wordy = {n: c for n, c in zip(texts, counts, strict=True) if c > MAX_WORDS}
    notes = [
        f"customers.{n} has {c:,} different words, more than {MAX_WORDS:,}, and is no feature" for n, c in wordy.items()
    ]
    return {n: kind for n, kind in kinds.items() if n not in wordy}, notes


def _transaction_words(
    con: duckdb.DuckDBPyConnection, reads: Mapping[str, frozenset[str]], as_of: date
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The most frequent channels, by name, and the spending categories that occur, in the order of ``mcc.toml``; one pass."""
    scope = Scope(reads, frozenset(_word_columns(reads)) | {"amount"})
    asked = [n for n in ("channel", "mcc") if n in scope.used]
    if not asked:
        return (), ()
    names = [column(n) for n in asked]
    query = (
        exp.select(*names, exp.Count(this=column("amount"))).from_(transactions(scope).subquery("r")).group_by(*names)
    )
    con.register(MCC_TABLE, mcc.table())
    channels: dict[str, int] = {}
    categories: set[str] = set()
    for *words, n in con.execute(query.sql("duckdb", identify=True), {"as_of": as_of}).fetchall():
        found = dict(zip(asked, words, strict=True))
        if n and found.get("channel") is not None:
            channels[found["channel"]] = channels.get(found["channel"], 0) + n
        if n and "mcc" in found:
            categories.add(found["mcc"])
    frequent = sorted(channels, key=lambda c: (-channels[c], c))[:MAX_CHANNELS]
    return tuple(sorted(frequent)), tuple(c for c in mcc.labels() if c in categories)


def _word_columns(reads: Mapping[str, frozenset[str]]) -> Iterator[str]:
    there = reads.get("transactions", frozenset())
    if "channel" in there:
        yield "channel"
    if "mcc" in there or ("merchant_id" in there and "mcc" in reads.get("merchants", frozenset())):
        yield "mcc"


def _products(bank: Bank) -> tuple[tuple[Key, str], ...]:
    """Every product's id and plain words: its name, else its type and id."""
    return tuple(
        (p["product_id"], p.get("name") or f"{p['product_type']} ({p['product_id']})")
        for p in bank.table("products").to_pylist()
    )


def _reads(words: Vocabulary) -> Iterator[Reads]:
    """What the bank must have at every later build; of customers only what became a feature."""
    for table, columns in words.reads.items():
        if table == "customers":
            columns = frozenset(words.attributes) | {"customer_id"}
        known = {c.name for c in TABLES[table].columns}
        yield Reads(table, tuple(sorted(columns if table == "customers" else columns & known)))
