"""Finds what there is to learn from: responses to earlier offers, or products that customers took up by themselves.

Each label meets the customer as known when the day of its offer began; nothing dated on or after `as_of` is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nextoffer.errors import ModelError
from nextoffer.features import FeatureSpec, build, customer_ids
from nextoffer.keyed import hash64, uniform
from nextoffer.models.collaborative import SpendMap
from nextoffer.models.natural import Natural
from nextoffer.models.natural_fit import learned_natural, why_not_learned
from nextoffer.models.products import Products
from nextoffer.models.ranker import Ranker
from nextoffer.models.training import Training
from nextoffer.run.ripe import ripe_before
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import FeatureTable, Indices, ids_as_text
from nextoffer.tables.part import part_of

MAX_SNAPSHOTS = 12
"""Customers are looked at on at most this many dates; an offer in between uses the latest before it."""
MAX_CUSTOMERS = 200_000
"""Customers that one fit learns from, a keyed sample where the bank has more."""
ADOPTION_WINDOW = timedelta(days=30)
ADOPTION_WINDOWS = 6
NEGATIVES_PER_POSITIVE = 20.0
NEGATIVES_AT_LEAST = 200_000.0

OFFER_MADE = "coalesce(lower(arm), '') <> 'control'"
"""Rows of a control arm are offers that were not made: they teach nothing of how offers are received, but what
customers do without one."""

RESPONSES = "responses"
ADOPTIONS = "adoptions"


@dataclass(frozen=True)
class Sample:
    """The part of a bank that is learned from: `bank` holds `customers` of its `customers_in_bank`, drawn by key."""

    bank: Bank
    customers: int
    customers_in_bank: int

    @classmethod
    def of(cls, bank: Bank, *, most: int = MAX_CUSTOMERS, seed: int) -> Sample:
        """Return the whole bank, or about `most` of its customers with all their rows.

        Every customer has the same chance, whatever the others, so rates measured on the part are unbiased; every table
        is read once, so a fit takes as long on ten million customers as on a few hundred thousand, but for that.
        """
        everybody = sampled_customers(bank, most, seed=seed, purpose="learn")
        there = customer_count(bank)
        whole = len(everybody) == there and not bank.on_server
        return cls(bank if whole else part_of(bank, everybody), len(everybody), there)


@dataclass(frozen=True)
class Labelled:
    """A training set, and how it came about.

    Attributes
    ----------
    training
        The pairs.
    source
        Where labels came from, ``responses`` or ``adoptions``.
    refusals_share
        The share of the pairs not accepted that was kept, by key; each counts ``1 / refusals_share`` times.
    held_back
        The offers of a control arm, which were not made: 1 where the customer took the product up all the same. None
        where there are none.
    days
        On which offers were made, or windows of adoptions began, rising.
    ripe_before
        Offers from this day on were too young to learn from, as many who will accept them had not yet; None where none
        was left out for that.
    """

    training: Training
    source: str
    refusals_share: float
    held_back: Training | None = None
    days: tuple[date, ...] = ()
    ripe_before: date | None = None


@dataclass(frozen=True)
class _Labels:
    """One row per label: customer, product, day, 0 or 1, and its weight; and the same of offers held back."""

    data: pa.Table
    source: str
    share: float
    held_back: pa.Table | None = None
    ripe_before: date | None = None


@dataclass(frozen=True)
class _Placed:
    """Labels of which each meets one of the snapshots: `place` (m,) says which, `rows` (m,) where in it."""

    data: pa.Table
    place: Indices
    rows: Indices

    @classmethod
    def of(cls, data: pa.Table, dates: Sequence[date]) -> _Placed:
        """Return the labels from the first of the dates on, each at the latest of them not after its day."""
        days = data.column("day").to_numpy()
        place = np.searchsorted(np.array(dates, dtype="datetime64[D]"), days, side="right") - 1
        data, place = data.filter(pa.array(place >= 0)), place[place >= 0]
        return cls(data, place.astype(np.intp), np.zeros(len(place), dtype=np.intp))

    def looked_up(self, snapshot: int) -> pa.Array:
        """Return the customers of a snapshot's labels by rising id, and note where each label's customer stands."""
        mine = np.flatnonzero(self.place == snapshot)
        wanted = self.data.column("customer_id").take(pa.array(mine)).combine_chunks()
        customers = pc.unique(wanted).sort()
        self.rows[mine] = pc.index_in(wanted, value_set=customers).to_numpy(zero_copy_only=False)
        return customers

    def training(self, snapshots: Sequence[FeatureTable], products: Products, spend_map: SpendMap | None) -> Training:
        """Return the labels with what they meet."""
        column = {p: j for j, p in enumerate(products.ids)}
        return Training(
            tuple(snapshots),
            products,
            self.place,
            self.rows,
            np.array([column[p] for p in ids_as_text(self.data.column("product_id"))], dtype=np.intp),
            self.data.column("label").to_numpy().astype(np.float64),
            self.data.column("weight").to_numpy().astype(np.float64),
            hash64(self.data.column("customer_id")),
            spend_map,
        )


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
    made = _Placed.of(labels.data, dates)
    held_back = None if labels.held_back is None else _Placed.of(labels.held_back, dates)
    snapshots: list[FeatureTable] = []
    others: list[FeatureTable] = []
    for i, day in enumerate(dates):
        customers = made.looked_up(i)
        if held_back is None:
            snapshots.append(build(spec, bank, day, customers=customers))
            continue
        beside = held_back.looked_up(i)
        everybody = pc.unique(pa.concat_arrays([customers, beside])).sort()
        known = build(spec, bank, day, customers=everybody)  # once for both: building reads every table
        snapshots.append(_part(known, everybody, customers))
        others.append(_part(known, everybody, beside))
    snapshots.append(build(spec, bank, as_of))
    products = Products.of(bank.table("products"))
    return Labelled(
        made.training(snapshots, products, spend_map),
        labels.source,
        labels.share,
        None if held_back is None else held_back.training(others, products, spend_map),
        tuple(days),
        labels.ripe_before,
    )


def _part(known: FeatureTable, everybody: pa.Array, customers: pa.Array) -> FeatureTable:
    """The rows of some of the customers."""
    return FeatureTable(known.data.take(pc.index_in(customers, value_set=everybody)), known.columns, known.as_of)


def _labels(bank: Bank, as_of: date, seed: int) -> _Labels:
    if bank.has("responses"):
        arms = "arm" in bank.columns("responses")
        made = OFFER_MADE if arms else "true"
        until = ripe_before(bank, as_of, made)
        data = _responses(bank, as_of, f"and {made} and offered_on < date '{until}'")
        if data.num_rows:
            rest = f"and not ({OFFER_MADE}) and offered_on < date '{until}'"
            held_back = _responses(bank, as_of, rest) if arms else data.slice(0, 0)
            kept, share = _kept(data, seed)
            controls = _kept(held_back, seed)[0] if held_back.num_rows else None
            return _Labels(kept, RESPONSES, share, controls, None if until == as_of else until)
    if bank.has("holdings") and "opened_on" in bank.columns("holdings"):
        found = _adoptions(bank, as_of, seed)
        if found is not None:
            return found
    raise ModelError(
        f"nothing to learn from before {as_of}: needed are rows in responses (offered_on before that day), or in "
        f"holdings with opened_on in the {ADOPTION_WINDOWS} months before it; tables present: {', '.join(bank.tables)}"
    )


def _responses(bank: Bank, as_of: date, which: str) -> pa.Table:
    answered = (
        "and (responded_on is null or responded_on < $day)" if "responded_on" in bank.columns("responses") else ""
    )
    query = f"""
        select customer_id, product_id, offered_on as day,
               cast(label = 1 {answered} as double) as label
        from responses where offered_on < $day {which}
        order by offered_on, customer_id, product_id, label
    """
    return bank.connect().cursor().sql(query, params={"day": as_of}).to_arrow_table()


def _adoptions(bank: Bank, as_of: date, seed: int) -> _Labels | None:
    """Every customer × product not held when a window began, 1 if opened within it; None where nothing was opened."""
    con = bank.connect().cursor()
    first = con.sql("select min(opened_on) from holdings").fetchall()[0][0]
    starts = [as_of - ADOPTION_WINDOW * k for k in range(ADOPTION_WINDOWS, 0, -1)]
    days = [s for s in starts if first is not None and s >= first] or starts[-1:]
    totals = [_adopted(bank, day, "count(*), sum(label)", "").fetchall()[0] for day in days]
    pairs, positives = (sum(float(t[i] or 0) for t in totals) for i in (0, 1))
    if not positives:
        return None
    share = _kept_share(positives, pairs - positives)
    ordered = "order by day, customer_id, product_id"
    windows = (_adopted(bank, day, "*", ordered).to_arrow_table() for day in days)  # one at a time: they are large
    return _Labels(pa.concat_tables([_thinned(w, share, seed) for w in windows]), ADOPTIONS, share)


def _adopted(bank: Bank, day: date, columns: str, ordered: str) -> duckdb.DuckDBPyRelation:
    """The pairs of one window: customer_id, product_id, day, label."""
    still = "and (closed_on is null or closed_on >= $day)" if "closed_on" in bank.columns("holdings") else ""
    query = f"""
        with known as (
            select customer_id, product_id,
                   bool_or(opened_on >= $day and opened_on < $day + {ADOPTION_WINDOW.days}) as taken_up,
                   bool_or((opened_on is null or opened_on < $day) {still}) as had
            from holdings group by customer_id, product_id
        ), pairs as (
            select c.customer_id, p.product_id, $day as day, cast(coalesce(h.taken_up, false) as double) as label
            from customers c cross join products p
            left join known h on h.customer_id = c.customer_id and h.product_id = p.product_id
            where not coalesce(h.had, false)
        ) select {columns} from pairs {ordered}
    """
    return bank.connect().cursor().sql(query, params={"day": day})


def _kept(data: pa.Table, seed: int) -> tuple[pa.Table, float]:
    """Return the labels that are enough to learn from, weighted, and the share of the refusals among them."""
    positives = float(pc.sum(data.column("label")).as_py())
    share = _kept_share(positives, data.num_rows - positives)
    return _thinned(data, share, seed), share


def _kept_share(positives: float, negatives: float) -> float:
    """The share of the refusals that is enough to learn from."""
    return min(1.0, max(NEGATIVES_PER_POSITIVE * positives, NEGATIVES_AT_LEAST) / max(negatives, 1.0))


def _thinned(data: pa.Table, share: float, seed: int) -> pa.Table:
    """Keep every acceptance and a keyed share of the refusals, weighted so that totals stay unbiased."""
    labels = data.column("label").to_numpy()
    if share >= 1.0:
        return data.append_column("weight", pa.array(np.ones(len(labels))))
    customers, products = hash64(data.column("customer_id")), hash64(data.column("product_id"))
    days = data.column("day").cast(pa.int32()).to_numpy().astype(np.uint64)
    with np.errstate(over="ignore"):
        key = (customers * np.uint64(31) + products) * np.uint64(1_000_003) + days
    keep = (labels > 0) | (uniform(seed, "thin", key.view(np.int64)) < share)
    weights = np.where(labels > 0, 1.0, 1.0 / share)
    return data.append_column("weight", pa.array(weights)).filter(pa.array(keep))


def learned_from(sample: Sample, found: Labelled) -> dict[str, Any]:
    """Return what was learned from, in plain values."""
    return {
        "bank": sample.bank.name,
        "labels": found.source,
        "customers": sample.customers,
        "customers_in_bank": sample.customers_in_bank,
        "refusals_share": round(found.refusals_share, 6),
    } | ({} if found.ripe_before is None else {"offers_before": found.ripe_before.isoformat()})


def natural_of(found: Labelled, ranker: Ranker, *, seed: int) -> tuple[Natural | None, dict[str, Any]]:
    """Return the propensity without an offer that offers held back teach, and what was learned, in plain values.

    None where they are too few; the second then says so as ``not_learned``.
    """
    why = why_not_learned(found.held_back)
    if why is not None or found.held_back is None:
        return None, {"not_learned": why}
    acceptances = float(found.training.labels.sum())
    natural = learned_natural(found.held_back, ranker, acceptances=acceptances, seed=seed)
    return natural, dict(natural.summary())


def _snapshot_dates(days: list[date]) -> list[date]:
    """At most `MAX_SNAPSHOTS` of the days, evenly spread, the first among them."""
    if len(days) <= MAX_SNAPSHOTS:
        return days
    return [days[i] for i in np.unique(np.linspace(0, len(days) - 1, MAX_SNAPSHOTS).astype(int))]


def sampled_customers(bank: Bank, most: int, *, seed: int, purpose: str) -> pa.Array:
    """Return the bank's customers by rising id, or about `most` of them, keyed, where there are more."""
    ids = customer_ids(bank)
    if len(ids) <= most:
        return ids
    return ids.filter(pa.array(uniform(seed, purpose, ids) < most / len(ids)))


def customer_count(bank: Bank) -> int:
    """Return how many customers the bank has."""
    return int(next(bank.query("SELECT count(*) AS customers FROM customers")).column(0)[0].as_py())
