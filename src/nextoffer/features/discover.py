"""Looks once at a bank and fixes its features, so that a model meets the same columns whatever tables come later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

import duckdb
from sqlglot import exp

from nextoffer.features import mcc
from nextoffer.features.catalogue import Vocabulary, features
from nextoffer.features.duck import connect
from nextoffer.features.rows import MCC_TABLE, Scope, transactions
from nextoffer.features.spec import FeatureSpec, Key, Readable, Reads, covers
from nextoffer.features.trees import column, relation
from nextoffer.tables.bank import Bank
from nextoffer.tables.contract import TABLES
from nextoffer.tables.contract import Kind as TableKind

MAX_CHANNELS = 12
"""Only the most frequent channels become features."""

MAX_WORDS = 1_000
"""A text column with more different words (a name, an address) says who somebody is, not what they are like."""

_SOURCES: Mapping[str, frozenset[str]] = {
    "holdings": frozenset({"customer_id", "product_id", "opened_on", "closed_on"}),
    "transactions": frozenset({"customer_id", "date", "amount", "merchant_id", "mcc", "channel", "direction"}),
    "merchants": frozenset({"merchant_id", "mcc"}),
    "responses": frozenset({"customer_id", "product_id", "offered_on", "label", "responded_on", "arm"}),
    "risk": frozenset({"customer_id", "pd", "delinquent", "vulnerable"}),
}
"""What features are made of, besides customers. Not of a holding's balance: nobody knows on which day it was so."""


def discover(bank: Bank, as_of: date) -> FeatureSpec:
    """Return the features that `bank` offers, with the vocabulary it had when the day `as_of` began.

    Channels, spending categories, product ids and columns of customers are fixed here. Excluded and sensitive columns
    and ids are left out, as are text columns of customers with more than 1,000 different words (see
    `FeatureSpec.notes`).
    """
    con = connect(bank)
    attributes, wordy = _attributes(con, bank)
    others, closed = _readable(bank)
    reads = {"customers": frozenset({"customer_id", *attributes}), **others}
    channels, categories = _transaction_words(con, reads, as_of)
    words = Vocabulary(reads, attributes, channels, categories, _products(bank))
    needs = (Reads(table, tuple(sorted(columns))) for table, columns in reads.items())
    return FeatureSpec(tuple(features(words)), tuple(needs), (*wordy, *closed))


def _attributes(con: duckdb.DuckDBPyConnection, bank: Bank) -> tuple[dict[str, TableKind], list[str]]:
    """The columns of customers that become features, and notes on those that have too many words."""
    there = bank.columns("customers").items()
    kinds: dict[str, TableKind] = {
        n: kind for n, kind in there if kind != "id" and not bank.config.is_sensitive("customers", n)
    }
    texts = [n for n, kind in kinds.items() if kind == "text"]
    if not texts:
        return kinds, []
    distinct = (exp.Count(this=exp.Distinct(expressions=[column(n)])) for n in texts)
    counts = con.sql(exp.select(*distinct).from_(relation("customers")).sql("duckdb")).fetchall()[0]
    wordy = {n: c for n, c in zip(texts, counts, strict=True) if c > MAX_WORDS}
    notes = [f"customers.{n} has {c:,} different words, more than {MAX_WORDS:,}: no feature" for n, c in wordy.items()]
    return {n: kind for n, kind in kinds.items() if n not in wordy}, notes


def _readable(bank: Bank) -> tuple[dict[str, frozenset[str]], list[str]]:
    """The columns of the other tables that may be read, and notes on tables that sensitive columns make useless."""
    reads: dict[str, frozenset[str]] = {}
    notes: list[str] = []
    for table, fed in _SOURCES.items():
        if not bank.has(table):
            continue
        names = fed & bank.columns(table).keys()
        hidden = {n for n in names if bank.config.is_sensitive(table, n)}
        if lost := sorted(c.name for c in TABLES[table].columns if c.required and c.name in hidden):
            notes.append(f"{table}.{lost[0]} is sensitive, so nothing of {table} is a feature")
        else:
            reads[table] = names - hidden
    if not (covers(reads, "transactions", "merchant_id") and covers(reads, "merchants", "merchant_id", "mcc")):
        reads.pop("merchants", None)
        reads.update({t: c - {"merchant_id"} for t, c in reads.items() if t == "transactions"})
    return reads, notes


def _transaction_words(
    con: duckdb.DuckDBPyConnection, reads: Readable, as_of: date
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The most frequent channels by name, and the spending categories in ``mcc.toml``'s order, out of one pass."""
    asked = ["channel"] if covers(reads, "transactions", "channel") else []
    asked += ["mcc"] if covers(reads, "transactions", "mcc") or "merchants" in reads else []
    if not asked:
        return (), ()
    scope = Scope(reads, frozenset({*asked, "spent"}))
    names = [column(n) for n in asked]
    query = exp.select(*names, exp.Sum(this=column("spent"))).from_(transactions(scope).subquery("r")).group_by(*names)
    con.register(MCC_TABLE, mcc.table())
    counts: dict[str, Counter[str | int]] = {"channel": Counter(), "mcc": Counter()}
    for *words, n in con.execute(query.sql("duckdb", identify=True), {"as_of": as_of}).fetchall():
        for name, word in zip(asked, words, strict=True):
            counts[name][word] += int(n)
    channels = sorted((-n, str(word)) for word, n in counts["channel"].items() if n and word)
    categories = tuple(c for c in mcc.labels() if counts["mcc"][mcc.number(c)])
    return tuple(sorted(word for _, word in channels[:MAX_CHANNELS])), categories


def _products(bank: Bank) -> tuple[tuple[Key, str], ...]:
    """Every product's id and plain words: its name, else its type and id."""
    return tuple(
        (p["product_id"], p.get("name") or f"{p['product_type']} ({p['product_id']})")
        for p in bank.table("products").to_pylist()
    )
