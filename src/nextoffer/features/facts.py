"""What the rules need to know of customers and products on the day: held now, marketing consent, recent contacts.

Features know what was known when the day began; rules also know what happened today. So a product opened today is held
and a consent withdrawn today is withdrawn, while offers of today (which are being decided) are not yet contacts.
"""

from __future__ import annotations

from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlglot import exp

from nextoffer.features.consent import granted
from nextoffer.features.duck import connect, run
from nextoffer.features.ids import as_ids
from nextoffer.features.rows import offer_made
from nextoffer.features.trees import column, days_ago, is_null, relation, the_day
from nextoffer.keyed import Ids
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import RuleFacts

_CUSTOMERS, _PRODUCTS = "nextoffer_fact_customers", "nextoffer_fact_products"


def rule_facts(bank: Bank, as_of: date, customers: Ids, products: Ids, *, contact_window_days: int) -> RuleFacts:
    """Return what the rules need to know of n customers and P products.

    Parameters
    ----------
    bank
        Whose tables.
    as_of
        The day of decision.
    customers, products
        n and P ids, in the order of the answer's rows and columns. An id that the bank does not know holds nothing and
        has no consent.
    contact_window_days
        Offers made on the days from ``as_of - contact_window_days + 1`` to the day before `as_of` are counted.

    Raises
    ------
    FeatureError
        Ids are of another type than the bank's.
    """
    con = connect(bank)
    _register(con, _CUSTOMERS, "customer_id", as_ids(bank, "customer_id", customers))
    _register(con, _PRODUCTS, "product_id", as_ids(bank, "product_id", products))
    held = np.zeros((len(customers), len(products)), dtype=np.bool_)
    rows, places = _run(con, _held_now(bank), as_of)
    held[rows, places] = True
    consent: npt.NDArray[np.bool_] | None = None
    if bank.has("consents"):
        consent = np.zeros(len(customers), dtype=np.bool_)
        (rows,) = _run(con, _consenting(), as_of)
        consent[rows] = True
    contacts = np.zeros(len(customers), dtype=np.int64)
    if bank.has("responses"):
        rows, counts = _run(con, _contacts(bank, contact_window_days), as_of)
        contacts[rows] = counts
    return RuleFacts(held, consent, contacts)


def _register(con: duckdb.DuckDBPyConnection, name: str, column_name: str, ids: pa.Array) -> None:
    con.register(name, pa.table({column_name: ids, "place": pa.array(np.arange(len(ids), dtype=np.int64))}))


def _run(con: duckdb.DuckDBPyConnection, query: exp.Select, as_of: date) -> list[npt.NDArray[np.int64]]:
    """The whole-number columns of the answer."""
    found = run(con, query.sql("duckdb", identify=True), as_of)
    return [np.asarray(c.to_numpy(), dtype=np.int64) for c in found.columns]


def _held_now(bank: Bank) -> exp.Select:
    """Place of customer and of product of each holding: opened by the end of the day and not closed by then."""
    held = exp.select(column("place", "c").as_("row"), column("place", "p").as_("place")).from_(
        relation("holdings", "h")
    )
    held = _of_customer(held, "h")
    held = held.join(relation(_PRODUCTS, "p"), on=column("product_id", "p").eq(column("product_id", "h")))
    there = bank.columns("holdings")
    if "opened_on" in there:
        opened = column("opened_on", "h")
        held = held.where(exp.or_(is_null(opened), opened <= the_day()))
    if "closed_on" in there:
        closed = column("closed_on", "h")
        held = held.where(exp.or_(is_null(closed), closed > the_day()))
    return held


def _consenting() -> exp.Select:
    consenting = _of_customer(exp.select(column("place", "c")).from_(granted("marketing").subquery("g")), "g")
    return consenting.where(column("granted", "g").eq(1))


def _contacts(bank: Bank, days: int) -> exp.Select:
    contacts = exp.select(column("place", "c"), exp.Count(this=exp.Star()).as_("contacts")).from_(
        relation("responses", "r")
    )
    recent = days_ago(column("offered_on", "r"))
    contacts = _of_customer(contacts, "r").where(column("offered_on", "r") < the_day(), recent < days)
    if "arm" in bank.columns("responses"):
        contacts = contacts.where(offer_made(column("arm", "r")))
    return contacts.group_by(column("place", "c"))


def _of_customer(query: exp.Select, alias: str) -> exp.Select:
    return query.join(relation(_CUSTOMERS, "c"), on=column("customer_id", "c").eq(column("customer_id", alias)))
