"""What the retail bank sells and where its customers shop: ``products.csv`` and ``categories.csv``.

Columns of ``products.csv`` beyond the contract's: ``appeal`` (log-odds that an average customer takes the product up by
himself within two weeks), ``held`` (the same that he holds it already) and the weight of each need that it answers.
Current accounts have no chance of being held: everybody is given one. Needs also move purchases between categories.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.csv

from nextoffer.simulate.draws import Flags, Floats, Whole

NEEDS = ("spending", "borrowing", "home", "mobility", "protection", "saving", "investing")
CURRENT_ACCOUNTS = slice(0, 3)  # one per segment, in the order of the segments
_HIDDEN = ("appeal", "held", *NEEDS)


@cache
def products() -> pa.Table:
    """Return all 24 products with all columns."""
    return _table("products.csv")


@cache
def categories() -> pa.Table:
    """Return the kinds of shop: mcc, share of an average customer's purchases, typical amount, effect of each need."""
    return _table("categories.csv")


def _table(name: str) -> pa.Table:
    with files(__package__).joinpath(name).open("rb") as stream:
        return pyarrow.csv.read_csv(stream)


def products_table() -> pa.Table:
    """Return the products as the bank sees them."""
    return products().drop_columns(list(_HIDDEN))


def texts(name: str) -> tuple[str, ...]:
    """Return one text of each product."""
    return tuple(products()[name].to_pylist())


def numbers(name: str) -> Floats:
    """Return one number or flag of each product, float64 (24,)."""
    return np.asarray(products()[name].cast(pa.float64()).to_numpy(), dtype=np.float64)


def indices() -> Whole:
    """Return 0..23."""
    return np.arange(products().num_rows)


def of_type(*types: str) -> Flags:
    """Return bool (24,): which products are of one of the types.

    >>> int(of_type("CC", "PremiumCC").sum())
    3
    """
    return np.isin(np.array(texts("product_type")), types)


def made_for(segments: tuple[str, ...]) -> Whole:
    """Return int64 (24,): the index of the segment each product is made for, -1 where it is made for all."""
    return np.array([segments.index(s) if s in segments else -1 for s in texts("segment_bias")])


def answered(needs: Floats, table: pa.Table) -> Floats:
    """Return float64 (n, m): how far each row of products or categories answers the needs (n, 7) of each customer.

    Need by need and not as one matrix product, whose last bits would depend on how many customers are asked at a time.
    """
    out = np.zeros((len(needs), table.num_rows))
    for k, need in enumerate(NEEDS):
        out += needs[:, k, None] * table[need].to_numpy()
    return out


@cache
def same_family() -> Flags:
    """Return bool (24, 24): the two products are of one family."""
    family = np.array(texts("family"))
    return np.asarray(family[:, None] == family[None, :])


@cache
def outranks() -> Flags:
    """Return bool (24, 24): the row's product is a higher tier of the column's family."""
    tier = numbers("tier")
    return np.asarray(same_family() & (tier[:, None] > tier[None, :]))


def highest_tier(has: Flags) -> Flags:
    """Return bool (n, 24): of each family only the highest tier that the customer has.

    >>> gold_and_classic = np.isin(np.array(texts("name")), ["Classic Card", "Gold Card"])
    >>> [texts("name")[i] for i in np.flatnonzero(highest_tier(gold_and_classic[None, :]))]
    ['Gold Card']
    """
    return np.asarray(has & ~reached(has, outranks()))


def reached(has: Flags, relation: Flags) -> Flags:
    """Return bool (n, 24): products that a relation (24, 24) leads to from any product that the customer has."""
    return np.asarray(has.astype(np.float64) @ relation.astype(np.float64) > 0)
