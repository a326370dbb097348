"""True profit: what offers really earn in a bank whose truth is known.

An offer earns ``(p_treated - p_control) * (margin - pd * lgd * exposure - subsidy) - cost``: only what the customer
would not have taken up by himself counts, and the contact costs something whether or not it is answered. No estimate
comes into it, so the interval of a difference tells only of which customers there happen to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from nextoffer.errors import BankError
from nextoffer.intervals import Interval, mean_of_sums
from nextoffer.tables.bank import Bank
from nextoffer.tables.flow import Floats, Indices

TOP, ALL = "top", "all"
RANKS = (TOP, ALL)
"""What may be counted: each customer's first offer, or all offers."""

PER = 1000
"""Customers that profit is told for."""

_KEYS = ["customer_id", "product_id"]
_CHANCES = ["p_treated", "p_control"]


@dataclass(frozen=True)
class Earnings:
    """What an acceptance of each product earns, and what an offer costs.

    Attributes
    ----------
    products
        P ids.
    margin, cost
        float64 (P,): of an acceptance, benefits given already taken off; of a contact. 0 where not known.
    at_default
        float64 (P,): lgd × exposure, what a default costs; 0 where the product has none.
    """

    products: pa.Array
    margin: Floats
    cost: Floats
    at_default: Floats

    @classmethod
    def of(cls, products: pa.Table) -> Earnings:
        """Return the earnings of a bank's products.

        Raises
        ------
        BankError
            The products have no margin.
        """
        if "margin" not in products.column_names:
            raise BankError("products: no column margin, so that nothing is known of what an acceptance earns")
        margin, cost, lgd, exposure, subsidy = (
            _numbers(products, name) for name in ("margin", "cost", "lgd", "exposure", "subsidy")
        )
        return cls(products.column("product_id").combine_chunks(), margin - subsidy, cost, lgd * exposure)

    def value(self, pd: Floats) -> Floats:
        """Return what an acceptance earns, float64 (n, P), of customers with these probabilities of default (n,)."""
        return self.margin - np.nan_to_num(pd, nan=0.0)[:, None] * self.at_default


@dataclass(frozen=True)
class Truth:
    """The truth of a simulated bank, read part by part.

    Attributes
    ----------
    file
        customer_id, product_id, p_treated and p_control of every pair.
    """

    file: ds.Dataset

    @classmethod
    def beside(cls, bank: Path) -> Truth | None:
        """Return the truth that lies in a simulated bank's folder; None where there is none, or without p_control."""
        path = (bank if bank.is_dir() else bank.parent) / "truth.parquet"
        if not path.is_file():
            return None
        file = ds.dataset(path)
        return cls(file) if {*_KEYS, *_CHANCES} <= set(file.schema.names) else None

    def effects(self, customers: pa.Array, products: pa.Array) -> Floats:
        """Return how much an offer adds to the probability of taking up, float64 (n, P); NaN where it is not told.

        Only the customers between the least and greatest id are read.
        """
        key = pc.field("customer_id")
        ends = pc.min_max(customers)
        part = (
            self.file.to_table(columns=[*_KEYS, *_CHANCES], filter=(key >= ends["min"]) & (key <= ends["max"]))
            if len(customers)
            else self.file.schema.empty_table()
        )
        return effects(part, customers, products)


def effects(truth: pa.Table, customers: pa.Array, products: pa.Array) -> Floats:
    """Return p_treated - p_control, float64 (n, P), of a table of pairs; NaN where it has no row.

    Raises
    ------
    BankError
        Columns are missing.
    """
    missing = [name for name in (*_KEYS, *_CHANCES) if name not in truth.column_names]
    if missing:
        raise BankError(f"truth: no column {', '.join(missing)}; true profit needs the chance without an offer too")
    out = np.full((len(customers), len(products)), np.nan)
    rows, cols = (_places(truth.column(k), ids) for k, ids in zip(_KEYS, (customers, products), strict=True))
    there = (rows >= 0) & (cols >= 0)
    treated, control = (truth.column(name).to_numpy() for name in _CHANCES)
    out[rows[there], cols[there]] = (treated - control)[there]
    return out


def earned(profit: Floats, rows: Indices, cols: Indices) -> dict[str, Floats]:
    """Return by `RANKS` what the offers to n customers earn, float64 (n,); offers come best first for each customer.

    Parameters
    ----------
    profit
        float64 (n, P): of each pair if it is offered.
    """
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    counted = {TOP: first, ALL: np.ones_like(first)}
    return {
        ranks: np.asarray(np.bincount(rows[these], profit[rows, cols][these], minlength=len(profit)), dtype=np.float64)
        for ranks, these in counted.items()
    }


@dataclass(frozen=True)
class TrueProfit:
    """What two strategies really earn per `PER` customers, in the bank's currency.

    Attributes
    ----------
    control, treatment, difference
        By `RANKS`; each customer is compared with himself.
    currency
        Three letters, or nothing.
    """

    control: Mapping[str, Interval]
    treatment: Mapping[str, Interval]
    difference: Mapping[str, Interval]
    currency: str

    def to_dict(self) -> dict[str, object]:
        """Return all of it as plain values."""
        sides = {"control": self.control, "treatment": self.treatment, "difference": self.difference}
        told = {name: {ranks: vars(i) for ranks, i in side.items()} for name, side in sides.items()}
        return {"per_customers": PER, "currency": self.currency or None, **told}

    def summary(self, control: str = "control", treatment: str = "treatment") -> str:
        """Return a line for the first offers, and one for all."""
        return "\n".join(
            f"True profit of {what}: {in_words(self.difference[ranks], control, treatment, self.currency)}"
            f" ({_amount(self.control[ranks].estimate)} → {_amount(self.treatment[ranks].estimate)})."
            for ranks, what in ((TOP, "first offers"), (ALL, "all offers"))
        )


def in_words(difference: Interval, control: str, treatment: str, currency: str = "") -> str:
    """Return who earns how much more than whom, and whether that is more than chance.

    >>> in_words(Interval(120.0, 80.0, 160.0, 500), "propensity", "value", "EUR")
    'value earns 120 EUR per 1,000 customers more than propensity (80 to 160)'
    >>> in_words(Interval(-5.0, -20.0, 10.0, 500), "old", "new")
    'new earns 5 per 1,000 customers less than old (-20 to 10): chance is not ruled out'
    """
    unit = f" {currency}" if currency else ""
    more = "more" if difference.estimate >= 0 else "less"
    doubt = ": chance is not ruled out" if not (difference.low > 0 or difference.high < 0) else ""
    return (
        f"{treatment} earns {_amount(abs(difference.estimate))}{unit} per {PER:,} customers {more} than {control} "
        f"({_amount(difference.low)} to {_amount(difference.high)}){doubt}"
    )


def true_profit(truth: pa.Table, control: pa.Table, treatment: pa.Table, bank: Bank) -> TrueProfit:
    """Return what two strategies' offers really earn, over all customers of the truth.

    Parameters
    ----------
    truth
        customer_id, product_id, p_treated, p_control.
    control, treatment
        customer_id, product_id and, where a customer has several offers, rank.
    bank
        For margins, costs and risks.

    Raises
    ------
    BankError
        Columns are missing, an offered pair is not in the truth, or the products have no margin.
    """
    earnings = Earnings.of(bank.table("products"))
    customers = pc.unique(truth.column("customer_id")).sort()
    profit = earnings.value(_default_probabilities(bank, customers))
    profit *= effects(truth, customers, earnings.products)
    profit -= earnings.cost
    sides = [
        _of_file(profit, offers, (customers, earnings.products), name)
        for name, offers in (("control", control), ("treatment", treatment))
    ]
    sides.append({ranks: sides[1][ranks] - sides[0][ranks] for ranks in RANKS})
    found = [{ranks: per_thousand(side[ranks]) for ranks in RANKS} for side in sides]
    return TrueProfit(found[0], found[1], found[2], bank.config.currency or "")


def _of_file(profit: Floats, offers: pa.Table, ids: tuple[pa.Array, pa.Array], name: str) -> dict[str, Floats]:
    missing = [column for column in _KEYS if column not in offers.column_names]
    if missing:
        raise BankError(f"{name}: no column {', '.join(missing)}; there are {', '.join(offers.column_names)}")
    if "rank" in offers.column_names:
        offers = offers.sort_by("rank")
    rows, cols = (_places(offers.column(k).cast(known.type), known) for k, known in zip(_KEYS, ids, strict=True))
    order = np.argsort(rows, kind="stable")
    rows, cols = rows[order], cols[order]
    strange = (rows < 0) | (cols < 0)
    strange[~strange] = np.isnan(profit[rows[~strange], cols[~strange]])
    if strange.any():
        pair = offers.select(_KEYS).slice(int(order[strange.argmax()]), 1).to_pylist()[0]
        raise BankError(f"{name}: {int(strange.sum()):,} offered pairs are not in the truth, such as {pair}")
    return earned(profit, rows, cols)


def per_thousand(amounts: Floats) -> Interval:
    """Return the mean of what n customers earn, float64 (n,), times `PER`, with its interval."""
    mean = mean_of_sums(float(amounts.sum()), float(amounts @ amounts), len(amounts))
    return Interval(PER * mean.estimate, PER * mean.low, PER * mean.high, mean.n)


def _default_probabilities(bank: Bank, customers: pa.Array) -> Floats:
    if not bank.has("risk") or "pd" not in bank.columns("risk"):
        return np.zeros(len(customers))
    found = pa.Table.from_batches(list(bank.query("SELECT customer_id, pd FROM risk")))
    at = _places(customers, found.column("customer_id").combine_chunks())
    return np.where(at >= 0, found.column("pd").to_numpy()[at], 0.0) if found.num_rows else np.zeros(len(customers))


def _places(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> Indices:
    """Return where each value stands among the known ones, −1 where it does not."""
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=known), -1).to_numpy(), dtype=np.intp)


def _numbers(products: pa.Table, name: str) -> Floats:
    if name not in products.column_names:
        return np.zeros(products.num_rows)
    return np.asarray(np.nan_to_num(products.column(name).cast(pa.float64()).to_numpy(), nan=0.0), dtype=np.float64)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
