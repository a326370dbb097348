"""What there is in a reference world: customers, products, merchants, purchases and holdings, as functions of ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from nextoffer.errors import BankError
from nextoffer.keyed import normal, uniform
from nextoffer.simulate.draws import Flags, Floats, Names, Whole, category, whole, within

TODAY = date(2025, 10, 25)
HISTORY_DAYS = 179
CITY_TIERS = (0.35, 0.45, 0.20)
CHANNELS = {"mobile": 0.50, "web": 0.25, "branch": 0.20, "phone": 0.05}
SEGMENTS = {"Mass": 0.60, "Affluent": 0.30, "HNI": 0.10}
PRODUCT_TYPES = ("PL", "HL", "CC", "PremiumCC", "EL", "FD", "GL")
BIASES = ("Mass", "Affluent", "HNI", "All")
CATEGORIES = ("groceries", "fuel", "dining", "online", "travel", "utilities", "fashion", "electronics")
MERCHANTS = 50
MOST_TRANSACTIONS = 59
MOST_HOLDINGS = 3
INCOME_FACTOR = 0.8  # eligible from this share of a product's minimum income


@dataclass(frozen=True)
class Customers:
    """Attributes of n customers, one array of shape (n,) each; categories are indices into the names of this module."""

    ids: Whole
    age: Whole
    income: Floats
    city_tier: Whole
    channel: Whole
    segment: Whole
    salary_day: Whole


@dataclass(frozen=True)
class Products:
    """Attributes of the P products, one array of shape (P,) each."""

    ids: Whole
    kind: Names
    min_income: Floats
    bias: Names
    premium: Flags


@dataclass(frozen=True)
class Purchases:
    """The m transactions of some customers.

    Attributes
    ----------
    owner
        The row of the customer among those asked for.
    key
        A number that belongs to this transaction alone, for further draws.
    days_back
        Days before `TODAY`, 1..179.
    merchant
        0..49.
    """

    owner: Whole
    key: Whole
    days_back: Whole
    merchant: Whole


@dataclass(frozen=True)
class World:
    """A reference world: the three numbers that fix it, and every attribute as a function of ids.

    Parameters
    ----------
    customers, products
        How many; at least two of each, because their latents are standardised.
    seed
        Worlds of one seed share the customers that they both have.

    Raises
    ------
    BankError
        There are too few customers or products.

    >>> World(seed=7).people(np.array([5])).age == World(customers=10, seed=7).people(np.arange(10)).age[5]
    array([ True])
    """

    customers: int = 1200
    products: int = 12
    seed: int = 7

    def __post_init__(self) -> None:
        found = {"customers": self.customers, "products": self.products}
        problems = [f"{name} is {count}; a world needs at least 2" for name, count in found.items() if count < 2]
        if problems:
            raise BankError(problems)

    def chunks(self, size: int) -> Iterator[Whole]:
        """Yield all customer ids in order, `size` at a time."""
        for start in range(0, self.customers, size):
            yield np.arange(start, min(start + size, self.customers))

    @cached_property
    def catalogue(self) -> Products:
        """The products."""
        s, ids = self.seed, np.arange(self.products)
        kind = np.array(PRODUCT_TYPES)[whole(s, "product type", ids, low=0, high=len(PRODUCT_TYPES) - 1)]
        return Products(
            ids=ids,
            kind=kind,
            min_income=np.maximum(6.0 + 2.0 * normal(s, "product min income", ids), 0.0),
            bias=np.array(BIASES)[whole(s, "product bias", ids, low=0, high=len(BIASES) - 1)],
            premium=(kind == "PremiumCC") & (uniform(s, "product premium", ids) < 0.5),
        )

    @cached_property
    def merchant_category(self) -> Whole:
        """Index into `CATEGORIES` of each merchant, shape (50,)."""
        return whole(self.seed, "merchant", np.arange(MERCHANTS), low=0, high=len(CATEGORIES) - 1)

    def people(self, ids: Whole) -> Customers:
        """Return the attributes of the given customers."""
        s = self.seed
        return Customers(
            ids=ids,
            age=whole(s, "age", ids, low=21, high=69),
            income=np.maximum(8.0 + 3.0 * normal(s, "income", ids), 2.0),
            city_tier=1 + category(s, "city tier", ids, CITY_TIERS),
            channel=category(s, "channel", ids, tuple(CHANNELS.values())),
            segment=category(s, "segment", ids, tuple(SEGMENTS.values())),
            salary_day=whole(s, "salary day", ids, low=25, high=30),
        )

    def purchases(self, ids: Whole) -> Purchases:
        """Return when and where the given customers paid, grouped by customer."""
        s = self.seed
        counts = whole(s, "transactions", ids, low=15, high=MOST_TRANSACTIONS)
        owner = np.repeat(np.arange(len(ids)), counts)
        key = ids[owner] * (MOST_TRANSACTIONS + 1) + within(counts)
        return Purchases(
            owner=owner,
            key=key,
            days_back=whole(s, "transaction day", key, low=1, high=HISTORY_DAYS),
            merchant=whole(s, "transaction merchant", key, low=0, high=MERCHANTS - 1),
        )

    def held(self, ids: Whole) -> Flags:
        """Return bool (n, P): one to three draws with replacement, so about a quarter of customers hold three."""
        draws = whole(self.seed, "holdings", ids, low=1, high=MOST_HOLDINGS)
        held = np.zeros((len(ids), self.products), dtype=np.bool_)
        for k in range(MOST_HOLDINGS):
            product = whole(self.seed, f"holding {k}", ids, low=0, high=self.products - 1)
            rows = np.flatnonzero(draws > k)
            held[rows, product[rows]] = True
        return held

    def eligible(self, people: Customers) -> Flags:
        """Return bool (n, P): not held, and income at least 0.8 times the product's minimum."""
        enough = people.income[:, None] >= INCOME_FACTOR * self.catalogue.min_income[None, :]
        return np.asarray(enough & ~self.held(people.ids))
