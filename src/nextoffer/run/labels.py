"""Finds what there is to learn from: responses to earlier offers, or products that customers took up by themselves.

Each label meets the customer as known when the day of its offer began; nothing dated on or after `as_of` is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import ModelError
from nextoffer.features import FeatureSpec, build
from nextoffer.keyed import hash64, uniform
from nextoffer.models.collaborative import SpendMap
from nextoffer.models.products import Products
from nextoffer.models.training import Training
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable, ids_as_text

MAX_SNAPSHOTS = 12
"""Customers are looked at on at most this many dates; an offer in between uses the latest before it."""
MAX_CUSTOMERS = 200_000
"""Customers that one fit looks at, a keyed sample where the bank has more."""
ADOPTION_WINDOW = timedelta(days=30)
ADOPTION_WINDOWS = 6
NEGATIVES_PER_POSITIVE = 20.0

OFFER_MADE = "coalesce(lower(arm), '') <> 'control'"
"""Rows of a control arm are offers that were not made: they teach nothing of how offers are received."""

RESPONSES = "responses"
ADOPTIONS = "adoptions"


@dataclass(frozen=True)
class Labelled:
    """A training set and where its labels came from (``responses`` or ``adoptions``)."""

    training: Training
    source: str


@dataclass(frozen=True)
class _Labels:
    """One row per label: customer, product, day, 0 or 1, and its weight."""

    data: pa.Table
    source: str


def labelled(bank: Bank, spec: FeatureSpec, as_of: date, *, seed: int, spend_map: SpendMap | None = None) -> Labelled:
    """Return the labelled pairs of the bank before `as_of`.

    Raises
    ------
    ModelError
        There are neither responses nor dated holdings before `as_of`.
    """
    labels = _labels(bank, as_of, seed)
    days = sorted(set(labels.data.column("day").to_pylist()))
    dates = _snapshot_dates(days)
    place = (
        np.searchsorted(np.array(dates, dtype="datetime64[D]"), labels.data.column("day").to_numpy(), side="right") - 1
    )
    snapshots: list[FeatureTable] = []
    rows = np.zeros(labels.data.num_rows, dtype=np.intp)
    for i, day in enumerate(dates):
        mine = np.flatnonzero(place == i)
        wanted = labels.data.column("customer_id").take(pa.array(mine)).combine_chunks()
        customers = pc.unique(wanted).sort()
        snapshots.append(build(spec, bank, day, customers=customers))
        rows[mine] = pc.index_in(wanted, value_set=customers).to_numpy(zero_copy_only=False)
    latest = sampled_customers(bank, MAX_CUSTOMERS, seed=seed, purpose="sample")
    snapshots.append(build(spec, bank, as_of, customers=latest))
    products = Products.of(bank.table("products"))
    column = {p: j for j, p in enumerate(products.ids)}
    training = Training(
        tuple(snapshots),
        products,
        place.astype(np.intp),
        rows,
        np.array([column[p] for p in ids_as_text(labels.data.column("product_id"))], dtype=np.intp),
        labels.data.column("label").to_numpy().astype(np.float64),
        labels.data.column("weight").to_numpy().astype(np.float64),
        hash64(labels.data.column("customer_id")),
        spend_map,
    )
    return Labelled(training, labels.source)


def _labels(bank: Bank, as_of: date, seed: int) -> _Labels:
    if bank.has("responses"):
        data = _responses(bank, as_of)
        if data.num_rows:
            return _Labels(_thinned(data, seed), RESPONSES)
    if bank.has("holdings") and "opened_on" in bank.columns("holdings"):
        data = _adoptions(bank, as_of)
        if pc.sum(data.column("label")).as_py():
            return _Labels(_thinned(data, seed), ADOPTIONS)
    raise ModelError(
        f"nothing to learn from before {as_of}: needed are rows in responses (offered_on before that day), or in "
        f"holdings with opened_on in the {ADOPTION_WINDOWS} months before it; tables present: {', '.join(bank.tables)}"
    )


def _responses(bank: Bank, as_of: date) -> pa.Table:
    known = bank.columns("responses")
    answered = "and (responded_on is null or responded_on < $day)" if "responded_on" in known else ""
    made = f"and {OFFER_MADE}" if "arm" in known else ""
    query = f"""
        select customer_id, product_id, offered_on as day,
               cast(label = 1 {answered} as double) as label
        from responses where offered_on < $day {made}
        order by offered_on, customer_id, product_id, label
    """
    return bank.connect().sql(query, params={"day": as_of}).to_arrow_table()


def _adoptions(bank: Bank, as_of: date) -> pa.Table:
    """Every customer × product not held when a window began; 1 if opened within it."""
    con = bank.connect()
    first = con.sql("select min(opened_on) from holdings").fetchall()[0][0]
    starts = [as_of - ADOPTION_WINDOW * k for k in range(ADOPTION_WINDOWS, 0, -1)]
    known = [s for s in starts if first is not None and s >= first] or starts[-1:]
    closed = "and (closed_on is null or closed_on >= w.day)" if "closed_on" in bank.columns("holdings") else ""
    window = " union all ".join(f"select date '{s}' as day" for s in known)
    query = f"""
        select c.customer_id, p.product_id, w.day,
               cast(coalesce(bool_or(h.opened_on >= w.day and h.opened_on < w.day + {ADOPTION_WINDOW.days}), false) as
               double) as label
        from customers c cross join products p cross join ({window}) w
        left join holdings h on h.customer_id = c.customer_id and h.product_id = p.product_id
        group by c.customer_id, p.product_id, w.day
        having not coalesce(bool_or((h.customer_id is not null) and (h.opened_on is null or h.opened_on < w.day)
        {closed}), false) order by w.day, c.customer_id, p.product_id
    """
    return con.sql(query).to_arrow_table()


def _thinned(data: pa.Table, seed: int) -> pa.Table:
    """Keep every acceptance and a keyed share of the refusals, weighted so that totals stay unbiased."""
    labels = data.column("label").to_numpy()
    positives = float(labels.sum())
    negatives = len(labels) - positives
    wanted = max(NEGATIVES_PER_POSITIVE * positives, 200_000.0)
    share = min(1.0, wanted / max(negatives, 1.0))
    if share >= 1.0:
        return data.append_column("weight", pa.array(np.ones(len(labels))))
    customers, products = hash64(data.column("customer_id")), hash64(data.column("product_id"))
    days = data.column("day").cast(pa.int32()).to_numpy().astype(np.uint64)
    with np.errstate(over="ignore"):
        key = (customers * np.uint64(31) + products) * np.uint64(1_000_003) + days
    keep = (labels > 0) | (uniform(seed, "thin", key.view(np.int64)) < share)
    weights = np.where(labels > 0, 1.0, 1.0 / share)
    return data.append_column("weight", pa.array(weights)).filter(pa.array(keep))


def _snapshot_dates(days: list[date]) -> list[date]:
    """At most `MAX_SNAPSHOTS` of the days, evenly spread, the first among them."""
    if len(days) <= MAX_SNAPSHOTS:
        return days
    return [days[i] for i in np.unique(np.linspace(0, len(days) - 1, MAX_SNAPSHOTS).astype(int))]


def sampled_customers(bank: Bank, most: int, *, seed: int, purpose: str) -> pa.Array:
    """Return the bank's customers by rising id, or about `most` of them, keyed, where there are more."""
    ordered = bank.connect().sql("select customer_id from customers order by customer_id").to_arrow_table()
    ids = ordered.column("customer_id").combine_chunks()
    if len(ids) <= most:
        return ids
    return ids.filter(pa.array(uniform(seed, purpose, ids) < most / len(ids)))
